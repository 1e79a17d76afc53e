#include "operator/agent/process/guard_client.h"

#include <array>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "operator/agent/process/guard_protocol.h"
#include "operator/agent/supervisor.h"

namespace breakwater::agent {
namespace {

constexpr std::chrono::milliseconds kAnswerLimit{300};

}  // namespace

GuardClient::GuardClient(Loop* loop, UniqueFd link, std::function<void()> on_gone)
    : loop_(loop), link_(std::move(link)), on_gone_(std::move(on_gone)), beat_(loop) {
  if (!link_.valid()) {
    return;
  }
  fcntl(link_.get(), F_SETFL, O_NONBLOCK);
  fcntl(link_.get(), F_SETFD, FD_CLOEXEC);
  loop_->Watch(link_.get(), POLLIN, [this](short) { Read(); });
  Send(EncodeWorkerLine(AliveLine{}));
  BeatLater();
}

GuardClient::~GuardClient() {
  if (link_.valid()) {
    loop_->Unwatch(link_.get());
  }
}

void GuardClient::BeatLater() {
  beat_.SetAfter(guarded_.empty() ? kAlive : kAliveArmed, [this] {
    Send(EncodeWorkerLine(AliveLine{}));
    BeatLater();
  });
}

bool GuardClient::Send(const std::string& line) {
  if (!link_.valid()) {
    return false;
  }
  // Lines are far smaller than the socket's buffer: whole or not at all.
  return send(link_.get(), line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT) ==
         static_cast<ssize_t>(line.size());
}

void GuardClient::Read() {
  std::array<char, 1024> buffer{};
  const ssize_t size = ::read(link_.get(), buffer.data(), buffer.size());
  if (size > 0) {
    input_.append(buffer.data(), static_cast<std::size_t>(size));
    input_.erase(0, input_.size() > kMaxGuardLine ? input_.size() - kMaxGuardLine : 0);
  } else if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
    Lost();
  }
}

void GuardClient::Lost() {
  loop_->Unwatch(link_.get());
  link_.Reset();
  beat_.Clear();
  loop_->At(loop_->Now(), on_gone_);  // we may be inside a call of the Runner
}

bool GuardClient::WaitForAnswer(const std::string& answer) {
  const SteadyTime limit = loop_->Now() + kAnswerLimit;
  while (link_.valid()) {
    if (const std::size_t at = input_.find(answer); at != std::string::npos) {
      input_.erase(0, at + answer.size());
      return true;
    }
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(limit - loop_->Now()).count();
    if (left <= 0) {
      return false;
    }
    pollfd readable{link_.get(), POLLIN, 0};
    if (poll(&readable, 1, static_cast<int>(left)) > 0) {
      Read();
    }
  }
  return false;
}

bool GuardClient::Guard(const std::string& id, const std::vector<int>& minors, SteadyTime until) {
  const std::string line = EncodeWorkerLine(GuardLine{id, until, minors});
  input_.clear();  // answers that came too late
  if (!DecodeWorkerLine(std::string_view(line).substr(0, line.size() - 1)) || !Send(line) ||
      !WaitForAnswer("ok " + id + "\n")) {
    Release(id);
    return false;
  }
  guarded_.insert(id);
  BeatLater();
  return true;
}

void GuardClient::Release(const std::string& id) {
  Send(EncodeWorkerLine(ReleaseLine{id}));
  guarded_.erase(id);
}

void GuardClient::Keep(const std::vector<std::string>& ids) {
  Send(EncodeWorkerLine(KeepLine{ids}));
}

}  // namespace breakwater::agent
