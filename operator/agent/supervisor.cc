#include "operator/agent/supervisor.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <map>
#include <optional>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "operator/agent/process/child.h"
#include "operator/agent/process/guard_protocol.h"
#include "operator/agent/process/log.h"
#include "operator/agent/process/loop.h"

namespace breakwater::agent {
namespace {

using std::chrono::milliseconds;

constexpr int kWorkerFd = 3;
/// A guard that is said anew after its time, by a worker that has just been started, lets that
/// worker act for so long.
constexpr milliseconds kLateGuard{2000};
/// A killed worker and its commands are waited for; what hangs in the kernel is not.
constexpr milliseconds kDeathWait{1000};
constexpr milliseconds kResumeLimit{5000};
constexpr milliseconds kResumeRetry{1000};
constexpr int kResumeTries = 60;
/// A worker that lived shorter than this has crashed fast; the third time in a row it has to wait.
constexpr milliseconds kFastCrash{10000};
constexpr int kFreeRestarts = 2;
constexpr milliseconds kFirstBackoff{250};
constexpr milliseconds kMaxBackoff{10000};
constexpr milliseconds kMaxBackoffArmed{500};

struct Guarded {
  std::vector<int> minors{};
  SteadyTime fires{};
  bool spent = false;  ///< its time came; kept so that the same one is known again
};

class Supervisor {
 public:
  explicit Supervisor(const SupervisorOptions& options) : options_(options) {}

  int Run();

 private:
  struct Resume {
    int minor = -1;
    int tries = 0;
    SteadyTime limit{};
  };

  void StartWorker();
  void StartWorkerAfterDeath();
  void OnWorkerDied(int status);
  void AfterDeath();
  void KillWorker(std::string_view why);
  void ReadLink();
  void OnLine(std::string_view line);
  void OnGuard(const GuardLine& line);
  void OnKeep(const KeepLine& line);
  void SetGuardAlarm();
  void FireGuards();
  void CheckSilence();
  void SetSilenceAlarm();
  bool Armed() const;
  void RunResumes();
  void StartResume(int minor, int tries);
  void OnResumeEnded(Resume resume, int exit_code);
  void CheckResumes();
  void Reap();
  bool ChildrenLeft();
  void BeginStop();
  void FinishStop();

  const SupervisorOptions options_;
  Loop loop_{};
  pid_t worker_ = -1;
  UniqueFd link_{};
  std::string input_{};
  SteadyTime started_{};
  SteadyTime heard_{};
  SteadyTime silence_due_{};
  int fast_crashes_ = 0;
  bool worker_clean_ = false;
  bool stopping_ = false;
  SteadyTime stop_limit_{};
  SteadyTime death_limit_{};
  std::map<std::string, Guarded> guards_{};
  std::vector<int> to_resume_{};       ///< as soon as the worker is dead
  std::map<pid_t, Resume> resumes_{};  ///< running
  int waiting_resumes_ = 0;            ///< retries that are due later
  Alarm guard_alarm_{&loop_};
  Alarm silence_alarm_{&loop_};
  Alarm death_alarm_{&loop_};
  Alarm start_alarm_{&loop_};
  Alarm resume_alarm_{&loop_};
  Alarm stop_alarm_{&loop_};
};

int Supervisor::Run() {
  // Commands of a worker that died come to us, so that their end is seen. As process 1 they do
  // anyway.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  std::signal(SIGPIPE, SIG_IGN);
  loop_.OnSignal(SIGCHLD, [this] { Reap(); });
  loop_.OnSignal(SIGTERM, [this] { BeginStop(); });
  loop_.OnSignal(SIGINT, [this] { BeginStop(); });
  StartWorker();
  loop_.Run();
  return worker_clean_ ? 0 : 1;
}

// The signals that we block stay blocked in the worker until it reads them itself, so that a
// SIGTERM right after its start is not lost and does not end it unprepared.
void Supervisor::StartWorker() {
  std::array<int, 2> pair{-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) {
    LogError("cannot make a socket pair for the worker");
    start_alarm_.SetAfter(kMaxBackoffArmed, [this] { StartWorker(); });
    return;
  }
  link_.Reset(pair[0]);
  fcntl(link_.get(), F_SETFL, O_NONBLOCK);
  std::vector<std::string> words = options_.worker_arguments;
  words.insert(words.end(), {"--guard-fd", std::to_string(kWorkerFd)});
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) {
    argv.push_back(word.data());
  }
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  worker_ = fork();
  if (worker_ == 0) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    const int copy = pair[1] == kWorkerFd ? dup(pair[1]) : pair[1];
    if (getppid() != parent || dup2(copy, kWorkerFd) < 0) {
      _exit(127);
    }
    execv(options_.worker_program.c_str(), argv.data());
    _exit(127);
  }
  close(pair[1]);
  started_ = heard_ = loop_.Now();
  input_.clear();
  if (worker_ < 0) {
    link_.Reset();
    LogError("cannot start the worker");
    start_alarm_.SetAfter(kMaxBackoffArmed, [this] { StartWorker(); });
    return;
  }
  loop_.Watch(link_.get(), POLLIN, [this](short) { ReadLink(); });
  SetSilenceAlarm();
  if (stopping_) {
    kill(worker_, SIGTERM);
  }
}

