#include <gmock/gmock.h>

#include "tests/e2e/sim/drbd/test_cluster.h"

namespace breakwater::sim::testing {
namespace {

// Writes for a moment, then lets the volume rest.
void WriteABit(Cluster& cluster) {
  ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
  cluster.Advance(Millis(1000));
}

TEST(F3Test, LatePeerIsSilentlyDivergedUnderIoErrorOnly) {
  // io-error + suspend + cut + resume too early: the reason why SuspendIO is refused there.
  for (const std::string policy : {"io-error", "suspend-io"}) {
    Cluster cluster({.stale_after_parallel_forced = 0});
    ResourceSpec spec;
    spec.on_no_quorum = policy;
    BringUp(cluster, spec);
    WriteABit(cluster);
    cluster.Run("node1", {"drbdadm", "suspend-io", "r0"});
    cluster.Run("node2", {"drbdadm", "disconnect", "r0:node3"});
    cluster.Run("node1", {"drbdadm", "disconnect", "--force", "r0"});
    cluster.Run("node1", {"drbdadm", "connect", "r0:node2"});
    cluster.Advance(Millis(1000));
    cluster.Run("node1", {"drbdadm", "resume-io", "r0"});
    cluster.Advance(Millis(5000));
    cluster.Run("node1",
                {"drbdadm", "connect", "r0:node3"});  // the late peer meets the Primary first
    cluster.Advance(Millis(5000));
    cluster.Run("node2", {"drbdadm", "connect", "r0:node3"});
    EXPECT_TRUE(cluster.WaitFor([&] { return Healthy(cluster, "r0", "node1"); }, Millis(10000)));
    const ResourceReport report = cluster.Report("r0");
    if (policy == "io-error") {
      EXPECT_GT(report.diverged_blocks, 100U);
      EXPECT_GT(report.lost_writes, 100U);
      EXPECT_EQ(report.stale_peers, 0U) << "status is clean everywhere";
    } else {
      EXPECT_EQ(report.diverged_blocks, 0U);
      EXPECT_GT(report.resync_kib, 400U);
    }
  }
}

TEST(F3Test, NoDivergenceWhenTheLatePeerMeetsTheOtherSecondaryFirst) {
  Cluster cluster({.stale_after_parallel_forced = 0});
  ResourceSpec spec;
  spec.on_no_quorum = "io-error";
  BringUp(cluster, spec);
  WriteABit(cluster);
  cluster.Run("node1", {"drbdadm", "suspend-io", "r0"});
  cluster.Run("node2", {"drbdadm", "disconnect", "r0:node3"});
  cluster.Run("node1", {"drbdadm", "disconnect", "--force", "r0"});
  cluster.Run("node1", {"drbdadm", "connect", "r0:node2"});
  cluster.Advance(Millis(1000));
  cluster.Run("node1", {"drbdadm", "resume-io", "r0"});
  cluster.Advance(Millis(3000));
  cluster.StopWriter("r0", "node1");
  cluster.Run("node2", {"drbdadm", "connect", "r0:node3"});
  cluster.Advance(Millis(3000));
  cluster.Run("node1", {"drbdadm", "connect", "r0:node3"});
  EXPECT_TRUE(cluster.WaitFor([&] { return Healthy(cluster, "r0", "node1"); }, Millis(10000)));
  EXPECT_EQ(cluster.Report("r0").diverged_blocks, 0U);
}

TEST(F12Test, StalePeerGetsNoWritesAndTheNextReconnectHidesIt) {
  Cluster cluster({.stale_after_graceful = 1.0});
  BringUp(cluster, {});
  WriteABit(cluster);
  cluster.StopWriter("r0", "node1");
  cluster.Run("node1", {"drbdadm", "primary", "r0"});
  cluster.Run("node1", {"drbdadm", "disconnect", "r0:node2"});
  cluster.Run("node1", {"drbdadm", "connect", "r0:node2"});
  cluster.Advance(Millis(5000));
  EXPECT_EQ(Conn(cluster, "r0", "node1", "node2").state, ConnState::kConnected);
  EXPECT_EQ(Peer(cluster, "r0", "node1", "node2").repl, ReplState::kEstablished);
  EXPECT_EQ(Peer(cluster, "r0", "node1", "node2").disk, DiskState::kOutdated);
  EXPECT_EQ(cluster.kernel().Find("node2", "r0")->devices.at(0).disk, DiskState::kUpToDate);
  EXPECT_EQ(cluster.Report("r0").diverged_blocks, 0U) << "nothing was written yet";
  ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
  cluster.Advance(Millis(2000));
  EXPECT_THAT(cluster.Run("node1", {"dmesg"}).out, ::testing::HasSubstr("new current UUID"));
  EXPECT_THAT(cluster.Run("node1", {"drbdsetup", "status", "--json"}).out,
              ::testing::HasSubstr("\"peer-disk-state\": \"Outdated\""));
  cluster.StopWriter("r0", "node1");
  const std::uint64_t diverged = cluster.Report("r0").diverged_blocks;
  EXPECT_GT(diverged, 50U);
  EXPECT_EQ(ResourceReport(cluster.Report("r0")).stale_peers, 1U);
  cluster.Run("node1", {"drbdadm", "disconnect", "--force", "r0:node2"});
  cluster.Run("node1", {"drbdadm", "connect", "r0:node2"});
  EXPECT_TRUE(cluster.WaitFor([&] { return Healthy(cluster, "r0", "node1"); }, Millis(9000)));
  EXPECT_EQ(cluster.Report("r0").diverged_blocks, diverged);
}

// One graceful cut and reconnect of node1-node2 as F13's table describes it.
bool GracefulCutGetsStale(std::uint64_t seed, bool hot, bool steady) {
  Cluster cluster({.seed = seed});
  BringUp(cluster, {});
  WriteABit(cluster);
  if (!steady) {
    cluster.Run("node1", {"drbdadm", "primary", "r0"});
    cluster.StopWriter("r0", "node1");
  }
  if (!hot && !steady) {
    cluster.Advance(Millis(10000));
  }
  cluster.Run("node1", {"drbdadm", "disconnect", "r0:node2"});
  cluster.Run("node1", {"drbdadm", "connect", "r0:node2"});
  cluster.Advance(Millis(5000));
  return cluster.Summary("r0").stale_peers > 0;
}

TEST(F13Test, RatesOfTheGracefulCutAreThoseOfTheTable) {
  int hot = 0;
  int idle = 0;
  int steady = 0;
  constexpr int kRuns = 100;
  for (int i = 0; i < kRuns; ++i) {
    const auto seed = static_cast<std::uint64_t>(i + 1);
    hot += GracefulCutGetsStale(seed, true, false) ? 1 : 0;
    idle += i < 20 && GracefulCutGetsStale(seed, false, false) ? 1 : 0;
    steady += i < 20 && GracefulCutGetsStale(seed, true, true) ? 1 : 0;
  }
  EXPECT_GE(hot, kRuns * 5 / 100) << "3 of 20 was seen";
  EXPECT_LE(hot, kRuns * 30 / 100);
  EXPECT_EQ(idle, 0);
  EXPECT_EQ(steady, 0);
}

// The guide's own procedure, told to all nodes at once, with the resume that it forgets.
void DocumentedProcedure(Cluster& cluster, ResourceSpec spec, bool tls) {
  Parallel(cluster, spec.nodes, {"drbdadm", "suspend-io", "all"});
  Parallel(cluster, spec.nodes, {"drbdadm", "disconnect", "--force", "all"});
  spec.tls = tls;
  PutRes(cluster, spec);
  Parallel(cluster, spec.nodes, {"drbdadm", "adjust", "all"});
  cluster.WaitFor([&] { return cluster.Summary("r0").connected == 3; }, Millis(10000));
  Parallel(cluster, spec.nodes, {"drbdadm", "resume-io", "all"});
  cluster.Advance(Millis(2000));
}

TEST(F13Test, DocumentedProcedureDivergesAtTheObservedRate) {
  // The reason for the whole gate: without it some volume is damaged and no status says so.
  int stale = 0;
  int diverged = 0;
  constexpr int kRuns = 150;
  for (int i = 0; i < kRuns; ++i) {
    Cluster cluster({.seed = static_cast<std::uint64_t>(1000 + i)});
    const ResourceSpec spec;
    BringUp(cluster, spec);
    ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
    cluster.Advance(Millis(500));
    DocumentedProcedure(cluster, spec, true);
    const bool was_stale = cluster.Summary("r0").stale_peers > 0;
    stale += was_stale ? 1 : 0;
    if (was_stale) {
      DocumentedProcedure(cluster, spec, false);
      const ResourceReport report = cluster.Report("r0");
      diverged += report.diverged_blocks > 0 && report.stale_peers == 0 ? 1 : 0;
      EXPECT_EQ(report.errors, 0U);
    }
  }
  EXPECT_GE(stale, 3) << "2 of 31 was seen";
  EXPECT_LE(stale, 22);
  EXPECT_GE(diverged, stale / 2) << "the next switch makes the damage invisible";
}

TEST(F2Test, ForcedCutUnderLoadCanLeaveARecordedBlockBehind) {
  // F2.8: out-of-sync on an Established connection is an alarm and nothing to reconnect away.
  std::uint64_t diverged = 0;
  // The cut has to hit the way to the peers, which is half of the latency.
  for (int offset = 0; offset < 400; offset += 50) {
    Cluster cluster({.write_latency = Millis(400), .lost_in_flight = 1.0});
    const ResourceSpec spec;
    BringUp(cluster, spec);
    ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
    cluster.Advance(Millis(1000 + offset));
    Parallel(cluster, spec.nodes, {"drbdadm", "disconnect", "--force", "r0"});
    cluster.Advance(Millis(1000));
    Parallel(cluster, spec.nodes, {"drbdadm", "adjust", "r0"});
    cluster.Advance(Millis(1000));
    cluster.StopWriter("r0", "node1");
    cluster.Advance(Millis(3000));
    diverged += cluster.Report("r0").diverged_blocks;
  }
  EXPECT_GT(diverged, 0U);
}

// Two diskful nodes, open on the third.
ResourceSpec OpenOnDiskless() {
  ResourceSpec spec;
  spec.diskless = {"node3"};
  return spec;
}

std::uint64_t Writes(Cluster& cluster, Millis time) {
  cluster.Advance(time);
  return cluster.Report("r0").writes;
}

// F4.5: zero stall and equal data, also for the write between Connected and the exchange of the
// bitmaps, of which only the other replica can know.
TEST(DisklessPrimaryTest, NoWriteIsForgottenWhenAReplicaComesBack) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Cluster cluster({.seed = seed, .volume_kib = 1024, .stale_after_graceful = 0});
    BringUp(cluster, OpenOnDiskless());
    ASSERT_FALSE(cluster.StartWriter("r0", "node3", Millis(2)));
    cluster.Advance(Millis(500));
    ASSERT_EQ(cluster.Run("node3", {"drbdadm", "disconnect", "r0:node1"}).exit, 0);
    cluster.Advance(Millis(static_cast<int>(50 + seed)));
    cluster.Run("node3", {"drbdadm", "connect", "r0:node1"});
    ASSERT_TRUE(cluster.WaitFor([&] { return Healthy(cluster, "r0", "node3"); }, Millis(10000)));
    cluster.Advance(Millis(500));
    EXPECT_TRUE(cluster.DataIntact("r0")) << "seed " << seed;
  }
}

