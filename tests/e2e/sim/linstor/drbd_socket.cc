#include "tests/e2e/sim/linstor/drbd_socket.h"

#include <cerrno>
#include <cstring>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace breakwater::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}

  ~Fd() {
    if (fd_ >= 0) {
      ::close(fd_);
    }
  }

  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;

  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

bool Connect(int fd, const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return false;
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

bool SendAll(int fd, const std::string& text) {
  std::size_t done = 0;
  while (done < text.size()) {
    const auto sent = ::send(fd, text.data() + done, text.size() - done, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) {
      continue;
    }
    if (sent <= 0) {
      return false;
    }
    done += static_cast<std::size_t>(sent);
  }
  return true;
}

enum class ReadEnd { kLine, kClosed, kTimeout };

ReadEnd ReadLine(int fd, steady_clock::time_point deadline, std::string& line) {
  char buffer[16384];
  while (true) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now());
    if (left.count() <= 0) {
      return ReadEnd::kTimeout;
    }
    pollfd waiting{fd, POLLIN, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(left.count()));
    if (ready == 0) {
      return ReadEnd::kTimeout;
    }
    const auto got = ready < 0 ? -1 : ::recv(fd, buffer, sizeof(buffer), 0);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      return ReadEnd::kClosed;
    }
    line.append(buffer, static_cast<std::size_t>(got));
    if (line.back() == '\n') {
      return ReadEnd::kLine;
    }
  }
}

}  // namespace

std::optional<nlohmann::json> DrbdSocket::Call(const nlohmann::json& request,
                                               milliseconds timeout,
                                               Failure& failure) const {
  failure = Failure::kUnreachable;
  const auto deadline = steady_clock::now() + timeout;
  const Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd.get() < 0 || !Connect(fd.get(), path_) || !SendAll(fd.get(), request.dump() + "\n")) {
    return std::nullopt;
  }
  std::string line;
  const ReadEnd end = ReadLine(fd.get(), deadline, line);
  if (end != ReadEnd::kLine) {
    failure = end == ReadEnd::kTimeout ? Failure::kTimeout : Failure::kUnreachable;
    return std::nullopt;
  }
  auto reply = nlohmann::json::parse(line, nullptr, false);
  if (reply.is_discarded()) {
    return std::nullopt;
  }
  failure = Failure::kNone;
  return reply;
}

std::vector<SatelliteInfo> DrbdSocket::Satellites() {
  std::vector<SatelliteInfo> out;
  Failure failure{};
  const auto reply = Call({{"op", "satellites"}}, std::chrono::seconds(5), failure);
  if (!reply) {
    return out;
  }
  // Accepts the bare list as well as {"satellites": […]}.
  const auto& list =
      reply->is_object() && reply->contains("satellites") ? (*reply)["satellites"] : *reply;
  for (const auto& item : list) {
    if (item.is_object()) {
      out.push_back({item.value("node", ""), item.value("address", ""),
                     item.value("running", false), item.value("epoch", std::int64_t{0})});
    }
  }
  return out;
}

bool DrbdSocket::PutFile(const std::string& node,
                         const std::string& path,
                         const std::string& content) {
  Failure failure{};
  const auto reply =
      Call({{"op", "put-file"}, {"node", node}, {"path", path}, {"content", content}},
           std::chrono::seconds(10), failure);
  return reply.has_value() && !(reply->is_object() && reply->contains("error"));
}

void DrbdSocket::RemoveFile(const std::string& node, const std::string& path) {
  Failure failure{};
  Call({{"op", "remove-file"}, {"node", node}, {"path", path}}, std::chrono::seconds(10), failure);
}

void DrbdSocket::SetVolumeSize(const std::string& resource, int volume, std::int64_t size_kib) {
  Failure failure{};
  Call({{"op", "volume"}, {"resource", resource}, {"volume", volume}, {"size_kib", size_kib}},
       std::chrono::seconds(10), failure);
}

void DrbdSocket::RemoveDisks(const std::string& node, const std::string& resource) {
  Failure failure{};
  Call({{"op", "remove-disks"}, {"node", node}, {"resource", resource}}, std::chrono::seconds(10),
       failure);
}

bool DrbdSocket::TakeCopy(const VolumeCopy& copy) {
  Failure failure{};
  const auto reply = Call({{"op", "snapshot"},
                           {"node", copy.node},
                           {"resource", copy.resource},
                           {"volume", copy.volume},
                           {"name", copy.name}},
                          std::chrono::seconds(10), failure);
  return reply && !reply->contains("error");
}

bool DrbdSocket::RestoreCopy(const VolumeCopy& copy, const std::string& to_resource) {
  Failure failure{};
  const auto reply = Call({{"op", "restore"},
                           {"node", copy.node},
                           {"resource", copy.resource},
                           {"volume", copy.volume},
                           {"name", copy.name},
                           {"to_resource", to_resource}},
                          std::chrono::seconds(10), failure);
  return reply && !reply->contains("error");
}

void DrbdSocket::DropCopy(const std::string& node,
                          const std::string& resource,
                          const std::string& name) {
  Failure failure{};
  Call({{"op", "drop-snapshot"}, {"node", node}, {"resource", resource}, {"name", name}},
       std::chrono::seconds(10), failure);
}

CommandResult DrbdSocket::Run(const std::string& node,
                              const std::vector<std::string>& argv,
                              milliseconds timeout) {
  Failure failure{};
  const auto reply = Call({{"op", "run"},
                           {"node", node},
                           {"container", "linstor-satellite"},
                           {"argv", argv},
                           {"stdin", ""}},
                          timeout, failure);
  if (!reply || !reply->is_object()) {
    return {.exit = 255,
            .out = "",
            .err = failure == Failure::kTimeout ? "timed out" : "cannot reach the node",
            .timed_out = failure == Failure::kTimeout};
  }
  if (!reply->contains("exit")) {
    return {.exit = 255, .out = "", .err = reply->dump()};
  }
  return {.exit = reply->at("exit").get<int>(),
          .out = reply->value("stdout", ""),
          .err = reply->value("stderr", "")};
}

}  // namespace breakwater::sim
