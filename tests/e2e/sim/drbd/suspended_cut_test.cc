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