// A replica that the Primary cannot reach hears of the new generation from the other one; otherwise
// it could be opened next, without the last writes.
TEST(DisklessPrimaryTest, AReplicaThatItLostIsNotOpenedWithOldData) {
  Cluster cluster;
  BringUp(cluster, OpenOnDiskless());
  ASSERT_FALSE(cluster.StartWriter("r0", "node3", Millis(20)));
  cluster.CutLink("node2", "node3", true);
  EXPECT_GT(Writes(cluster, Millis(3000)), 50U);
  EXPECT_EQ(cluster.kernel().Find("node2", "r0")->devices.at(0).disk, DiskState::kOutdated);
  cluster.StopWriter("r0", "node3");
  cluster.Advance(Millis(3000));
  ASSERT_FALSE(cluster.StartWriter("r0", "node2", Millis(20)));
  EXPECT_GT(Writes(cluster, Millis(1000)), 50U);
  EXPECT_TRUE(cluster.DataIntact("r0"));
}

// The same when only a tiebreaker stands between them, and at the moment at which it is moved: what
// had been written last was lost, and both had data of their own.
TEST(PromoteTest, ATiebreakerTellsAReplicaThatItIsBehind) {
  for (const bool cut_first : {false, true}) {
    Cluster cluster;
    BringUp(cluster, OpenOnDiskless());
    if (!cut_first) {
      ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
      cluster.Advance(Millis(500));
    }
    cluster.CutLink("node1", "node2", true);
    while (cluster.kernel().Find("node1", "r0")->connections.at(1).state == ConnState::kConnected) {
      cluster.Advance(Millis(1));
    }
    if (cut_first) {
      EXPECT_EQ(cluster.kernel().Find("node2", "r0")->devices.at(0).disk, DiskState::kUpToDate);
      ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
      cluster.Advance(Millis(500));
    }
    cluster.StopWriter("r0", "node1");
    cluster.Advance(Millis(100));
    EXPECT_EQ(cluster.kernel().Find("node2", "r0")->devices.at(0).disk, DiskState::kOutdated);
    EXPECT_TRUE(cluster.StartWriter("r0", "node2", Millis(20))) << "it has old data";
    cluster.CutLink("node1", "node2", false);
    cluster.Advance(Millis(5000));
    EXPECT_FALSE(cluster.StartWriter("r0", "node2", Millis(20)));
    EXPECT_TRUE(cluster.DataIntact("r0"));
  }
}

