// The whole controller against fakes: API server, LINSTOR, and DRBD in a simulator with virtual
// time.

#include "operator/controllers/replication/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/resources.h"
#include "operator/controllers/replication/actor.h"
#include "operator/controllers/replication/sim_bed.h"
#include "operator/testing/fake_clock.h"

namespace breakwater::controllers {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;

std::string Dump(SimBed& bed) {
  return bed.Status().dump() + "\n" + bed.ConditionOf("ReplicationEncrypted").dump() + "\n" +
         bed.log();
}

// The day on which an admin sets one property: every volume becomes encrypted while pods keep
// writing.
TEST(ReplicationTlsTest, MovesAllVolumesToTls) {
  SimBed bed({"r0", "r1"});
  bed.SetClusterTls("yes");
  ASSERT_TRUE(bed.RunUntilPhase("Complete")) << Dump(bed);
  EXPECT_EQ(bed.ConditionOf("ReplicationEncrypted").value("status", ""), "True") << Dump(bed);
  EXPECT_EQ(bed.Status()["connections"]["encrypted"], 6);
  EXPECT_EQ(bed.Status()["resources"]["migrated"], 2);
  EXPECT_TRUE(bed.Status().value("inFlight", api::Json::array()).empty());
  for (const char* name : {"r0", "r1"}) {
    const sim::ResourceReport report = bed.Report(name);
    EXPECT_EQ(report.encrypted, 3);
    EXPECT_EQ(report.errors + report.diverged_blocks + report.lost_writes, 0U);
  }
  bed.linstor().With([](auto& state) {
    EXPECT_EQ(state.controller_props["DrbdOptions/Net/tls"], "yes");
    for (const auto& [name, definition] : state.definitions) {
      EXPECT_FALSE(definition.props.contains("DrbdOptions/Net/tls")) << "the pin goes at the end";
    }
    return 0;
  });
  EXPECT_THAT(bed.EventReasons(), ::testing::Contains("MigrationDone"));
}

// An idle operator must not load the API server or LINSTOR's database.
TEST(ReplicationTlsTest, WritesNothingWhenNothingChanges) {
  SimBed bed({"r0"});
  bed.SetClusterTls("yes");
  ASSERT_TRUE(bed.RunUntilPhase("Complete")) << Dump(bed);
  bed.Round();
  bed.kube().ClearCalls();
  bed.linstor().ClearWrites();
  for (int i = 0; i < 3; ++i) {
    bed.Round();
  }
  EXPECT_EQ(bed.kube().write_count(), 0);
  EXPECT_THAT(bed.linstor().writes(), IsEmpty());
}

// Killed in the middle: the next leader reads the journal and brings the cut connection back.
TEST(ReplicationTlsTest, ContinuesTheRunOfAFormerLeader) {
  SimBed bed({"r0"});
  bed.SetClusterTls("yes");
  bed.StopAfterOperations(2);  // the exec of the third operation never happens
  bed.RunUntilDead();
  ASSERT_FALSE(bed.Status().value("inFlight", api::Json::array()).empty()) << Dump(bed);
  bed.NewLeader();
  ASSERT_TRUE(bed.RunUntilPhase("Complete")) << Dump(bed);
  const sim::ResourceReport report = bed.Report("r0");
  EXPECT_EQ(report.encrypted, 3);
  EXPECT_EQ(report.diverged_blocks + report.lost_writes, 0U);
}

// What is not written down is not done: else a crash leaves a cut connection that nobody knows of.
TEST(ReplicationTlsTest, DoesNotCutWithoutAJournal) {
  SimBed bed({"r0"});
  bed.SetClusterTls("yes");
  bed.kube().on_call(
      [](const testing::FakeKube::Call& call) -> std::optional<testing::FakeKube::Fault> {
        if (call.verb == "apply" && call.resource.kind == "LinstorCluster") {
          return testing::FakeKube::Fault{kube::Status{503, "ServiceUnavailable", "down", {}}};
        }
        return std::nullopt;
      });
  bed.RoundsWithoutWaiting(4);
  EXPECT_EQ(bed.operations(), 0);
  bed.kube().on_call({});
  EXPECT_TRUE(bed.RunUntilPhase("Complete")) << Dump(bed);
}

// F12 concerns every volume, TLS or not, also while LINSTOR is down.
TEST(ReplicationTlsTest, HealsAStalePeerWithoutAnyTlsAndWithoutLinstor) {
  SimBed bed({"r0"});
  bed.Round();
  bed.linstor().SetDown(true);
  ASSERT_TRUE(bed.InjectStale("r0"));
  for (int i = 0; i < 4; ++i) {
    bed.Round();
  }
  EXPECT_EQ(bed.Report("r0").stale_peers, 0U) << Dump(bed);
  EXPECT_THAT(bed.EventReasons(), ::testing::Contains("StalePeer"));
  EXPECT_THAT(bed.EventReasons(), ::testing::Contains("StalePeerHealed"));
  EXPECT_FALSE(bed.Status().contains("stalePeers")) << bed.Status();
  EXPECT_EQ(bed.Report("r0").diverged_blocks, 0U);
}

// A person who switched healing off must see the danger, and nothing may reconnect it away.
TEST(ReplicationTlsTest, ReportsAStalePeerThatItMayNotHeal) {
  SimBed bed({"r0"});
  bed.SetClusterTls("yes", {{"migration", {{"healStale", false}}}});
  ASSERT_TRUE(bed.InjectStale("r0"));
  for (int i = 0; i < 3; ++i) {
    bed.Round();
  }
  EXPECT_EQ(bed.ConditionOf("ReplicationEncrypted").value("reason", ""), "StalePeer") << Dump(bed);
  EXPECT_EQ(bed.Report("r0").encrypted, 0);
  EXPECT_EQ(bed.Report("r0").stale_peers, 1U);
}

// A node without a good certificate is named, with the next step; nothing of it is touched.
TEST(ReplicationTlsTest, HoldsBackANodeThatFailsPreflight) {
  SimBed bed({"r0"});
  bed.RemoveCertificates("node2");
  bed.SetClusterTls("yes");
  for (int i = 0; i < 4; ++i) {
    bed.Round();
  }
  EXPECT_EQ(bed.Status().value("phase", ""), "Preflight") << Dump(bed);
  EXPECT_EQ(bed.SatelliteCondition("node2").value("reason", ""), "CertificateMissing");
  EXPECT_EQ(bed.SatelliteCondition("node1").value("status", ""), "True")
      << bed.SatelliteCondition("node1");
  EXPECT_EQ(bed.operations(), 0);
  bed.linstor().With([](auto& state) {
    EXPECT_FALSE(state.controller_props.contains("DrbdOptions/Net/tls"));
    EXPECT_EQ(state.definitions["r0"].props["DrbdOptions/Net/tls"], "no");
    return 0;
  });
  bed.GiveCertificates("node2");
  EXPECT_TRUE(bed.RunUntilPhase("Complete")) << Dump(bed);
}

// LINSTOR suspends a volume while it takes a snapshot: resuming it then spoils the snapshot. What
// stays suspended for a minute has nobody who would resume it.
TEST(ReplicationTlsTest, ResumesAForeignSuspensionOnlyWhenItLasts) {
  SimBed bed({"r0"});
  bed.SetClusterTls("yes");
  bed.Suspend("r0");
  for (int i = 0; i < 3; ++i) {
    bed.Round();
  }
  EXPECT_TRUE(bed.Report("r0").suspended_user) << Dump(bed);
  EXPECT_EQ(bed.operations(), 0);
  for (int i = 0; i < 4; ++i) {
    bed.Round();
  }
  EXPECT_FALSE(bed.Report("r0").suspended_user) << Dump(bed);
}

// A node or an API server that takes long in the middle of a suspension: in the meantime somebody
// resumed, and a forced cut under load loses writes (F2.8).
TEST(ActorTest, DoesNotBeginAForcedCutAfterItsTime) {
  testing::FakeClock clock;

  struct Shell final : NodeShell {
    explicit Shell(testing::FakeClock& c) : clock(c) {}

    Result<kube::ExecResult, Error> Run(const Context&,
                                        const std::string&,
                                        const std::string&,
                                        const std::vector<std::string>& argv) override {
      for (const std::string& word : argv) {
        forced = forced || word == "force-disconnect";
      }
      clock.Advance(std::chrono::seconds(step));
      return kube::ExecResult{};
    }

    testing::FakeClock& clock;
    int step = 0;
    bool forced = false;
  } shell(clock);

  struct NoLinstor final : LinstorProvider {
    Result<std::shared_ptr<linstor::Client>, Error> ClientFor(const std::string&) override {
      return Unexpected{Error{ErrorClass::kTransient, "none"}};
    }
  } provider;

  LinstorView linstor(provider, "cluster");
  const Logger log([](std::string_view) {}, LogLevel::kError);
  Actor actor(shell, linstor, log, "linstor-satellite");
  replication::ResourceObservation seen;
  seen.resource = "r0";
  for (const char* name : {"node1", "node2"}) {
    replication::NodeView& node = seen.nodes[name];
    node.name = name;
    node.known = true;
    node.on_no_quorum = "suspend-io";
    node.primary = node.name == "node1";
  }
  using Kind = replication::NodeOp::Kind;
  for (const int step : {2, 4}) {
    shell.step = step;
    shell.forced = false;
    const replication::RunOnNodes run{
        {{{.kind = Kind::kArm, .node = "node1", .seconds = 9},
          {.kind = Kind::kSuspend, .node = "node1"}},
         {{.kind = Kind::kNetOptions, .node = "node2", .peer_id = 0}},
         {{.kind = Kind::kForceDisconnect, .node = "node1"}}},
        clock.SystemNow() + std::chrono::seconds(7)};
    const Context ctx(std::stop_token{}, clock);
    EXPECT_EQ(actor.Run(ctx, seen, run).has_value(), step == 2);
    EXPECT_EQ(shell.forced, step == 2);
  }
}

// Certificates are read seldom while all is well. A renewal that goes wrong must be told soon, not
// at the next handshake, when the node is rebooted and cannot reach its peers any more.
TEST(ReplicationTlsTest, LooksAtCertificatesWhenTheirSecretChanges) {
  SimBed bed({"r0"});
  bed.SetClusterTls("yes");
  ASSERT_TRUE(bed.RunUntilPhase("Complete")) << Dump(bed);
  bed.Round();
  bed.Advance(std::chrono::minutes(6));
  bed.Round();
  bed.RemoveCertificates("node2");
  bed.Advance(std::chrono::seconds(30));
  bed.Round();
  EXPECT_EQ(bed.SatelliteCondition("node2").value("status", ""), "True") << "seldom";
  bed.engine().NoteSecretChange();
  bed.Advance(std::chrono::seconds(6));
  bed.Round();
  EXPECT_EQ(bed.SatelliteCondition("node2").value("reason", ""), "CertificateMissing") << Dump(bed);
}

// Policy Manual: only what the annotation releases.
TEST(ReplicationTlsTest, ManualPolicyWaitsForTheRelease) {
  SimBed bed({"r0", "r1"});
  bed.SetClusterTls("yes", {{"migration", {{"policy", "Manual"}}}});
  bed.Annotate("breakwater.io/migrate", "r1");
  for (int i = 0; i < 6; ++i) {
    bed.Round();
  }
  EXPECT_EQ(bed.Report("r0").encrypted, 0) << Dump(bed);
  EXPECT_EQ(bed.Report("r1").encrypted, 3) << Dump(bed);
  bed.Annotate("breakwater.io/migrate", "*");
  EXPECT_TRUE(bed.RunUntilPhase("Complete")) << Dump(bed);
}

}  // namespace
}  // namespace breakwater::controllers
