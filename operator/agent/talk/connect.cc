#include "operator/agent/talk/connect.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <thread>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "operator/agent/process/fd.h"
#include "operator/base/clock.h"

namespace breakwater::agent {
namespace {

constexpr std::size_t kBuffer = 65536;
// A pipe that can be written to takes this many bytes without waiting.
constexpr std::size_t kPiece = 4096;
constexpr std::chrono::milliseconds kTryAgain{50};

UniqueFd Connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return {};
  }
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid() ||
      connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return {};
  }
  return fd;
}

// One direction.
struct Pipe {
  int from = -1;
  int to = -1;
  std::string buffer{};
  bool ended = false;   ///< nothing more comes
  bool broken = false;  ///< nobody takes it any more

  bool done() const { return broken || (ended && buffer.empty()); }

  void Read() {
    std::array<char, kPiece> piece{};
    const ssize_t size = ::read(from, piece.data(), piece.size());
    if (size > 0) {
      buffer.append(piece.data(), static_cast<std::size_t>(size));
    } else if (size == 0 || (errno != EINTR && errno != EAGAIN)) {
      ended = true;
    }
  }

  void Write() {
    const ssize_t size = ::write(to, buffer.data(), std::min(buffer.size(), kPiece));
    if (size > 0) {
      buffer.erase(0, static_cast<std::size_t>(size));
    } else if (size < 0 && errno != EINTR && errno != EAGAIN) {
      broken = true;
    }
  }
};

bool Ready(const pollfd& fd) {
  return fd.fd >= 0 && fd.revents != 0;
}

// Waits for both directions and moves what can be moved. False: poll() failed.
bool Step(Pipe* up, Pipe* down) {
  std::array<pollfd, 4> fds{};
  std::size_t i = 0;
  for (const Pipe* pipe : {up, down}) {
    const bool reads = !pipe->ended && !pipe->broken && pipe->buffer.size() < kBuffer;
    fds.at(i++) = {reads ? pipe->from : -1, POLLIN, 0};
    // Without something to write an error is still to be seen: whoever reads has gone.
    fds.at(i++) = {pipe->broken ? -1 : pipe->to,
                   static_cast<short>(pipe->buffer.empty() ? 0 : POLLOUT), 0};
  }
  if (poll(fds.data(), fds.size(), -1) < 0) {
    return errno == EINTR;
  }
  i = 0;
  for (Pipe* pipe : {up, down}) {
    if (Ready(fds.at(i++))) {
      pipe->Read();
    }
    const pollfd& to = fds.at(i++);
    if ((to.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0 && pipe->buffer.empty()) {
      pipe->broken = true;
    } else if (Ready(to) && !pipe->buffer.empty()) {
      pipe->Write();
    }
  }
  return true;
}

}  // namespace

int RunConnect(const std::string& path, std::chrono::milliseconds wait) {
  std::signal(SIGPIPE, SIG_IGN);
  const SteadyTime limit = RealClock().SteadyNow() + wait;
  UniqueFd agent = Connect(path);
  while (!agent.valid() && RealClock().SteadyNow() < limit) {
    std::this_thread::sleep_for(kTryAgain);
    agent = Connect(path);
  }
  if (!agent.valid()) {
    std::fprintf(stderr, "breakwater-agent: nobody listens at %s\n", path.c_str());
    return kConnectNoAgent;
  }
  Pipe up{STDIN_FILENO, agent.get(), {}};
  Pipe down{agent.get(), STDOUT_FILENO, {}};
  while (true) {
    if (up.ended || down.broken) {
      while (!up.done() && !down.ended) {  // the last request is delivered
        up.Write();
      }
      return kConnectEnded;
    }
    if (down.done()) {
      return kConnectDropped;
    }
    if (!Step(&up, &down)) {
      return kConnectFailed;
    }
  }
}

}  // namespace breakwater::agent
