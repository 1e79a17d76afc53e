#include "operator/runtime/manager.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "operator/runtime/mini_kube.h"
#include "operator/runtime/test_support.h"

namespace breakwater::runtime {
namespace {

using std::chrono::seconds;
using Names = std::vector<std::string>;

/// Notes what happens in which order.
class Journal {
 public:
  void Note(std::string line) {
    const std::lock_guard lock(mutex_);
    lines_.push_back(std::move(line));
  }

  Names lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }

  bool Has(const std::string& line) const {
    const Names all = lines();
    return std::find(all.begin(), all.end(), line) != all.end();
  }

  Runnable Part(const std::string& name) {
    return {.name = name,
            .start = [this, name](const Context&) -> Result<void, Error> {
              Note("start " + name);
              return {};
            },
            .stop = [this, name] { Note("stop " + name); }};
  }

 private:
  mutable std::mutex mutex_;
  Names lines_;
};

class NotingReconciler final : public Reconciler {
 public:
  NotingReconciler(Journal& journal, std::string name)
      : journal_(journal), name_(std::move(name)) {}

  Result<Requeue, Error> Reconcile(const Context& ctx, const api::ObjectKey& key) override {
    journal_.Note(name_ + " " + key.name);
    if (key.name == "slow") {
      ctx.SleepFor(seconds(60));
      journal_.Note(ctx.canceled() ? "slow canceled" : "slow done");
    }
    return Requeue{};
  }

 private:
  Journal& journal_;
  const std::string name_;
};

class ManagerTest : public ::testing::Test {
 protected:
  ~ManagerTest() override {
    if (thread_.joinable()) {  // a failed test must not hang in a wait on the fake clock
      thread_.request_stop();
      AdvanceUntil(services_.clock, seconds(1), [this] { return ended_.load(); });
    }
  }

  void Make(bool election) {
    ManagerOptions options{.grace = seconds(30)};
    if (election) {
      options.leader_election = LeaderElectorOptions{.ns = "op", .name = "lease", .identity = "me"};
    }
    manager_ = std::make_unique<Manager>(services_, client_, options);
  }

  void AddObject(const std::string& name) {
    (void)server_.Write(
        {"ConfigMap", "ns", name}, [](const api::Json*) { return std::nullopt; },
        [&](const api::Json*) { return Item(name, "1"); });
  }

  void Run() {
    thread_ = std::jthread([this](const std::stop_token& stop) {
      const Result<void, Error> result = manager_->Run(stop);
      journal_.Note(result ? "ended well" : "ended: " + result.error().message);
      ended_ = true;
    });
  }

  void StopAndJoin() {
    thread_.request_stop();
    thread_.join();
  }

  std::string Holder() const {
    const auto lease = server_.Find({"Lease", "op", "lease"});
    return lease ? lease->at("spec").at("holderIdentity").get<std::string>() : "none";
  }

