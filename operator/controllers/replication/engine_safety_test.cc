// What the controller must never do, whoever fails around it.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/resources.h"
#include "operator/controllers/replication/engine.h"
#include "operator/controllers/replication/sim_bed.h"

namespace breakwater::controllers {
namespace {

using ::testing::Contains;
using ::testing::Not;

void MakeEncrypted(SimBed& bed) {
  bed.SetClusterTls("yes");
  ASSERT_TRUE(bed.RunUntilPhase("Complete")) << bed.log();
}

void Rounds(SimBed& bed, int count) {
  for (int i = 0; i < count; ++i) {
    bed.Round();
  }
}

// The operator restarts while LINSTOR is down and a certificate was missing for a moment. It does
// not know what is wanted, and would decrypt the volume if it took that for "no".
TEST(ReplicationTlsSafetyTest, RepairsWithoutLinstorOnlyByConnecting) {
  SimBed bed({"r0"});
  MakeEncrypted(bed);
  bed.linstor().SetDown(true);
  bed.NewLeader();
  bed.Round();
  const std::size_t before = bed.operation_kinds().size();
  bed.BreakByCertificate("node1", "node2");
  ASSERT_EQ(bed.StateOf("node1", "node2"), "StandAlone");
  Rounds(bed, 2);
  bed.GiveCertificates("node1");
  Rounds(bed, 4);
  std::vector<std::string> kinds = bed.operation_kinds();
  kinds.erase(kinds.begin(), kinds.begin() + static_cast<std::ptrdiff_t>(before));
  EXPECT_THAT(kinds, Contains("connect")) << bed.log();
  EXPECT_THAT(kinds, Not(Contains("net-options"))) << bed.log();
  EXPECT_EQ(bed.Report("r0").encrypted, 3) << bed.log();
}

// A rollout ends the operator while a reconcile still hangs on LINSTOR: a run that begins then
// would be cut off in the middle, with I/O suspended.
TEST(ReplicationTlsSafetyTest, BeginsNothingWhileTheOperatorStops) {
  SimBed bed({"r0"});
  bed.SetClusterTls("yes");
  std::stop_source leading;
  leading.request_stop();
  for (int i = 0; i < 5; ++i) {
    bed.Round(leading.get_token());
  }
  EXPECT_TRUE(bed.operation_kinds().empty()) << bed.log();
  EXPECT_TRUE(bed.RunUntilPhase("Complete")) << bed.log();
}

// Somebody's own DRBD resource beside LINSTOR's: not ours to reconnect or to configure.
TEST(ReplicationTlsSafetyTest, LeavesResourcesAloneThatLinstorDoesNotKnow) {
  SimBed bed({"r0"});
  MakeEncrypted(bed);
  bed.linstor().With([](auto& state) {
    state.definitions.clear();
    state.resources.clear();
    return 0;
  });
  bed.FreezeRes();
  bed.Round();
  const int before = bed.operations();
  bed.BreakByCertificate("node1", "node2");
  bed.GiveCertificates("node1");
  Rounds(bed, 4);
  EXPECT_EQ(bed.operations(), before) << bed.log();
  (void)bed.Shell("node1", {"drbdadm", "connect", "r0:node2"});
  bed.Advance(std::chrono::seconds(10));
  ASSERT_EQ(bed.StateOf("node1", "node2"), "Connected");
  ASSERT_TRUE(bed.InjectStale("r0", "node1", "node3"));
  Rounds(bed, 3);
  EXPECT_EQ(bed.Report("r0").stale_peers, 0U) << "only that danger is mended";
}

// A typing error, or a deleted line, is not the wish to decrypt everything.
TEST(ReplicationTlsSafetyTest, AWrongOrRemovedValueChangesNothing) {
  SimBed bed({"r0"});
  MakeEncrypted(bed);
  const int before = bed.operations();
  bed.SetClusterTls("true");
  Rounds(bed, 4);
  EXPECT_EQ(bed.ConditionOf("ReplicationEncrypted").value("reason", ""), "InvalidValue");
  EXPECT_EQ(bed.Status().value("phase", ""), "Blocked");
  EXPECT_EQ(bed.Report("r0").encrypted, 3);
  bed.SetClusterTls("");
  Rounds(bed, 4);
  EXPECT_EQ(bed.Report("r0").encrypted, 3);
  EXPECT_EQ(bed.operations(), before);
  EXPECT_EQ(bed.Status()["failures"][0].value("reason", ""), "ValueRemoved") << bed.Status();
  EXPECT_EQ(bed.ConditionOf("ReplicationEncrypted").value("status", ""), "True");
  bed.SetClusterTls("no");
  ASSERT_TRUE(bed.RunUntilPhase("Idle")) << bed.log();
  EXPECT_EQ(bed.Report("r0").encrypted, 0);
}

// The journal took its time, and meanwhile another connection went down: the cut that was decided
// before would take the Primary's quorum away.
TEST(ReplicationTlsSafetyTest, LooksAgainWhenTheJournalTookLong) {
  SimBed bed({"r0"});
  bool slow = false;
  bed.kube().on_call(
      [&](const testing::FakeKube::Call& call) -> std::optional<testing::FakeKube::Fault> {
        if (call.verb == "apply" && call.resource.kind == "LinstorCluster" && !slow &&
            bed.InJournalWrite()) {
          slow = true;
          (void)bed.Shell("node1", {"drbdadm", "disconnect", "r0:node3"});
          bed.Advance(std::chrono::seconds(4));
        }
        return std::nullopt;
      });
  std::vector<std::string> seen;
  bed.on_operation([&](const std::string& kind) {
    if (kind == "disconnect") {
      seen.push_back(bed.StateOf("node1", "node3") + "+" + bed.StateOf("node1", "node2"));
    }
  });
  bed.SetClusterTls("yes");
  Rounds(bed, 4);
  EXPECT_TRUE(slow);
  (void)bed.Shell("node1", {"drbdadm", "connect", "r0:node3"});
  ASSERT_TRUE(bed.RunUntilPhase("Complete")) << bed.log();
  EXPECT_THAT(seen, ::testing::Each("Connected+Connected")) << bed.log();
  EXPECT_EQ(bed.Report("r0").errors + bed.Report("r0").diverged_blocks, 0U);
}

// The LinstorCluster is deleted and made anew while a volume is in the middle of its switch.
TEST(ReplicationTlsSafetyTest, AnotherClusterWaitsForTheDriversOfTheFirst) {
  SimBed bed({"r0"});
  std::mutex mutex;
  std::condition_variable changed;
  bool inside = false;
  bool go_on = false;
  bed.on_operation([&](const std::string&) {
    std::unique_lock lock(mutex);
    inside = true;
    changed.notify_all();
    changed.wait(lock, [&] { return go_on; });
  });
  bed.SetClusterTls("yes");
  bed.RoundsWithoutWaiting(3);
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return inside; });
  }
  bed.kube().Remove(api::kLinstorCluster, {.ns = "", .name = "cluster"});
  bed.SetClusterTls("yes");
  bool replaced = false;
  std::thread next([&] {
    bed.RoundsWithoutWaiting(1);
    const std::lock_guard lock(mutex);
    replaced = true;
    changed.notify_all();
  });
  {
    std::unique_lock lock(mutex);
    EXPECT_FALSE(changed.wait_for(lock, std::chrono::milliseconds(300), [&] { return replaced; }));
    go_on = true;
    changed.notify_all();
  }
  next.join();
  EXPECT_TRUE(bed.RunUntilPhase("Complete")) << bed.log();
  EXPECT_EQ(bed.Report("r0").diverged_blocks, 0U);
}

