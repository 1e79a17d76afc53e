#include "operator/testing/fake_pod_exec.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <utility>
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
  static int Start(const std::vector<std::string>& argv, Process& process, bool with_stdin) {
    std::vector<std::string> words = argv;
    std::vector<char*> pointers;
    for (std::string& word : words) {
      pointers.push_back(word.data());
    }
    pointers.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    Descriptor input;
    std::array<int, 2> ends{-1, -1};
    // No pipe: writing to one whose reader has died ends the test by SIGPIPE.
    if (with_stdin && ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0) {
      input.Reset(ends[0]);
      process.in.Reset(ends[1]);
      posix_spawn_file_actions_adddup2(&actions, input.get(), STDIN_FILENO);
    } else {
      posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    }
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

  Descriptor in{};
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

/// A program and its streams. Close only says so: the reading thread may be in poll().
class FakeExecStream final : public kube::ExecStream {
 public:
  explicit FakeExecStream(std::unique_ptr<Process> process) : process_(std::move(process)) {}

  KubeResult<std::optional<std::string>> Read(const Context& ctx) override {
    while (process_->out.read.get() >= 0 || process_->err.read.get() >= 0) {
      if (closed_) {
        return Unexpected{KubeError(net::TransportError{Kind::kCanceled, "closed"})};
      }
      if (const auto error = GaveUp(ctx)) {
        return Unexpected{*error};
      }
      std::string out;
      Pump(out);
      if (!out.empty()) {
        return std::optional<std::string>(std::move(out));
      }
    }
    if (!end_) {
      end_ = ExecResult{.exit_code = process_->Wait(), .err = err_};
    }
    return std::optional<std::string>();
  }

  KubeResult<void> Write(const Context& ctx, std::string_view bytes) override {
    while (!bytes.empty()) {
      if (const auto error = GaveUp(ctx)) {
        closed_ = true;
        return Unexpected{*error};
      }
      pollfd ready{.fd = process_->in.get(), .events = POLLOUT, .revents = 0};
      (void)::poll(&ready, 1, kPollMilliseconds);
      const ssize_t sent =
          ::send(process_->in.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (closed_ || (sent < 0 && errno != EAGAIN)) {
        return Unexpected{KubeError(net::TransportError{Kind::kReset, "stdin is closed"})};
      }
      bytes.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(sent, 0)));
    }
    return {};
  }

  KubeResult<ExecResult> Ended() const override {
    return end_ ? KubeResult<ExecResult>(*end_)
                : Unexpected{KubeError(net::TransportError{Kind::kReset, "it still runs"})};
  }

  void Close() override { closed_ = true; }

 private:
  void Pump(std::string& out) {
    std::array<pollfd, 2> ready{
        pollfd{.fd = process_->out.read.get(), .events = POLLIN, .revents = 0},
        pollfd{.fd = process_->err.read.get(), .events = POLLIN, .revents = 0}};
    (void)::poll(ready.data(), ready.size(), kPollMilliseconds);
    ExecResult ignored;
    const ExecRequest no_cap{.max_output_bytes = std::string::npos};
    if (ready[0].revents != 0) {
      Take(process_->out.read, out, no_cap, ignored);
    }
    if (ready[1].revents != 0) {
      Take(process_->err.read, err_, no_cap, ignored);
      err_.erase(0, err_.size() - std::min<std::size_t>(err_.size(), 4096));
    }
  }

  const std::unique_ptr<Process> process_;
  std::atomic<bool> closed_ = false;
  std::string err_;
  std::optional<ExecResult> end_;
};

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

std::optional<KubeError> FakePodExec::Problem(const ExecRequest& request) {
  const std::lock_guard lock(mutex_);
  const auto pod = containers_.find(request.ns + "/" + request.pod);
  if (pod == containers_.end()) {
    return Refused(404, "NotFound", "pods \"" + request.pod + "\" not found");
  }
  if (!pod->second.contains(request.container)) {
    return Refused(400, "BadRequest", "container " + request.container + " is not valid for pod");
  }
  return std::nullopt;
}

KubeResult<std::unique_ptr<kube::ExecStream>> FakePodExec::Open(const Context& /*ctx*/,
                                                                const ExecRequest& request) {
  if (const auto problem = Problem(request)) {
    return Unexpected{*problem};
  }
  auto process = std::make_unique<Process>();
  if (const int code = Process::Start(request.argv, *process, /*with_stdin=*/true); code != 0) {
    return Unexpected{Refused(500, "InternalError", request.argv[0] + ": " + std::strerror(code))};
  }
  return std::unique_ptr<kube::ExecStream>(std::make_unique<FakeExecStream>(std::move(process)));
}

KubeResult<ExecResult> FakePodExec::Exec(const Context& ctx, const ExecRequest& request) {
  if (const auto problem = Problem(request)) {
    return Unexpected{*problem};
  }
  Process process;
  if (const int code = Process::Start(request.argv, process, /*with_stdin=*/false); code != 0) {
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