// The last write reached one replica only, and the Primary is gone.
TEST(DisklessPrimaryTest, WhatOneReplicaGotLastIsPassedOn) {
  for (int offset = 0; offset < 100; offset += 10) {
    Cluster cluster({.volume_kib = 256});
    BringUp(cluster, OpenOnDiskless());
    ASSERT_FALSE(cluster.StartWriter("r0", "node3", Millis(20)));
    cluster.Advance(Millis(1000 + offset));
    cluster.CutLink("node2", "node3", true);
    cluster.Advance(Millis(200));
    cluster.CrashNode("node3");
    cluster.Advance(Millis(4000));
    EXPECT_EQ(cluster.Report("r0").diverged_blocks, 0U) << offset;
  }
}

// The only replica that a write was sent to is lost, when the other one has just come back.
TEST(DisklessPrimaryTest, AWriteThatNobodyHasIsNotDone) {
  for (int offset = 0; offset < 1000; offset += 20) {
    Cluster cluster;
    BringUp(cluster, OpenOnDiskless());
    ASSERT_FALSE(cluster.StartWriter("r0", "node3", Millis(20)));
    cluster.CutLink("node2", "node3", true);
    cluster.Advance(Millis(3000));
    cluster.CutLink("node2", "node3", false);
    cluster.Advance(Millis(offset));
    cluster.CutLink("node1", "node3", true);
    cluster.Advance(Millis(5000));
    cluster.CutLink("node1", "node3", false);
    cluster.Advance(Millis(5000));
    EXPECT_EQ(cluster.Report("r0").lost_writes, 0U) << offset;
    EXPECT_TRUE(cluster.DataIntact("r0")) << offset;
  }
}