// A value that a person sets on one connection in LINSTOR changes nothing else there.
TEST(ReplicationTlsSafetyTest, FollowsAValueOnAConnection) {
  SimBed bed({"r0"});
  Rounds(bed, 2);
  bed.linstor().With([](auto& state) {
    linstor::Connection connection;
    connection.node_a = "node1";
    connection.node_b = "node2";
    connection.props["DrbdOptions/Net/tls"] = "yes";
    state.resource_connections["r0"].push_back(connection);
    return 0;
  });
  Rounds(bed, 12);
  EXPECT_EQ(bed.Status()["resources"]["pending"], 1) << bed.Status();
}

// The connection drops and comes back between two looks: every state is clean, the blocks differ.
TEST(ReplicationTlsSafetyTest, AReconnectIsNotTakenForAHeal) {
  SimBed bed({"r0"});
  bed.SetClusterTls("", {{"migration", {{"healStale", false}}}});
  bed.Round();
  ASSERT_TRUE(bed.InjectStale("r0"));
  Rounds(bed, 2);
  EXPECT_EQ(bed.ConditionOf("ReplicationEncrypted").value("reason", ""), "StalePeer") << bed.log();
  (void)bed.Shell("node1", {"drbdadm", "disconnect", "r0:node2"});
  (void)bed.Shell("node1", {"drbdadm", "connect", "r0:node2"});
  bed.Advance(std::chrono::seconds(20));
  bed.SetClusterTls("");
  Rounds(bed, 2);
  EXPECT_EQ(bed.ConditionOf("ReplicationEncrypted").value("reason", ""), "Diverged")
      << bed.Status();
  EXPECT_THAT(bed.EventReasons(), Not(Contains("StalePeerHealed")));
  bed.NewLeader();
  Rounds(bed, 2);
  EXPECT_EQ(bed.ConditionOf("ReplicationEncrypted").value("reason", ""), "Diverged");
  const std::string since = bed.Status()["stalePeers"][0].value("since", "");
  bed.Annotate("breakwater.io/resynced", "r0@" + since);
  Rounds(bed, 1);
  EXPECT_FALSE(bed.Status().contains("stalePeers")) << bed.Status();
  EXPECT_EQ(bed.ConditionOf("ReplicationEncrypted").value("reason", ""), "NotRequested");
}

