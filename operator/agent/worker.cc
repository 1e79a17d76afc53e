#include "operator/agent/worker.h"

#include <csignal>
#include <random>
#include <utility>

#include <sys/prctl.h>
#include <sys/utsname.h>

#include "operator/agent/act/runner.h"
#include "operator/agent/process/child.h"
#include "operator/agent/process/guard_client.h"
#include "operator/agent/process/journal_files.h"
#include "operator/agent/process/log.h"
#include "operator/agent/process/loop.h"
#include "operator/agent/talk/server.h"
#include "operator/agent/watch/drbd_kernel.h"
#include "operator/agent/watch/node_watch.h"
#include "operator/core/replication/node/text.h"

namespace breakwater::agent {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kStopLimit{24000};  // the supervisor kills after 25 s
constexpr milliseconds kLastWords{100};    // so that results reach the operator
constexpr milliseconds kListenAgain{2000};

std::string BootId() {
  return std::string(
      replication::Trim(ReadSmallFile("/proc/sys/kernel/random/boot_id", 128).value_or("")));
}

// DRBD's configuration knows a node by its kernel's name, LINSTOR by its own; mostly the same.
std::set<std::string> OwnNames(const std::string& node) {
  std::set<std::string> names{node};
  utsname kernel{};
  if (uname(&kernel) == 0) {
    names.insert(static_cast<const char*>(kernel.nodename));
  }
  return names;
}

class Worker final : public NodeWatchListener, public RunnerEvents, public ServerBackend {
 public:
  explicit Worker(const WorkerOptions& options)
      : boot_(BootId()),
        children_(&loop_),
        guard_(&loop_, UniqueFd(options.guard_fd), [this] { Stop("the supervisor is gone"); }),
        journal_(options.run_dir + "/journal"),
        kernel_(&loop_, &children_),
        watch_(&loop_,
               &children_,
               {.own_names = OwnNames(options.node),
                .res_dir = options.res_dir,
                .files_by_cat = options.files_by_cat,
                .pace = options.pace},
               this),
        server_(&loop_,
                {.path = options.run_dir + "/agent.sock", .node = options.node, .boot = boot_},
                this),
        runner_({.boot = boot_}, &kernel_, &journal_, &guard_, &RealClock(), this, [this] {
          return static_cast<std::uint32_t>(random_());
        }) {}

  int Run();

  // NodeWatchListener
  void OnEvent(const std::string& resource) override { runner_.NoteChange(resource); }

  void OnEventAll() override { runner_.NoteChangeAll(); }

  void OnResource(const std::string& name) override { server_.ResourceChanged(name); }

  void OnFacts() override { server_.FactsChanged(); }

  void OnFirstReport() override { server_.SetReady(); }

  // RunnerEvents
  void OnProgress(const replication::ProgressMessage& progress) override { server_.Tell(progress); }

  void OnResult(const replication::ResultMessage& result) override { server_.Tell(result); }

  void OnLog(const std::string& line) override { LogInfo(line); }

  // ServerBackend
  const Resources& resources() const override { return watch_.resources(); }

  const replication::NodeFactsMessage& facts() const override { return watch_.facts(); }

  std::vector<replication::ProgressMessage> Progress() const override { return runner_.Progress(); }

  std::int64_t epoch() const override { return runner_.epoch(); }

  void OnHello(std::int64_t epoch) override { runner_.NoteEpoch(epoch); }

  void OnRequest(const replication::TransactionRequest& request) override {
    runner_.Handle(request);
  }

  void OnCancel(const std::string& id) override { runner_.Cancel(id); }

 private:
  void Restore();
  void Listen();
  void Stop(std::string_view why);
  void BeforeWait();

  Loop loop_{};
  const std::string boot_;
  std::random_device random_{};
  Children children_;
  GuardClient guard_;
  JournalFiles journal_;
  DrbdKernel kernel_;
  NodeWatch watch_;
  Server server_;
  Runner runner_;
  bool stopping_ = false;
  bool ended_ = false;
  int exit_code_ = 0;
  Alarm wake_{&loop_};
  Alarm listen_again_{&loop_};
};

int Worker::Run() {
  loop_.OnSignal(SIGTERM, [this] { Stop("SIGTERM"); });
  loop_.OnSignal(SIGINT, [this] { Stop("SIGINT"); });
  LogInfo("the agent starts", {{"version", BREAKWATER_AGENT_VERSION}, {"boot", boot_}});
  Restore();
  Listen();
  watch_.Start();
  loop_.BeforeWait([this] { BeforeWait(); });
  loop_.Run();
  LogInfo("the agent ends", {{"exit", std::to_string(exit_code_)}});
  return exit_code_;
}

void Worker::Restore() {
  runner_.Restore();
  guard_.Keep(journal_.Ids());
  for (const replication::ResultMessage& result : journal_.Results()) {
    server_.Keep(result);
  }
  watch_.SetProblem(journal_.Problem());
}

void Worker::Listen() {
  const Result<void, Error> listening = server_.Start();
  if (!listening) {
    LogError("cannot listen", {{"error", listening.error().message}});
    listen_again_.SetAfter(kListenAgain, [this] { Listen(); });
  }
}

// The Runner has no timer of its own: what it wants to do next may change with every callback.
void Worker::BeforeWait() {
  runner_.Tick();
  if (const std::optional<SteadyTime> next = runner_.NextWake()) {
    wake_.Set(*next, [] {});
  } else {
    wake_.Clear();
  }
  if (stopping_ && runner_.Idle() && !std::exchange(ended_, true)) {
    loop_.After(kLastWords, [this] { loop_.Stop(); });
  }
}

void Worker::Stop(std::string_view why) {
  if (std::exchange(stopping_, true)) {
    return;
  }
  LogInfo("stopping: everything goes to its safe end", {{"reason", why}});
  runner_.CancelAll();
  loop_.After(kStopLimit, [this] {
    LogError("not everything came to its safe end in time");
    exit_code_ = 1;
    loop_.Stop();
  });
}

}  // namespace

int RunWorker(const WorkerOptions& options) {
  std::signal(SIGPIPE, SIG_IGN);
  prctl(PR_SET_NAME, "breakwater-work");
  Worker worker(options);
  return worker.Run();
}

}  // namespace breakwater::agent