TEST(PromoteTest, APrimaryIsKnownOverThirdNodes) {
  Cluster cluster;
  BringUp(cluster, {});
  ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
  cluster.CutLink("node1", "node3", true);
  cluster.Advance(Millis(3000));
  const KernelResult refused = cluster.StartWriter("r0", "node3", Millis(20));
  ASSERT_TRUE(refused);
  EXPECT_THAT(refused->text, ::testing::HasSubstr("Multiple primaries"));
}

// What all have to agree on waits for one who does not answer: a graceful cut that hits the moment
// in which another peer dies would take the last copy.
TEST(PromoteTest, NothingIsAgreedOnWhileANodeIsSilent) {
  Cluster cluster;
  BringUp(cluster, {});
  ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
  cluster.CutLink("node1", "node3", true);
  EXPECT_NE(cluster.Run("node1", {"drbdadm", "disconnect", "r0:node2"}).exit, 0);
  cluster.Advance(Millis(3000));
  EXPECT_EQ(cluster.Run("node1", {"drbdadm", "disconnect", "r0:node2"}).exit, 17) << "F26.5";
}

// Both were restarted; the one that was ahead is good, and the other one follows.
TEST(RestartTest, TwoReplicasWithoutQuorumComeBack) {
  Cluster cluster;
  ResourceSpec spec;
  spec.nodes = {"node1", "node2"};
  spec.quorum = "off";
  BringUp(cluster, spec);
  ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
  cluster.CrashNode("node2");
  cluster.Advance(Millis(3000));
  cluster.CrashNode("node1");
  for (const std::string& node : spec.nodes) {
    cluster.BootNode(node);
    cluster.SetTlshd(node, true);
    cluster.Run(node, {"drbdadm", "adjust", "r0"});
  }
  EXPECT_TRUE(cluster.WaitFor([&] { return Healthy(cluster, "r0", "node1"); }, Millis(10000)));
  EXPECT_FALSE(cluster.StartWriter("r0", "node2", Millis(20)));
  EXPECT_TRUE(cluster.DataIntact("r0"));
}

TEST(RestartTest, TheOnlyCopyOfADisklessPrimaryComesBack) {
  Cluster cluster;
  ResourceSpec spec;
  spec.nodes = {"node1", "node2"};
  spec.diskless = {"node2"};
  spec.quorum = "off";
  BringUp(cluster, spec);
  ASSERT_FALSE(cluster.StartWriter("r0", "node2", Millis(20)));
  cluster.Advance(Millis(500));
  cluster.CrashNode("node1");
  cluster.Advance(Millis(3000));
  cluster.BootNode("node1");
  cluster.Run("node1", {"drbdadm", "adjust", "r0"});
  const std::uint64_t before = Writes(cluster, Millis(3000));
  EXPECT_GT(Writes(cluster, Millis(1000)), before);
  EXPECT_EQ(cluster.Report("r0").errors, 0U);
  EXPECT_TRUE(cluster.DataIntact("r0"));
}

}  // namespace
}  // namespace breakwater::sim::testing