// `drbdadm disconnect` by a person is meant; only what a fault of TLS explains comes back by
// itself.
TEST(ReplicationTlsSafetyTest, AnAdminsDisconnectStays) {
  SimBed bed({"r0"});
  MakeEncrypted(bed);
  bed.Round();
  const int before = bed.operations();
  (void)bed.Shell("node1", {"drbdadm", "disconnect", "r0:node2"});
  Rounds(bed, 8);
  EXPECT_EQ(bed.operations(), before) << bed.log();
  EXPECT_EQ(bed.Status()["failures"][0].value("reason", ""), "StandAlone") << bed.Status();
  EXPECT_NE(bed.Status()["failures"][0].value("message", "").find("drbdadm connect r0:node2"),
            std::string::npos);
  (void)bed.Shell("node1", {"drbdadm", "connect", "r0:node2"});
  Rounds(bed, 2);
  EXPECT_TRUE(bed.Status().value("failures", api::Json::array()).empty()) << bed.Status();
}

// TLS is asked for on one pair of nodes only, and no handshake daemon runs anywhere: a cut would
// have to be rolled back.
TEST(ReplicationTlsSafetyTest, PreflightKnowsWishesOnNodeConnections) {
  SimBed bed({"r0"});
  bed.RemoveHandshakeDaemons();
  bed.linstor().With([](auto& state) {
    linstor::Connection connection;
    connection.node_a = "node1";
    connection.node_b = "node2";
    connection.props["DrbdOptions/Net/tls"] = "yes";
    state.node_connections.push_back(connection);
    return 0;
  });
  Rounds(bed, 5);
  EXPECT_EQ(bed.operations(), 0) << bed.log();
  EXPECT_EQ(bed.SatelliteCondition("node1").value("reason", ""), "HandshakeDaemonMissing");
}

// "Encrypted" without any connection, or with those counted that nobody wants encrypted, is no
// news.
TEST(ReplicationTlsSafetyTest, TheConditionCountsWhatIsWanted) {
  SimBed empty({});
  empty.SetClusterTls("yes");
  Rounds(empty, 2);
  EXPECT_EQ(empty.ConditionOf("ReplicationEncrypted").value("reason", ""), "NoConnections");
  SimBed bed({"r0", "r1"});
  bed.linstor().With([](auto& state) {
    state.definitions["r0"].props["DrbdOptions/Net/tls"] = "yes";
    return 0;
  });
  ASSERT_TRUE(bed.RunUntilPhase("Complete")) << bed.log();
  Rounds(bed, 1);
  EXPECT_EQ(bed.ConditionOf("ReplicationEncrypted").value("status", ""), "True") << bed.log();
  EXPECT_EQ(bed.Status()["connections"]["plaintext"], 3);
  bed.linstor().SetDown(true);
  Rounds(bed, 1);
  EXPECT_EQ(bed.ConditionOf("ReplicationEncrypted").value("status", ""), "Unknown");
}

// A pod moves during the switch and its volume gets one more replica.
TEST(ReplicationTlsSafetyTest, ARunFollowsAReplicaThatAppears) {
  SimBed bed({"r0"}, 2);
  bool added = false;
  bed.on_operation([&](const std::string&) {
    if (!added) {
      added = true;
      bed.AddReplica();
    }
  });
  bed.SetClusterTls("yes");
  ASSERT_TRUE(bed.RunUntilPhase("Complete")) << bed.log();
  EXPECT_TRUE(added);
  EXPECT_EQ(bed.Report("r0").encrypted, 3) << bed.log();
}

// A node is lost in the middle: the run must not keep its place for ever without a word.
TEST(ReplicationTlsSafetyTest, AWaitingRunIsShownAndGivesItsPlaceBack) {
  SimBed bed({"r0"});
  std::atomic<int> operations = 0;
  bed.on_operation([&](const std::string&) {
    if (++operations == 3) {
      bed.SetUnreachable("node3", true);
    }
  });
  bed.SetClusterTls("yes");
  for (int i = 0; i < 8 && operations < 3; ++i) {
    bed.Round();  // returns: the driver came to its end
  }
  Rounds(bed, 2);
  EXPECT_TRUE(bed.Status().value("inFlight", api::Json::array()).empty()) << bed.Status();
  const api::Json failures = bed.Status().value("failures", api::Json::array());
  ASSERT_FALSE(failures.empty()) << bed.log();
  EXPECT_NE(failures[0].value("message", "").find("node3"), std::string::npos) << failures;
  bed.SetUnreachable("node3", false);
  EXPECT_TRUE(bed.RunUntilPhase("Complete", 60)) << bed.log();
}

}  // namespace
}  // namespace breakwater::controllers
