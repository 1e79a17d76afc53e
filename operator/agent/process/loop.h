#pragma once

/// Loop: poll() with timers and signals, the only place where the agent waits. Callbacks run one at
/// a time from Run(); they may add and remove anything, also themselves.
/// Thread safety: none; one loop, one thread.

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "operator/agent/process/fd.h"
#include "operator/base/clock.h"

namespace breakwater::agent {

class Loop {
 public:
  using Callback = std::function<void()>;
  /// Gets poll()'s events: POLLIN, POLLOUT, POLLHUP, POLLERR.
  using FdCallback = std::function<void(short events)>;
  using TimerId = std::pair<SteadyTime, std::uint64_t>;

  Loop() = default;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// Calls `callback` whenever `fd` has one of `events`, or an end or error. Replaces what was said
  /// about this fd. The loop does not own it: Unwatch before it is closed.
  void Watch(int fd, short events, FdCallback callback);
  void Unwatch(int fd);

  /// Once, at `time` or right after. The id is for Cancel; after the call it names nothing.
  TimerId At(SteadyTime time, Callback callback);
  TimerId After(std::chrono::milliseconds delay, Callback callback);
  void Cancel(const TimerId& timer);

  /// Blocks the signal for this process and calls `callback` when it comes. A child gets its
  /// signals back (child.h). Several that come close together may be one call.
  void OnSignal(int signal, Callback callback);

  /// Called each time before the loop waits.
  void BeforeWait(Callback callback) { before_wait_ = std::move(callback); }

  /// Until Stop() is called.
  void Run();

  void Stop() { stopped_ = true; }

  SteadyTime Now() const { return RealClock().SteadyNow(); }

 private:
  struct Watched {
    short events = 0;
    std::uint64_t generation = 0;
    std::shared_ptr<FdCallback> callback{};
  };

  void Wait();
  void RunTimers();
  void ReadSignals();

  bool stopped_ = false;
  std::uint64_t counter_ = 0;
  std::map<int, Watched> watched_{};
  std::map<TimerId, Callback> timers_{};
  std::map<int, Callback> signals_{};
  Callback before_wait_{};
  UniqueFd signal_fd_{};
};

/// A timer that is set again and again; setting replaces what was set before.
class Alarm {
 public:
  explicit Alarm(Loop* loop) : loop_(loop) {}

  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;

  ~Alarm() { Clear(); }

  void Set(SteadyTime time, Loop::Callback callback);

  void SetAfter(std::chrono::milliseconds delay, Loop::Callback callback) {
    Set(loop_->Now() + delay, std::move(callback));
  }

  void Clear();

  bool set() const { return set_; }

 private:
  Loop* const loop_;
  bool set_ = false;
  Loop::TimerId timer_{};
};

}  // namespace breakwater::agent
