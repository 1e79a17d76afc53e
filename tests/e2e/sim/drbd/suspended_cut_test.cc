// The third lab: graceful cuts under suspend-io (F26), the stale state that follows some of them
// (F27), and a Primary that has no data (F28).
#include <gmock/gmock.h>

#include "tests/e2e/sim/drbd/test_cluster.h"

namespace breakwater::sim::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// The lab's resources: r1 three replicas, r2 two and a tiebreaker, r3 two without quorum, r4 a
// diskless Primary and one replica.
ResourceSpec Shape(const std::string& name) {
  ResourceSpec spec;
  spec.name = "r0";
  if (name == "r2") {
    spec.diskless = {"node3"};
  } else if (name != "r1") {
    spec.nodes = {"node1", "node2"};
    spec.quorum = "off";
  }
  if (name == "r4") {
    spec.diskless = {"node1"};
  }
  return spec;
}

struct Lab {
  explicit Lab(const std::string& shape, const SimConfig& config = {})
      : cluster(config), spec(Shape(shape)) {
    BringUp(cluster, spec);
    EXPECT_FALSE(cluster.StartWriter("r0", "node1", Millis(50)));
    cluster.Advance(Millis(1000));
  }

  ExecResult Setup(std::vector<std::string> words) {
    words.insert(words.begin(), "drbdsetup");
    return cluster.Run("node1", words);
  }

  void EachPeer(std::vector<std::string> words) {
    words.resize(3);
    for (std::size_t id = 1; id < spec.nodes.size(); ++id) {
      words[1] = "r0";
      words[2] = std::to_string(id);
      EXPECT_EQ(Setup(words).exit, 0) << words[0];
    }
  }

  void SuspendAndCut(bool force = false) {
    EXPECT_EQ(Setup({"suspend-io", "1000"}).exit, 0);
    for (std::size_t id = 1; id < spec.nodes.size(); ++id) {
      std::vector<std::string> words = {"disconnect", "r0", std::to_string(id)};
      if (force) {
        words.emplace_back("--force");
      }
      EXPECT_EQ(Setup(words).exit, 0);
    }
  }

  bool WaitHealthy() {
    return cluster.WaitFor([&] { return Healthy(cluster, "r0", "node1"); }, Millis(10000));
  }

  std::string Uuid() {
    return std::to_string(
        cluster.world().FindDisk(cluster.world().GetNode("node1"), "r0", 0)->current_uuid);
  }

  std::string Status() { return Setup({"status", "r0", "--json"}).out; }

  Cluster cluster;
  ResourceSpec spec;
};

TEST(F26Test, GracefulCutsUnderSuspensionKeepQuorumInAllShapes) {
  // F26.1 and F26.2: what makes a blind resume safe.
  for (const std::string shape : {"r1", "r2", "r3"}) {
    Lab lab(shape);
    lab.SuspendAndCut();
    const Resource& resource = *lab.cluster.kernel().Find("node1", "r0");
    EXPECT_TRUE(resource.devices.at(0).quorum) << shape;
    EXPECT_THAT(lab.Status(), HasSubstr("\"suspended-user\": true"));
    EXPECT_THAT(lab.Status(), HasSubstr("\"suspended-quorum\": false"));
    for (const auto& [id, connection] : resource.connections) {
      EXPECT_EQ(connection.state, ConnState::kStandAlone);
      const bool in_doubt = shape == "r3" || connection.volumes.at(0).client;
      EXPECT_EQ(connection.volumes.at(0).disk,
                in_doubt ? DiskState::kUnknown : DiskState::kOutdated)
          << shape << id;
    }
    lab.cluster.Advance(Millis(100));
    EXPECT_EQ(Conn(lab.cluster, "r0", "node2", "node1").state, ConnState::kConnecting);
    EXPECT_THAT(lab.cluster.Run("node2", {"dmesg"}).out,
                HasSubstr("disk( UpToDate -> Outdated ) [remote]"));
    EXPECT_THAT(lab.cluster.Check(), IsEmpty()) << "this is how it is meant to be done";
  }
}

