#include "operator/agent/process/loop.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <vector>

#include <poll.h>
#include <sys/signalfd.h>

namespace breakwater::agent {

void Loop::Watch(int fd, short events, FdCallback callback) {
  watched_[fd] = {events, ++counter_, std::make_shared<FdCallback>(std::move(callback))};
}

void Loop::Unwatch(int fd) {
  watched_.erase(fd);
}

Loop::TimerId Loop::At(SteadyTime time, Callback callback) {
  const TimerId id{time, ++counter_};
  timers_.emplace(id, std::move(callback));
  return id;
}

Loop::TimerId Loop::After(std::chrono::milliseconds delay, Callback callback) {
  return At(Now() + delay, std::move(callback));
}

void Loop::Cancel(const TimerId& timer) {
  timers_.erase(timer);
}

void Loop::OnSignal(int signal, Callback callback) {
  signals_[signal] = std::move(callback);
  sigset_t set;
  sigemptyset(&set);
  for (const auto& entry : signals_) {
    sigaddset(&set, entry.first);
  }
  sigprocmask(SIG_BLOCK, &set, nullptr);
  const int fd = signalfd(signal_fd_.get(), &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (!signal_fd_.valid()) {
    signal_fd_.Reset(fd);
    Watch(fd, POLLIN, [this](short) { ReadSignals(); });
  }
}

void Loop::ReadSignals() {
  std::array<signalfd_siginfo, 16> infos{};
  const ssize_t size = ::read(signal_fd_.get(), infos.data(), sizeof(infos));
  for (std::size_t i = 0;
       (i + 1) * sizeof(signalfd_siginfo) <= static_cast<std::size_t>(std::max<ssize_t>(size, 0));
       ++i) {
    const auto it = signals_.find(static_cast<int>(infos.at(i).ssi_signo));
    if (it != signals_.end()) {
      const Callback callback = it->second;
      callback();
    }
  }
}

void Loop::Run() {
  stopped_ = false;
  while (!stopped_) {
    RunTimers();
    if (!stopped_ && before_wait_) {
      before_wait_();
    }
    if (!stopped_) {
      Wait();
    }
  }
}

void Loop::RunTimers() {
  // Only what was due when the round began: a timer that sets itself to "now" lets others in.
  const TimerId due{Now(), ++counter_};
  while (!stopped_ && !timers_.empty() && timers_.begin()->first < due) {
    const Callback callback = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    callback();
  }
}

void Loop::Wait() {
  std::vector<pollfd> fds;
  std::vector<std::uint64_t> generations;
  fds.reserve(watched_.size());
  generations.reserve(watched_.size());
  for (const auto& [fd, watched] : watched_) {
    fds.push_back({fd, watched.events, 0});
    generations.push_back(watched.generation);
  }
  timespec timeout{};
  if (!timers_.empty()) {
    const auto left = std::max(timers_.begin()->first.first - Now(), SteadyTime::duration::zero());
    const auto nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(left).count();
    timeout.tv_sec = nanoseconds / 1000000000;
    timeout.tv_nsec = nanoseconds % 1000000000;
  }
  if (ppoll(fds.data(), fds.size(), timers_.empty() ? nullptr : &timeout, nullptr) <= 0) {
    return;
  }
  for (std::size_t i = 0; i < fds.size() && !stopped_; ++i) {
    if (fds[i].revents == 0) {
      continue;
    }
    // A callback may have closed this fd, and its number may already mean something else.
    const auto it = watched_.find(fds[i].fd);
    if (it != watched_.end() && it->second.generation == generations[i]) {
      const std::shared_ptr<FdCallback> callback = it->second.callback;
      (*callback)(fds[i].revents);
    }
  }
}

void Alarm::Set(SteadyTime time, Loop::Callback callback) {
  Clear();
  set_ = true;
  timer_ = loop_->At(time, [this, callback = std::move(callback)] {
    set_ = false;
    const Loop::Callback call = callback;  // the callback may set this alarm again
    call();
  });
}

void Alarm::Clear() {
  if (set_) {
    loop_->Cancel(timer_);
    set_ = false;
  }
}

}  // namespace breakwater::agent