void Supervisor::ReadLink() {
  std::array<char, 4096> buffer{};
  while (link_.valid()) {
    const ssize_t size = ::read(link_.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) {
      continue;
    }
    if (size < 0 && errno == EAGAIN) {
      return;
    }
    if (size <= 0) {  // its end is seen by SIGCHLD
      loop_.Unwatch(link_.get());
      link_.Reset();
      return;
    }
    input_.append(buffer.data(), static_cast<std::size_t>(size));
    for (std::size_t end = 0; (end = input_.find('\n')) != std::string::npos;) {
      const std::string line = input_.substr(0, end);
      input_.erase(0, end + 1);
      OnLine(line);
    }
    if (input_.size() > kMaxGuardLine) {
      input_.clear();
      KillWorker("it talks nonsense");
    }
  }
}

void Supervisor::OnLine(std::string_view text) {
  const std::optional<WorkerLine> line = DecodeWorkerLine(text);
  if (!line) {
    LogWarn("a line of the worker is not understood");
    return;
  }
  heard_ = loop_.Now();
  if (const auto* guard = std::get_if<GuardLine>(&*line)) {
    OnGuard(*guard);
  } else if (const auto* release = std::get_if<ReleaseLine>(&*line)) {
    guards_.erase(release->id);
  } else if (const auto* keep = std::get_if<KeepLine>(&*line)) {
    OnKeep(*keep);
  }
  SetGuardAlarm();
  SetSilenceAlarm();
}