  TestServices services_;
  MiniKube server_;
  MiniKubeClient client_{server_};
  Journal journal_;
  NotingReconciler reconciler_{journal_, "reconcile"};
  std::unique_ptr<Manager> manager_;
  std::atomic<bool> ended_{false};
  std::jthread thread_;
};

// Breaks: work without leadership, traffic before readiness, a lease that is free while we still
// write.
TEST_F(ManagerTest, StartsAndStopsInOrder) {
  AddObject("a");
  Make(true);
  Store& store = manager_->AddStore(ConfigMaps());
  EXPECT_EQ(&store, &manager_->AddStore(ConfigMaps())) << "shared";
  manager_->AddController({.name = "c", .workers = 1}, reconciler_).WatchSelf(store);
  manager_->AddLeaderRunnable(
      {.name = "leader part",
       .start = [this, &store](const Context&) -> Result<void, Error> {
         journal_.Note("start leader part, holder " + Holder() +
                       (store.Synced() ? ", synced" : ", not synced"));
         return {};
       },
       .stop = [this] { journal_.Note("stop leader part, holder " + Holder()); }});
  manager_->AddRunnable(journal_.Part("everywhere"));
  EXPECT_FALSE(services_.health.Ready().ok);
  Run();
  ASSERT_TRUE(Eventually([&] { return journal_.Has("reconcile a"); }));
  EXPECT_TRUE(manager_->IsLeader());
  EXPECT_TRUE(services_.health.Ready().ok);
  EXPECT_EQ(services_.metrics.Gauge("breakwater_leader", "").Value(), 1);
  EXPECT_LT(Took([&] { StopAndJoin(); }), kPromptly);
  EXPECT_EQ(journal_.lines(),
            (Names{"start everywhere", "start leader part, holder me, synced", "reconcile a",
                   "stop leader part, holder me", "stop everywhere", "ended well"}));
  EXPECT_EQ(Holder(), "") << "released, last";
}

// Breaks: on a development cluster without election nothing works.
TEST_F(ManagerTest, WorksWithoutElection) {
  AddObject("a");
  Make(false);
  manager_->AddController({.name = "c"}, reconciler_).WatchSelf(manager_->AddStore(ConfigMaps()));
  Run();
  EXPECT_TRUE(Eventually([&] { return journal_.Has("reconcile a"); }));
  StopAndJoin();
  EXPECT_EQ(Holder(), "none");
}

// Breaks: two replicas reconcile; or a standby does not serve what each replica serves.
TEST_F(ManagerTest, AStandbyRunsOnlyWhatRunsEverywhere) {
  AddObject("a");
  MiniKubeClient other(server_);
  LeaderElector leader(services_, other, {.ns = "op", .name = "lease", .identity = "other"});
  leader.Start({});
  ASSERT_TRUE(leader.WaitElected(services_.Ctx()));
  Make(true);
  Store& store = manager_->AddStore(ConfigMaps());
  NotingReconciler everywhere(journal_, "everywhere");
  manager_->AddController({.name = "c"}, reconciler_).WatchSelf(store);
  manager_->AddController({.name = "d", .leader_only = false}, everywhere).WatchSelf(store);
  Run();
  EXPECT_TRUE(Eventually([&] { return journal_.Has("everywhere a"); }));
  EXPECT_TRUE(services_.health.Ready().ok) << "a standby is ready, or a rollout would never end";
  EXPECT_LT(Took([&] { StopAndJoin(); }), kPromptly);
  EXPECT_FALSE(journal_.Has("reconcile a"));
  EXPECT_TRUE(journal_.Has("ended well"));
  EXPECT_EQ(Holder(), "other");
}

// Breaks: after a lost lease two replicas work at the same time.
TEST_F(ManagerTest, ALostLeaseEndsTheProcessAtOnceWithAnError) {
  AddObject("slow");
  Make(true);
  manager_->AddController({.name = "c"}, reconciler_).WatchSelf(manager_->AddStore(ConfigMaps()));
  Run();
  ASSERT_TRUE(Eventually([&] { return journal_.Has("reconcile slow"); }));
  client_.SetFault(MiniKubeClient::Fault::kFail);
  EXPECT_TRUE(AdvanceUntil(services_.clock, std::chrono::milliseconds(100),
                           [&] { return journal_.Has("ended: leadership lost"); }));
  EXPECT_TRUE(journal_.Has("slow canceled")) << "no grace";
  EXPECT_EQ(Holder(), "me") << "not released: another may hold it by now";
}

// Breaks: a DRBD command is cut off in the middle although there was time to let it end.
TEST_F(ManagerTest, RunningReconcilesGetAGraceAtStop) {
  AddObject("slow");
  services_.log = Logger(
      [this](std::string_view line) {
        if (line.find(R"("msg":"stopping")") != std::string_view::npos) {
          journal_.Note("stopping");
        }
      },
      LogLevel::kInfo, services_.clock);
  Make(false);
  manager_->AddController({.name = "c", .workers = 1}, reconciler_)
      .WatchSelf(manager_->AddStore(ConfigMaps()));
  Run();
  ASSERT_TRUE(Eventually([&] { return journal_.Has("reconcile slow"); }));
  thread_.request_stop();
  ASSERT_TRUE(Eventually([&] { return journal_.Has("stopping"); }));
  services_.clock.WaitForSleepers(3);  // reconcile, reflector, the wait for the grace
  services_.clock.Advance(seconds(29));
  EXPECT_FALSE(journal_.Has("slow canceled"));
  services_.clock.Advance(seconds(1));
  EXPECT_TRUE(Eventually([&] { return journal_.Has("ended well"); }));
  EXPECT_TRUE(journal_.Has("slow canceled"));
}

// Breaks: a part that cannot start leaves a process that does half its work and looks alive.
TEST_F(ManagerTest, APartThatCannotStartEndsTheRun) {
  Make(false);
  manager_->AddRunnable(journal_.Part("first"));
  manager_->AddRunnable({.name = "second", .start = [](const Context&) -> Result<void, Error> {
                           return Unexpected{Error{.message = "no memory"}};
                         }});
  Run();
  thread_.join();
  EXPECT_EQ(journal_.lines(),
            (Names{"start first", "stop first", "ended: start second: no memory"}));
}

// Breaks: an operator without rights cannot even be stopped.
TEST_F(ManagerTest, CanBeStoppedWhileItWaitsForTheStores) {
  client_.SetFault(MiniKubeClient::Fault::kFail);
  Make(true);
  manager_->AddStore(ConfigMaps());
  Run();
  services_.clock.WaitForSleepers(2);
  EXPECT_NE(services_.health.Ready().text.find("store configmaps: not synced"), std::string::npos);
  EXPECT_LT(Took([&] { StopAndJoin(); }), kPromptly);
  EXPECT_TRUE(journal_.Has("ended well"));
}

}  // namespace
}  // namespace breakwater::runtime
