#include "operator/agent/process/child.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <optional>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace breakwater::agent {
namespace {

// Between fork and exec: only what is safe after fork.
[[noreturn]] void BecomeProgram(char** argv, int output, int error, pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) {
    _exit(127);  // the parent ended before it could be noted
  }
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null >= 0) {
    dup2(null, STDIN_FILENO);
  }
  if (output >= 0) {
    dup2(output, STDOUT_FILENO);
  }
  if (error >= 0) {
    dup2(error, STDERR_FILENO);
  }
  std::signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execvp(argv[0], argv);
  _exit(127);
}

int ExitCode(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

pid_t Spawn(const std::vector<std::string>& arguments, int output, int error) {
  std::vector<std::string> words = arguments;
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) {
    argv.push_back(word.data());
  }
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) {
    BecomeProgram(argv.data(), output, error, parent);
  }
  if (pid > 0) {
    setpgid(pid, pid);  // here too: whoever comes first
  }
  return pid;
}

struct Children::Child {
  explicit Child(Loop* loop) : deadline(loop) {}

  pid_t pid = -1;
  bool exited = false;
  UniqueFd output{};
  UniqueFd error{};
  std::size_t output_limit = 0;
  ChildResult result{};
  std::function<void(std::string_view)> on_bytes{};
  Done done{};
  Alarm deadline;
};

Children::Children(Loop* loop) : loop_(loop) {
  loop_->OnSignal(SIGCHLD, [this] { Reap(); });
}

Children::~Children() {
  for (const auto& [handle, child] : children_) {
    KillGroup(*child);
    loop_->Unwatch(child->output.get());
    loop_->Unwatch(child->error.get());
  }
}

Children::Child* Children::Start(const std::vector<std::string>& arguments) {
  const int handle = ++next_handle_;
  auto owned = std::make_unique<Child>(loop_);
  Child* child = owned.get();
  children_.emplace(handle, std::move(owned));
  std::array<int, 2> output{-1, -1};
  std::array<int, 2> error{-1, -1};
  if (pipe2(output.data(), O_CLOEXEC) == 0 && pipe2(error.data(), O_CLOEXEC) == 0) {
    child->output.Reset(output[0]);
    child->error.Reset(error[0]);
    child->pid = Spawn(arguments, output[1], error[1]);
  }
  for (const int fd : {output[1], error[1]}) {
    if (fd >= 0) {
      close(fd);
    }
  }
  if (child->pid < 0) {
    child->output.Reset();
    child->error.Reset();
    child->exited = true;
    // Never from inside the call that asked.
    loop_->At(loop_->Now(), [this, handle] { FinishIfComplete(handle); });
    return child;
  }
  for (const bool is_error : {false, true}) {
    const int fd = is_error ? child->error.get() : child->output.get();
    fcntl(fd, F_SETFL, O_NONBLOCK);
    loop_->Watch(fd, POLLIN, [this, handle, is_error](short) { Read(handle, is_error); });
  }
  return child;
}

void Children::Run(const std::vector<std::string>& arguments,
                   const ChildLimits& limits,
                   Done done) {
  Child* child = Start(arguments);
  const int handle = next_handle_;
  child->output_limit = limits.output_bytes;
  child->done = std::move(done);
  child->deadline.SetAfter(limits.time, [this, handle] {
    Child& late = *children_.at(handle);
    late.result.timed_out = true;
    KillGroup(late);
    // It may hang in the kernel, or have left a pipe to somebody: nobody waits for that.
    Finish(handle);
  });
}

int Children::Stream(const std::vector<std::string>& arguments,
                     std::function<void(std::string_view bytes)> on_bytes,
                     Done done) {
  Child* child = Start(arguments);
  child->on_bytes = std::move(on_bytes);
  child->done = std::move(done);
  return next_handle_;
}

void Children::Kill(int handle) {
  const auto it = children_.find(handle);
  if (it != children_.end()) {
    KillGroup(*it->second);
  }
}

void Children::KillGroup(const Child& child) const {
  if (child.pid > 0 && !child.exited) {
    kill(-child.pid, SIGKILL);
    kill(child.pid, SIGKILL);
  }
}

void Children::Read(int handle, bool error) {
  const auto it = children_.find(handle);
  if (it == children_.end()) {
    return;
  }
  Child& child = *it->second;
  UniqueFd& fd = error ? child.error : child.output;
  std::array<char, 65536> buffer{};
  const ssize_t size = ::read(fd.get(), buffer.data(), buffer.size());
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
    return;
  }
  if (size <= 0) {
    loop_->Unwatch(fd.get());
    fd.Reset();
    if (child.on_bytes && !error) {
      KillGroup(child);  // a stream that has nothing more to say
    }
    FinishIfComplete(handle);
    return;
  }
  const std::string_view bytes(buffer.data(), static_cast<std::size_t>(size));
  if (error) {
    child.result.error += bytes.substr(0, kMaxErrorBytes - child.result.error.size());
  } else if (child.on_bytes) {
    const auto on_bytes = child.on_bytes;
    on_bytes(bytes);  // may end the child
  } else {
    const std::string_view kept = bytes.substr(0, child.output_limit - child.result.output.size());
    child.result.output += kept;
    child.result.truncated = child.result.truncated || kept.size() < bytes.size();
  }
}

void Children::Reap() {
  std::vector<int> ended;
  int status = 0;
  for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    // Not found: it was given up at its time limit.
    const auto it = std::find_if(children_.begin(), children_.end(),
                                 [pid](const auto& entry) { return entry.second->pid == pid; });
    if (it != children_.end()) {
      it->second->exited = true;
      it->second->result.exit_code = ExitCode(status);
      ended.push_back(it->first);
    }
  }
  for (const int handle : ended) {
    FinishIfComplete(handle);
  }
}

void Children::FinishIfComplete(int handle) {
  const auto it = children_.find(handle);
  if (it != children_.end() && it->second->exited && !it->second->output.valid() &&
      !it->second->error.valid()) {
    Finish(handle);
  }
}

void Children::Finish(int handle) {
  const auto it = children_.find(handle);
  const std::unique_ptr<Child> child = std::move(it->second);
  children_.erase(it);
  child->deadline.Clear();
  for (UniqueFd* fd : {&child->output, &child->error}) {
    if (fd->valid()) {
      loop_->Unwatch(fd->get());
    }
  }
  if (child->done) {
    child->done(std::move(child->result));
  }
}

}  // namespace breakwater::agent