void Supervisor::OnGuard(const GuardLine& line) {
  const auto it = guards_.find(line.id);
  if (it == guards_.end() && guards_.size() >= kMaxGuards) {
    LogError("too many suspensions at one time", {{"id", line.id}});
    return;  // no answer: the worker does not suspend
  }
  const SteadyTime fires = std::max(line.until + options_.grace, loop_.Now() + kLateGuard);
  // Said again, by the same worker or by one that was started again: the time that something may
  // be suspended does not grow.
  const bool standing = it != guards_.end() && !it->second.spent;
  guards_[line.id] = {line.minors, standing ? std::min(it->second.fires, fires) : fires, false};
  const std::string answer = "ok " + line.id + "\n";
  [[maybe_unused]] const ssize_t sent =
      send(link_.get(), answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

// What the journal does not have was finished by the worker before; only its word was lost.
void Supervisor::OnKeep(const KeepLine& line) {
  std::erase_if(guards_, [&](const auto& entry) {
    return std::find(line.ids.begin(), line.ids.end(), entry.first) == line.ids.end();
  });
}

bool Supervisor::Armed() const {
  return std::any_of(guards_.begin(), guards_.end(),
                     [](const auto& entry) { return !entry.second.spent; });
}

void Supervisor::SetGuardAlarm() {
  std::optional<SteadyTime> next;
  for (const auto& [id, guard] : guards_) {
    if (!guard.spent && (!next || guard.fires < *next)) {
      next = guard.fires;
    }
  }
  if (!next) {
    guard_alarm_.Clear();
  } else {
    guard_alarm_.Set(*next, [this] { FireGuards(); });
  }
}

void Supervisor::FireGuards() {
  ReadLink();  // its release may be on the way, after we were paused ourselves
  for (auto& [id, guard] : guards_) {
    if (!guard.spent && guard.fires <= loop_.Now()) {
      guard.spent = true;
      to_resume_.insert(to_resume_.end(), guard.minors.begin(), guard.minors.end());
      LogError("a suspension was not ended in time: resuming", {{"id", id}});
    }
  }
  SetGuardAlarm();
  if (to_resume_.empty()) {
    return;
  }
  if (worker_ > 0) {
    KillWorker("it did not end a suspension in time");
  } else if (!death_alarm_.set()) {
    RunResumes();
  }
}

void Supervisor::SetSilenceAlarm() {
  if (worker_ <= 0) {
    silence_alarm_.Clear();
    return;
  }
  silence_due_ = heard_ + (Armed() ? options_.hung_armed : options_.hung);
  silence_alarm_.Set(silence_due_, [this] { CheckSilence(); });
}

void Supervisor::CheckSilence() {
  const SteadyTime due = silence_due_;
  ReadLink();
  if (loop_.Now() - due > milliseconds(1000)) {
    heard_ = loop_.Now();  // we were paused ourselves, and the worker with us
  }
  if (heard_ + (Armed() ? options_.hung_armed : options_.hung) <= loop_.Now()) {
    KillWorker("it hangs");
  } else {
    SetSilenceAlarm();
  }
}

void Supervisor::KillWorker(std::string_view why) {
  if (worker_ <= 0) {
    return;
  }
  LogError("killing the worker", {{"reason", why}});
  kill(worker_, SIGKILL);
  silence_alarm_.Clear();
  if (!death_alarm_.set()) {
    death_limit_ = loop_.Now() + kDeathWait;
    death_alarm_.Set(death_limit_, [this] { AfterDeath(); });
  }
}

void Supervisor::Reap() {
  int status = 0;
  for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (pid == worker_) {
      OnWorkerDied(status);
    } else if (const auto it = resumes_.find(pid); it != resumes_.end()) {
      const Resume resume = it->second;
      resumes_.erase(it);
      OnResumeEnded(resume, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    }
  }
  if (death_alarm_.set() && worker_ <= 0 && !ChildrenLeft()) {
    AfterDeath();
  }
}

void Supervisor::OnWorkerDied(int status) {
  ReadLink();  // its last words
  worker_ = -1;
  silence_alarm_.Clear();
  if (link_.valid()) {
    loop_.Unwatch(link_.get());
    link_.Reset();
  }
  worker_clean_ = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (!stopping_ || !worker_clean_) {
    LogWarn("the worker ended",
            {{WIFEXITED(status) ? "exit" : "signal",
              std::to_string(WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status))}});
  }
  // Its commands die with it (PR_SET_PDEATHSIG); until they have, a late suspend-io may still come.
  death_limit_ = loop_.Now() + kDeathWait;
  death_alarm_.Set(death_limit_, [this] { AfterDeath(); });
}

bool Supervisor::ChildrenLeft() {
  siginfo_t info{};
  return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

void Supervisor::AfterDeath() {
  death_alarm_.Clear();
  if (!to_resume_.empty()) {
    RunResumes();
  }
  if (worker_ > 0 && !(stopping_ && loop_.Now() >= stop_limit_)) {
    return;  // killed, and hangs in the kernel; its death comes later
  }
  if (!stopping_) {
    StartWorkerAfterDeath();
  } else if (worker_ <= 0 && !worker_clean_ && loop_.Now() + kLateGuard < stop_limit_) {
    StartWorker();  // to bring to its safe end what the other one left
  } else {
    FinishStop();
  }
}

void Supervisor::StartWorkerAfterDeath() {
  fast_crashes_ = loop_.Now() - started_ < kFastCrash ? fast_crashes_ + 1 : 0;
  if (fast_crashes_ <= kFreeRestarts) {
    StartWorker();
    return;
  }
  const int doubled = std::min(fast_crashes_ - kFreeRestarts - 1, 6);
  const milliseconds wait = std::min(kFirstBackoff * (1 << doubled), kMaxBackoff);
  start_alarm_.SetAfter(Armed() ? std::min(wait, kMaxBackoffArmed) : wait,
                        [this] { StartWorker(); });
}

void Supervisor::RunResumes() {
  std::vector<int> minors;
  std::swap(minors, to_resume_);
  std::sort(minors.begin(), minors.end());
  minors.erase(std::unique(minors.begin(), minors.end()), minors.end());
  for (const int minor : minors) {
    StartResume(minor, 1);
  }
}

void Supervisor::StartResume(int minor, int tries) {
  const pid_t pid = Spawn({"drbdsetup", "resume-io", std::to_string(minor)}, -1, -1);
  const Resume resume{minor, tries, loop_.Now() + kResumeLimit};
  if (pid < 0) {
    OnResumeEnded(resume, -1);
    return;
  }
  resumes_.emplace(pid, resume);
  if (!resume_alarm_.set()) {
    resume_alarm_.Set(resume.limit, [this] { CheckResumes(); });
  }
}

void Supervisor::CheckResumes() {
  for (auto& [pid, resume] : resumes_) {
    if (resume.limit <= loop_.Now()) {
      kill(-pid, SIGKILL);
      resume.limit = loop_.Now() + kResumeLimit;
    }
  }
  if (!resumes_.empty()) {
    resume_alarm_.SetAfter(kResumeRetry, [this] { CheckResumes(); });
  }
}

void Supervisor::OnResumeEnded(Resume resume, int exit_code) {
  const std::string minor = std::to_string(resume.minor);
  if (exit_code == 0) {
    LogInfo("resumed", {{"minor", minor}});
  } else if (resume.tries >= kResumeTries) {
    LogError("cannot resume, giving up", {{"minor", minor}, {"exit", std::to_string(exit_code)}});
  } else {
    LogError("cannot resume, trying again",
             {{"minor", minor}, {"exit", std::to_string(exit_code)}});
    ++waiting_resumes_;
    loop_.After(kResumeRetry, [this, resume] {
      --waiting_resumes_;
      StartResume(resume.minor, resume.tries + 1);
    });
  }
  if (stopping_ && worker_ <= 0 && !death_alarm_.set()) {
    FinishStop();
  }
}

void Supervisor::BeginStop() {
  if (stopping_) {
    return;
  }
  LogInfo("stopping");
  stopping_ = true;
  stop_limit_ = loop_.Now() + options_.stop;
  stop_alarm_.Set(stop_limit_, [this] {
    KillWorker("it did not come to its safe end in time");
    FinishStop();
  });
  start_alarm_.Clear();
  if (worker_ > 0) {
    kill(worker_, SIGTERM);
  } else if (!death_alarm_.set()) {
    StartWorker();  // it was waiting for its next start; somebody must look at the journal
  }
}

// The end, when nothing is suspended any more, or when there is no time left.
void Supervisor::FinishStop() {
  if (worker_ > 0 && loop_.Now() < stop_limit_) {
    return;
  }
  for (auto& [id, guard] : guards_) {
    if (!guard.spent) {
      guard.spent = true;
      to_resume_.insert(to_resume_.end(), guard.minors.begin(), guard.minors.end());
      LogError("resuming at the end", {{"id", id}});
    }
  }
  SetGuardAlarm();
  if (worker_ > 0 && death_alarm_.set()) {
    return;  // AfterDeath comes back
  }
  RunResumes();
  if (resumes_.empty() && (waiting_resumes_ == 0 || loop_.Now() > stop_limit_ + kDeathWait)) {
    loop_.Stop();
  }
}

}  // namespace

int RunSupervisor(const SupervisorOptions& options) {
  return Supervisor(options).Run();
}

}  // namespace breakwater::agent
