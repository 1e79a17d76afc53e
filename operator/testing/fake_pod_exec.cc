#include "operator/testing/fake_pod_exec.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <vector>

namespace breakwater::testing {
namespace {

using kube::ExecRequest;
using kube::ExecResult;
using kube::KubeError;
using kube::KubeResult;
using kube::Status;
using Kind = net::TransportError::Kind;

/// How soon a deadline or a stop request is felt.
constexpr int kPollMilliseconds = 10;

/// One end of a pipe, closed with the object.
class Descriptor {
 public:
  Descriptor() = default;

  explicit Descriptor(int fd) : fd_(fd) {}

  ~Descriptor() { Close(); }

  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  void Reset(int fd) {
    Close();
    fd_ = fd;
  }

  void Close() {
    if (fd_ >= 0) {
      ::close(fd_);
      fd_ = -1;
    }
  }

  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{-1, -1};
    if (::pipe2(ends.data(), O_CLOEXEC) == 0) {
      read.Reset(ends[0]);
      write.Reset(ends[1]);
    }
  }

  Descriptor read{};
  Descriptor write{};
};

/// A running program in a process group of its own; killed and reaped with the object.
class Process {
 public:
  /// errno when the program cannot be started.
  static int Start(const std::vector<std::string>& argv, Process& process) {
    std::vector<std::string> words = argv;
    std::vector<char*> pointers;
    for (std::string& word : words) {
      pointers.push_back(word.data());
    }
    pointers.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, process.out.write.get(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, process.err.write.get(), STDERR_FILENO);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    const int code =
        ::posix_spawnp(&process.pid_, pointers[0], &actions, &attributes, pointers.data(), environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    process.out.write.Close();
    process.err.write.Close();
    return code;
  }

  Process() = default;

  ~Process() {
    if (pid_ > 0) {
      ::kill(-pid_, SIGKILL);
      (void)Wait();
    }
  }

  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  int Wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }

  Pipe out{};
  Pipe err{};

 private:
  pid_t pid_ = -1;
};

/// Takes what is there; false at the end of the stream.
bool Take(Descriptor& from, std::string& into, const ExecRequest& request, ExecResult& result) {
  std::array<char, 65536> chunk{};
  const ssize_t got = ::read(from.get(), chunk.data(), chunk.size());
  if (got <= 0) {
    from.Close();
    return false;
  }
  const std::size_t room = request.max_output_bytes - result.out.size() - result.err.size();
  const std::size_t size = static_cast<std::size_t>(got);
  into.append(chunk.data(), std::min(room, size));
  result.truncated = result.truncated || size > room;
  return true;
}

std::optional<KubeError> GaveUp(const Context& ctx) {
  if (ctx.canceled()) {
    return net::TransportError{Kind::kCanceled, "stopped"};
  }
  if (ctx.expired()) {
    return net::TransportError{Kind::kTimeout, "the program did not end in time"};
  }
  return std::nullopt;
}

KubeError Refused(int code, const char* reason, std::string message) {
  return Status{.code = code, .reason = reason, .message = std::move(message)};
}

}  // namespace

void FakePodExec::AddContainer(const std::string& ns,
                               const std::string& pod,
                               const std::string& container) {
  const std::lock_guard lock(mutex_);
  containers_[ns + "/" + pod].insert(container);
}

KubeResult<ExecResult> FakePodExec::Exec(const Context& ctx, const ExecRequest& request) {
  {
    const std::lock_guard lock(mutex_);
    const auto pod = containers_.find(request.ns + "/" + request.pod);
    if (pod == containers_.end()) {
      return Unexpected{Refused(404, "NotFound", "pods \"" + request.pod + "\" not found")};
    }
    if (!pod->second.contains(request.container)) {
      return Unexpected{
          Refused(400, "BadRequest", "container " + request.container + " is not valid for pod")};
    }
  }
  Process process;
  if (const int code = Process::Start(request.argv, process); code != 0) {
    return Unexpected{Refused(500, "InternalError", request.argv[0] + ": " + std::strerror(code))};
  }
  ExecResult result;
  while (process.out.read.get() >= 0 || process.err.read.get() >= 0) {
    if (const auto error = GaveUp(ctx)) {
      return Unexpected{*error};
    }
    std::array<pollfd, 2> ready{
        pollfd{.fd = process.out.read.get(), .events = POLLIN, .revents = 0},
        pollfd{.fd = process.err.read.get(), .events = POLLIN, .revents = 0}};
    (void)::poll(ready.data(), ready.size(), kPollMilliseconds);
    if (ready[0].revents != 0) {
      Take(process.out.read, result.out, request, result);
    }
    if (ready[1].revents != 0) {
      Take(process.err.read, result.err, request, result);
    }
  }
  result.exit_code = process.Wait();
  return result;
}

}  // namespace breakwater::testing