TEST(F26Test, ForcedCutsUnderSuspensionLoseQuorum) {
  Lab lab("r1");
  lab.SuspendAndCut(true);
  EXPECT_THAT(lab.Setup({"status", "r0"}).out, HasSubstr("suspended:user,quorum"));
  EXPECT_THAT(lab.Status(), HasSubstr("\"suspended-quorum\": true"));
  EXPECT_THAT(lab.Status(), HasSubstr("\"quorum\": false"));
}

TEST(F26Test, WholeSwitchNeedsNoResyncAndKeepsTheGeneration) {
  // F26.3
  for (const std::string shape : {"r1", "r2", "r3"}) {
    Lab lab(shape, {.stale_after_suspended_cut = 0});
    const std::string uuid = lab.Uuid();
    lab.SuspendAndCut();
    lab.EachPeer({"connect"});
    ASSERT_TRUE(lab.WaitHealthy()) << shape;
    lab.cluster.Advance(Millis(100));
    EXPECT_EQ(lab.Setup({"resume-io", "1000"}).exit, 0);
    lab.cluster.Advance(Millis(1000));
    const ResourceReport report = lab.cluster.Report("r0");
    EXPECT_EQ(lab.Uuid(), uuid) << shape;
    EXPECT_EQ(report.resync_kib, 0U);
    EXPECT_EQ(report.errors, 0U);
    EXPECT_EQ(report.diverged_blocks, 0U);
    EXPECT_THAT(lab.cluster.Check(), IsEmpty());
  }
}

TEST(F26Test, ResumeBeforeAnythingIsBackLetsThePrimaryGoOnAlone) {
  // F26.4: at once, in a new generation; later a bitmap resync, and nothing differs.
  for (const std::string shape : {"r1", "r2", "r3"}) {
    Lab lab(shape);
    const std::string uuid = lab.Uuid();
    lab.SuspendAndCut();
    EXPECT_EQ(lab.Setup({"resume-io", "1000"}).exit, 0);
    const std::uint64_t before = lab.cluster.Summary("r0").writes;
    lab.cluster.Advance(Millis(1000));
    EXPECT_GT(lab.cluster.Summary("r0").writes, before + 15) << shape;
    EXPECT_NE(lab.Uuid(), uuid);
    EXPECT_THAT(lab.cluster.Run("node1", {"dmesg"}).out, HasSubstr("new current UUID"));
    lab.EachPeer({"connect"});
    ASSERT_TRUE(lab.WaitHealthy()) << shape;
    const ResourceReport report = lab.cluster.Report("r0");
    EXPECT_GT(report.resync_kib, 0U);
    EXPECT_LT(report.resync_kib, 1000U) << "by the bitmap, not everything";
    EXPECT_EQ(report.errors, 0U);
    EXPECT_EQ(report.lost_writes + report.diverged_blocks, 0U);
    EXPECT_LT(report.longest_stall, Millis(1000));
    EXPECT_THAT(lab.cluster.Check(), IsEmpty()) << "safe, so no violation";
  }
}

TEST(F26Test, ResumeAfterForcedCutsStaysFrozenUntilAPeerIsBack) {
  // F26.4
  Lab lab("r1");
  lab.SuspendAndCut(true);
  lab.Setup({"resume-io", "1000"});
  const std::uint64_t before = lab.cluster.Summary("r0").writes;
  lab.cluster.Advance(Millis(3000));
  EXPECT_EQ(lab.cluster.Summary("r0").writes, before);
  EXPECT_THAT(lab.cluster.Check(), Not(IsEmpty()));
  lab.Setup({"connect", "r0", "1"});
  lab.cluster.Advance(Millis(2000));
  EXPECT_GT(lab.cluster.Summary("r0").writes, before);
  lab.Setup({"connect", "r0", "2"});
  ASSERT_TRUE(lab.WaitHealthy());
  const ResourceReport report = lab.cluster.Report("r0");
  EXPECT_EQ(report.errors + report.lost_writes + report.diverged_blocks, 0U);
}

TEST(F26Test, TheOnlyDataOfADisklessPrimaryIsNotCutGracefully) {
  // F26.5, suspended or not; the other end only hears that the Primary declined.
  Lab lab("r4");
  for (int suspended = 0; suspended < 2; ++suspended) {
    const ExecResult refused = lab.Setup({"disconnect", "r0", "1"});
    EXPECT_EQ(refused.exit, 17);
    EXPECT_EQ(refused.err, "r0: State change failed: (-2) Need access to UpToDate data\n");
    EXPECT_EQ(lab.cluster.Run("node2", {"drbdsetup", "disconnect", "r0", "0"}).exit, 11);
    EXPECT_EQ(Conn(lab.cluster, "r0", "node1", "node2").state, ConnState::kConnected);
    lab.Setup({"suspend-io", "1000"});
  }
}

