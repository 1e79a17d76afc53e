#include "operator/runtime/leader_elector.h"

#include <atomic>
#include <memory>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "operator/runtime/mini_kube.h"
#include "operator/runtime/test_support.h"

namespace breakwater::runtime {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Fault = MiniKubeClient::Fault;

/// One operator process that wants to lead.
struct Replica {
  Replica(TestServices& services, MiniKube& server, const std::string& name)
      : client(server),
        elector(services, client, {.ns = "op", .name = "lease", .identity = name}) {}

  void Start() {
    elector.Start([this] { lost = true; });
  }

  MiniKubeClient client;
  LeaderElector elector;
  std::atomic<bool> lost{false};
};

class LeaderElectorTest : public ::testing::Test {
 protected:
  bool Advance(const std::function<bool()>& condition) {
    return AdvanceUntil(services_.clock, milliseconds(50), condition);
  }

  std::string Holder() const {
    const auto lease = server_.Find({"Lease", "op", "lease"});
    return lease ? lease->at("spec").at("holderIdentity").get<std::string>() : "none";
  }

  TestServices services_;
  MiniKube server_;
  Replica a_{services_, server_, "a"};
  Replica b_{services_, server_, "b"};
};

// Breaks: a single replica never starts to work.
TEST_F(LeaderElectorTest, TheFirstCandidateLeadsAtOnce) {
  a_.Start();
  const auto token = a_.elector.WaitElected(services_.Ctx());
  ASSERT_TRUE(token);
  EXPECT_FALSE(token->stop_requested());
  EXPECT_EQ(Holder(), "a");
  const auto lease = server_.Find({"Lease", "op", "lease"});
  EXPECT_EQ(lease->at("spec").at("leaseDurationSeconds"), 15);
  EXPECT_EQ(lease->at("spec").at("renewTime"), "2026-01-01T00:00:00.000000Z");
}

// Breaks: two replicas fight over every object.
TEST_F(LeaderElectorTest, ASecondCandidateWaitsWhileTheLeaderRenews) {
  a_.Start();
  ASSERT_TRUE(a_.elector.WaitElected(services_.Ctx()));
  b_.Start();
  for (int period = 0; period < 40; ++period) {
    services_.clock.WaitForSleepers(4);  // both renewal threads and both watchdogs
    const std::size_t renewals = a_.client.calls().size();
    const std::size_t looks = b_.client.calls().size();
    services_.clock.Advance(seconds(2));
    ASSERT_TRUE(Eventually([&] {
      return a_.client.calls().size() >= renewals + 1 && b_.client.calls().size() > looks;
    }));
    ASSERT_TRUE(a_.elector.IsLeader());
    ASSERT_FALSE(b_.elector.IsLeader());
  }
}

// Breaks: a rolling update of the operator leaves the cluster without a leader for 15 s.
TEST_F(LeaderElectorTest, ACleanStopHandsOverWithoutWaiting) {
  a_.Start();
  ASSERT_TRUE(a_.elector.WaitElected(services_.Ctx()));
  b_.Start();
  ASSERT_TRUE(Eventually([&] { return !b_.client.calls().empty(); }));
  const SteadyTime start = services_.clock.SteadyNow();
  EXPECT_LT(Took([&] { a_.elector.Stop(true); }), kPromptly);
  EXPECT_TRUE(Advance([&] { return b_.elector.IsLeader(); }));
  EXPECT_LT(services_.clock.SteadyNow() - start, seconds(10))
      << "much less than the lease duration";
  EXPECT_FALSE(a_.lost) << "a clean stop is no loss";
  const auto lease = server_.Find({"Lease", "op", "lease"});
  EXPECT_EQ(lease->at("spec").at("leaseTransitions"), 1);
}

// Breaks: after a crash of the leader nobody takes over, or somebody does it too early.
TEST_F(LeaderElectorTest, TakesOverAfterTheLeaseDurationOfSilence) {
  a_.Start();
  ASSERT_TRUE(a_.elector.WaitElected(services_.Ctx()));
  b_.Start();
  ASSERT_TRUE(Eventually([&] { return !b_.client.calls().empty(); }));
  services_.clock.WaitForSleepers(4);
  a_.client.SetFault(Fault::kFail);
  const SteadyTime start = services_.clock.SteadyNow();
  EXPECT_TRUE(Advance([&] { return b_.elector.IsLeader(); }));
  EXPECT_GE(services_.clock.SteadyNow() - start, seconds(15));
  EXPECT_FALSE(a_.elector.IsLeader());
}

// Breaks: `kubectl delete lease` makes a standby lead while the old leader, which cannot see that,
// still works.
TEST_F(LeaderElectorTest, ADeletedLeaseIsTakenOnlyAfterItsDuration) {
  a_.Start();
  ASSERT_TRUE(a_.elector.WaitElected(services_.Ctx()));
  b_.Start();
  ASSERT_TRUE(Eventually([&] { return !b_.client.calls().empty(); }));
  services_.clock.WaitForSleepers(4);
  a_.client.SetFault(Fault::kFail);
  ASSERT_TRUE(server_.Erase({"Lease", "op", "lease"}));
  const SteadyTime start = services_.clock.SteadyNow();
  EXPECT_TRUE(Advance([&] { return b_.elector.IsLeader(); }));
  EXPECT_GE(services_.clock.SteadyNow() - start, seconds(15));
  EXPECT_FALSE(a_.elector.IsLeader());
}

// Breaks: `kubectl delete lease` ends a healthy leader.
TEST_F(LeaderElectorTest, TheLeaderMakesADeletedLeaseAgain) {
  a_.Start();
  ASSERT_TRUE(a_.elector.WaitElected(services_.Ctx()));
  ASSERT_TRUE(server_.Erase({"Lease", "op", "lease"}));
  EXPECT_TRUE(Advance([&] { return Holder() == "a"; }));
  EXPECT_FALSE(a_.lost);
}

// Breaks: one connection that is silently dead costs the leadership: the attempt that hung on it
// must leave room for another one.
TEST_F(LeaderElectorTest, OneHangingAttemptDoesNotEndLeadership) {
  a_.Start();
  ASSERT_TRUE(a_.elector.WaitElected(services_.Ctx()));
  services_.clock.WaitForSleepers(2);
  a_.client.SetFault(Fault::kHang);
  const std::size_t calls = a_.client.calls().size();
  ASSERT_TRUE(Advance([&] { return a_.client.calls().size() > calls; }));
  a_.client.SetFault(Fault::kNone);  // what hangs goes on hanging
  const SteadyTime start = services_.clock.SteadyNow();
  EXPECT_TRUE(Advance([&] { return services_.clock.SteadyNow() - start > seconds(30); }));
  EXPECT_TRUE(a_.elector.IsLeader());
  EXPECT_FALSE(a_.lost);
}

// Breaks: a leader that lost its connection goes on writing while the next one already works.
TEST_F(LeaderElectorTest, TheLeaderStopsAtTheRenewDeadline) {
  for (const Fault fault : {Fault::kFail, Fault::kHang, Fault::kLoseReply}) {
    MiniKube server;
    Replica leader(services_, server, "a");
    leader.Start();
    const auto token = leader.elector.WaitElected(services_.Ctx());
    ASSERT_TRUE(token);
    services_.clock.WaitForSleepers(2);
    leader.client.SetFault(fault);
    services_.clock.Advance(seconds(10));
    EXPECT_FALSE(leader.elector.IsLeader()) << "at once, whatever the threads do";
    EXPECT_TRUE(Eventually([&] { return leader.lost.load(); }));
    EXPECT_TRUE(token->stop_requested());
    EXPECT_FALSE(leader.elector.WaitElected(services_.Ctx())) << "the process has to end";
  }
}

// Breaks: somebody who takes the lease by force (kubectl edit) is ignored.
TEST_F(LeaderElectorTest, ALeaseOfAnotherHolderEndsLeadership) {
  a_.Start();
  ASSERT_TRUE(a_.elector.WaitElected(services_.Ctx()));
  (void)server_.Write(
      {"Lease", "op", "lease"}, [](const api::Json*) { return std::nullopt; },
      [](const api::Json* present) {
        api::Json lease = *present;
        lease["spec"]["holderIdentity"] = "other";
        return lease;
      });
  EXPECT_TRUE(Advance([&] { return a_.lost.load(); }));
  EXPECT_EQ(Holder(), "other");
}

// Breaks: a foreign clock that is years off gives or takes leadership.
TEST_F(LeaderElectorTest, NeverLooksAtTheWallClockOfOthers) {
  (void)server_.Write(
      {"Lease", "op", "lease"}, [](const api::Json*) { return std::nullopt; },
      [](const api::Json*) {
        return api::Json{{"spec",
                          {{"holderIdentity", "other"},
                           {"leaseDurationSeconds", 15},
                           {"renewTime", "1999-01-01T00:00:00.000000Z"}}}};
      });
  a_.Start();
  const SteadyTime start = services_.clock.SteadyNow();
  EXPECT_TRUE(Advance([&] { return a_.elector.IsLeader(); }));
  EXPECT_GE(services_.clock.SteadyNow() - start, seconds(15));
}

// Breaks: one malformed lease crashes every replica in a loop, or nobody ever leads again.
TEST_F(LeaderElectorTest, AMalformedLeaseIsMended) {
  (void)server_.Write(
      {"Lease", "op", "lease"}, [](const api::Json*) { return std::nullopt; },
      [](const api::Json*) {
        return api::Json{{"spec", "text"}};
      });
  a_.Start();
  EXPECT_TRUE(Advance([&] { return a_.elector.IsLeader(); }));
  EXPECT_EQ(Holder(), "a");
}

// Breaks: a leader that was frozen for longer than its lease writes once more when it wakes up,
// before any of its threads noticed.
TEST_F(LeaderElectorTest, TheFenceClosesByTheClockAlone) {
  net::WriteFence fence(services_.clock);
  EXPECT_TRUE(fence.IsOpen());
  MiniKubeClient client(server_);
  LeaderElector elector(services_, client,
                        {.ns = "op", .name = "lease", .identity = "a", .fence = &fence});
  EXPECT_FALSE(fence.IsOpen()) << "nothing may be written before the election";
  elector.Start([] {});
  ASSERT_TRUE(elector.WaitElected(services_.Ctx()));
  EXPECT_TRUE(fence.IsOpen());
  services_.clock.WaitForSleepers(2);
  client.SetFault(Fault::kHang);
  services_.clock.Advance(seconds(10));
  EXPECT_FALSE(fence.IsOpen());
  elector.Stop(false);
  EXPECT_FALSE(fence.IsOpen());
}

// Breaks: the operator hangs at stop.
TEST_F(LeaderElectorTest, StopsPromptlyAtEveryAwaitPoint) {
  for (const Fault fault : {Fault::kHang, Fault::kFail, Fault::kLoseReply, Fault::kNone}) {
    MiniKube server;
    Replica replica(services_, server, "a");
    replica.client.SetFault(fault);
    replica.Start();
    std::jthread waiter([&](const std::stop_token& stop) {
      (void)replica.elector.WaitElected(services_.Ctx(stop));
    });
    services_.clock.WaitForSleepers(2);
    EXPECT_LT(Took([&] {
                waiter.request_stop();
                replica.elector.Stop(false);
              }),
              kPromptly);
  }
}

// Breaks: two leaders at once, in some order of failures that nobody thought of.
TEST_F(LeaderElectorTest, NeverTwoLeadersUnderRandomFaults) {
  int terms = 0;
  for (unsigned seed = 1; seed <= 8; ++seed) {
    std::mt19937 random(seed);
    MiniKube server;
    std::vector<std::unique_ptr<Replica>> replicas;
    for (int i = 0; i < 3; ++i) {
      replicas.push_back(std::make_unique<Replica>(services_, server, std::to_string(i)));
      replicas.back()->Start();
    }
    for (int step = 0; step < 300; ++step) {
      if (step % 20 == 0) {
        replicas[random() % 3]->client.SetFault(static_cast<Fault>(random() % 4));
      }
      services_.clock.Advance(milliseconds(random() % 1000));
      for (int i = 0; i < 10; ++i) {
        std::this_thread::yield();  // the replicas should get somewhere between two steps
      }
      int leaders = 0;
      for (std::unique_ptr<Replica>& replica : replicas) {
        leaders += replica->elector.IsLeader() ? 1 : 0;
        if (replica->lost) {  // the kubelet starts the process again
          ++terms;
          const std::string name = "r" + std::to_string(terms);
          replica = std::make_unique<Replica>(services_, server, name);
          replica->Start();
        }
      }
      ASSERT_LE(leaders, 1) << "seed " << seed << " step " << step;
    }
  }
  EXPECT_GT(terms, 0) << "the test must see leaders come and go";
}

}  // namespace
}  // namespace breakwater::runtime
