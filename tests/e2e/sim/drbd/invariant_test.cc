// Every kind of `check` fires when its rule is broken: a migration is judged by an empty list,
// which would prove nothing if the list were always empty.
#include <gmock/gmock.h>

#include "tests/e2e/sim/drbd/test_cluster.h"

namespace breakwater::sim::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

// One volume that node1 writes to.
class InvariantTest : public ::testing::Test {
 protected:
  void Begin(const std::string& on_no_quorum = "suspend-io") {
    ResourceSpec spec;
    spec.on_no_quorum = on_no_quorum;
    BringUp(cluster_, spec);
    ASSERT_FALSE(cluster_.StartWriter("r0", "node1", Millis(20)));
    cluster_.Advance(Millis(500));
    ASSERT_THAT(Kinds(), IsEmpty());
  }

  ExecResult Adm(const std::string& node, const std::vector<std::string>& words) {
    std::vector<std::string> argv = {"drbdadm"};
    argv.insert(argv.end(), words.begin(), words.end());
    return cluster_.Run(node, argv);
  }

  std::vector<std::string> Kinds() {
    std::vector<std::string> kinds;
    for (const Violation& violation : cluster_.Check()) {
      kinds.push_back(violation.kind);
    }
    return kinds;
  }

  // Safe by itself: suspends, then only the Primary cuts.
  void SuspendAndCut() {
    Adm("node1", {"suspend-io", "r0"});
    Adm("node2", {"disconnect", "r0:node3"});
    Adm("node1", {"disconnect", "--force", "r0"});
  }

  Cluster cluster_;
};

TEST_F(InvariantTest, SecondCutAndLostQuorum) {
  Begin();
  Adm("node1", {"disconnect", "--force", "r0"});
  cluster_.Advance(Millis(100));
  EXPECT_THAT(Kinds(), Contains("two-cut-connections"));
  EXPECT_THAT(Kinds(), Contains("quorum-lost"));
}

TEST_F(InvariantTest, OneGracefulCutIsFine) {
  Begin();
  EXPECT_EQ(Adm("node1", {"disconnect", "r0:node2"}).exit, 0);
  EXPECT_THAT(Kinds(), IsEmpty());
}

TEST_F(InvariantTest, LastGoodCopyCut) {
  // The remaining peer is up, but it does not get the writes.
  Begin();
  ASSERT_TRUE(cluster_.InjectStale("r0", "node1", "node3"));
  cluster_.Advance(Millis(1000));
  Adm("node1", {"disconnect", "r0:node2"});
  EXPECT_THAT(Kinds(), ElementsAre("last-good-copy-cut"));
}

TEST_F(InvariantTest, CutWhileStaleFromEitherEndAndWhileSuspended) {
  // Each of these erases the only record of the blocks that differ (F12.3, F14.3).
  const std::vector<std::pair<std::string, std::vector<std::string>>> cuts = {
      {"node1", {"disconnect", "r0:node2"}},
      {"node2", {"disconnect", "r0:node1"}},
      {"node1", {"disconnect", "--force", "r0:node2"}}};
  Begin();
  for (const auto& [node, words] : cuts) {
    ASSERT_TRUE(cluster_.InjectStale("r0", "node1", "node2"));
    cluster_.Advance(Millis(1000));
    if (words.size() > 2) {
      Adm("node1", {"suspend-io", "r0"});
    }
    Adm(node, words);
    EXPECT_THAT(Kinds(), Contains("cut-while-stale")) << node;
    cluster_.world().violations.clear();
    Adm("node1", {"resume-io", "r0"});
    Adm(node, {"connect", words.back()});
    ASSERT_TRUE(cluster_.WaitFor([&] { return Healthy(cluster_, "r0", "node1"); }, Millis(9000)));
    cluster_.world().violations.clear();
  }
}

TEST_F(InvariantTest, SuspendUnderIoError) {
  Begin("io-error");
  Adm("node2", {"suspend-io", "r0"});
  EXPECT_THAT(Kinds(), IsEmpty()) << "nobody writes there";
  Adm("node1", {"suspend-io", "r0"});
  EXPECT_THAT(Kinds(), ElementsAre("suspend-under-io-error"));
}

TEST_F(InvariantTest, ForcedCutUnderIoErrorAlsoWhileSuspended) {
  Begin("io-error");
  Adm("node1", {"disconnect", "--force", "r0:node2"});
  EXPECT_THAT(Kinds(), ElementsAre("forced-cut-under-io-error"));
  cluster_.world().violations.clear();
  Adm("node1", {"suspend-io", "r0"});
  Adm("node1", {"disconnect", "--force", "r0:node3"});
  EXPECT_THAT(Kinds(), ElementsAre("suspend-under-io-error", "forced-cut-under-io-error"));
}

TEST_F(InvariantTest, ResumeBeforeTheGate) {
  Begin();
  SuspendAndCut();
  EXPECT_THAT(Kinds(), IsEmpty()) << "suspended, everything may be cut";
  Adm("node1", {"resume-io", "r0"});
  EXPECT_THAT(Kinds(), ElementsAre("resume-before-gate"));
}

TEST_F(InvariantTest, AWatchdogMayResumeEarlyUnlessWritesFailThen) {
  for (const std::string policy : {"suspend-io", "io-error"}) {
    Cluster cluster;
    ResourceSpec spec;
    spec.on_no_quorum = policy;
    BringUp(cluster, spec);
    ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
    cluster.Run("node1", {"drbdadm", "suspend-io", "r0"});
    cluster.Run("node1", {"drbdadm", "disconnect", "--force", "r0"});
    cluster.world().violations.clear();
    cluster.Run("node1", {"drbdadm", "resume-io", "r0"}, kSatelliteContainer, {.detached = true});
    if (policy == "suspend-io") {
      EXPECT_THAT(cluster.Check(), IsEmpty());
    } else {
      EXPECT_THAT(cluster.Check(), Not(IsEmpty()));
    }
  }
}

TEST_F(InvariantTest, SuspendedTooLongWhileItLastsAndAfterwards) {
  Begin();
  Adm("node1", {"suspend-io", "r0"});
  cluster_.Advance(Millis(9000));
  EXPECT_THAT(Kinds(), IsEmpty());
  cluster_.Advance(Millis(1500));
  EXPECT_THAT(Kinds(), ElementsAre("suspended-too-long"));
  Adm("node1", {"resume-io", "r0"});
  EXPECT_THAT(Kinds(), Contains("suspended-too-long"));
}

}  // namespace
}  // namespace breakwater::sim::testing