TEST(F26Test, ADisklessPrimaryMayCutOneOfTwoReplicas) {
  ResourceSpec spec;
  spec.diskless = {"node1"};
  Cluster cluster;
  BringUp(cluster, spec);
  ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(50)));
  cluster.Advance(Millis(500));
  EXPECT_EQ(cluster.Run("node1", {"drbdsetup", "disconnect", "r0", "1"}).exit, 0);
  cluster.Advance(Millis(500));
  EXPECT_EQ(cluster.Run("node1", {"drbdsetup", "disconnect", "r0", "2"}).exit, 17);
}

// One suspended switch until everybody is connected again. Is a peer stale then?
bool SuspendedCutGetsStale(const std::string& shape, std::uint64_t seed, bool force) {
  Lab lab(shape, {.seed = seed, .volume_kib = 1024});
  lab.SuspendAndCut(force);
  lab.EachPeer({"connect"});
  lab.cluster.Advance(Millis(3000));
  return lab.cluster.Summary("r0").stale_peers > 0;
}

TEST(F27Test, RatesOfTheStaleState) {
  // F27.1: r1 5 of 37, r2 1 of 4, r3 0 of 4, --force 0 of 6.
  int r1 = 0;
  int others = 0;
  constexpr int kRuns = 120;
  for (int i = 0; i < kRuns; ++i) {
    const auto seed = static_cast<std::uint64_t>(100 + i);
    r1 += SuspendedCutGetsStale("r1", seed, false) ? 1 : 0;
    others += i < 20 && SuspendedCutGetsStale("r3", seed, false) ? 1 : 0;
    others += i < 20 && SuspendedCutGetsStale("r1", seed, true) ? 1 : 0;
  }
  EXPECT_GE(r1, kRuns * 6 / 100) << "5 of 37 were seen";
  EXPECT_LE(r1, kRuns * 25 / 100);
  EXPECT_EQ(others, 0);
}

TEST(F27Test, HealedInsideTheFreeze) {
  // F27.3: the gate opens after 0.3 to 0.6 s, in the same generation.
  Lab lab("r1", {.stale_after_suspended_cut = 1.0});
  const std::string uuid = lab.Uuid();
  lab.SuspendAndCut();
  lab.EachPeer({"connect"});
  lab.cluster.Advance(Millis(2000));
  EXPECT_EQ(lab.cluster.Summary("r0").stale_peers, 2U);
  EXPECT_FALSE(Healthy(lab.cluster, "r0", "node1")) << "Connected is no gate";
  const Time begin = lab.cluster.now();
  EXPECT_EQ(lab.Setup({"invalidate-remote", "r0", "1", "0", "--reset-bitmap=no"}).exit, 0);
  EXPECT_EQ(lab.Setup({"invalidate-remote", "r0", "2", "0", "--reset-bitmap=no"}).exit, 0);
  ASSERT_TRUE(lab.WaitHealthy());
  EXPECT_GE(lab.cluster.now() - begin, Millis(300));
  EXPECT_LE(lab.cluster.now() - begin, Millis(750));
  lab.Setup({"resume-io", "1000"});
  lab.cluster.Advance(Millis(1000));
  EXPECT_EQ(lab.Uuid(), uuid);
  EXPECT_TRUE(lab.cluster.DataIntact("r0"));
  EXPECT_THAT(lab.cluster.Check(), IsEmpty());
}

TEST(F27Test, ResumedInThatStateItDivergesAndIsHealedUnderTheWriter) {
  // F27.2
  Lab lab("r1", {.stale_after_suspended_cut = 1.0});
  lab.SuspendAndCut();
  lab.EachPeer({"connect"});
  lab.cluster.Advance(Millis(2000));
  lab.Setup({"resume-io", "1000"});
  EXPECT_THAT(lab.cluster.Check(), Not(IsEmpty())) << "nobody may do that";
  lab.cluster.Advance(Millis(2000));
  EXPECT_GT(lab.cluster.Report("r0").diverged_blocks, 20U);
  EXPECT_FALSE(lab.cluster.DataIntact("r0"));
  lab.Setup({"invalidate-remote", "r0", "1", "0", "--reset-bitmap=no"});
  lab.Setup({"invalidate-remote", "r0", "2", "0", "--reset-bitmap=no"});
  ASSERT_TRUE(lab.WaitHealthy());
  EXPECT_EQ(lab.cluster.Report("r0").diverged_blocks, 0U);
}

TEST(F28Test, ResumeWithoutDataFailsWritesUntilThePeerIsBack) {
  // REVIEW-1 C1: a watchdog that resumes first and connects second.
  Lab lab("r4");
  lab.Setup({"suspend-io", "1000"});
  EXPECT_EQ(lab.Setup({"disconnect", "r0", "1", "--force"}).exit, 0);
  EXPECT_THAT(lab.Setup({"status", "r0"}).out, HasSubstr("suspended:user,no-data"));
  EXPECT_EQ(lab.Setup({"resume-io", "1000"}).exit, 0);
  EXPECT_THAT(lab.Status(), HasSubstr("\"suspended-no-data\": false"));
  lab.cluster.Advance(Millis(2000));
  const std::uint64_t errors = lab.cluster.Summary("r0").errors;
  EXPECT_GE(errors, 30U) << "the frozen write and all later ones";
  EXPECT_THAT(lab.cluster.Check(),
              ElementsAre(::testing::Field(&Violation::kind, "resume-without-data")));
  lab.Setup({"connect", "r0", "1"});
  ASSERT_TRUE(lab.WaitHealthy());
  lab.cluster.Advance(Millis(200));
  const std::uint64_t after = lab.cluster.Summary("r0").errors;
  lab.cluster.Advance(Millis(2000));
  EXPECT_EQ(lab.cluster.Summary("r0").errors, after);
  EXPECT_EQ(lab.cluster.Report("r0").lost_writes, 0U);
}

TEST(F28Test, ResumeIoAloneBreaksTheKernelsOwnSuspensionToo) {
  // LINSTOR's own resume (L24), which no agent asked for.
  Lab lab("r4");
  lab.cluster.CrashNode("node2");
  lab.cluster.Advance(Millis(3000));
  EXPECT_THAT(lab.Setup({"status", "r0"}).out, HasSubstr("suspended:no-data"));
  EXPECT_EQ(lab.cluster.Summary("r0").errors, 0U);
  lab.Setup({"resume-io", "1000"});
  lab.cluster.Advance(Millis(500));
  EXPECT_GT(lab.cluster.Summary("r0").errors, 0U);
}

TEST(F28Test, ResumedOnlyAfterTheConnectNothingFails) {
  Lab lab("r4");
  lab.Setup({"suspend-io", "1000"});
  lab.Setup({"disconnect", "r0", "1", "--force"});
  lab.Setup({"connect", "r0", "1"});
  ASSERT_TRUE(lab.WaitHealthy());
  lab.Setup({"resume-io", "1000"});
  lab.cluster.Advance(Millis(1000));
  EXPECT_EQ(lab.cluster.Summary("r0").errors, 0U);
  EXPECT_TRUE(lab.cluster.DataIntact("r0"));
}

TEST(F28Test, WithoutThePolicyThereIsNoSuspensionAtAll) {
  Lab lab("r4");
  lab.Setup({"resource-options", "r0", "--on-no-data-accessible=io-error"});
  lab.Setup({"disconnect", "r0", "1", "--force"});
  lab.cluster.Advance(Millis(500));
  EXPECT_GT(lab.cluster.Summary("r0").errors, 0U);
}

TEST(F4Test, GracefulCutsWithoutSuspensionKeepQuorumToo) {
  // F4.7
  Lab lab("r1");
  lab.EachPeer({"disconnect"});
  lab.cluster.Advance(Millis(1000));
  const ResourceReport report = lab.cluster.Report("r0");
  EXPECT_TRUE(lab.cluster.kernel().Find("node1", "r0")->devices.at(0).quorum);
  EXPECT_EQ(report.errors, 0U);
  EXPECT_LT(report.longest_stall, Millis(250));
}

}  // namespace
}  // namespace breakwater::sim::testing
