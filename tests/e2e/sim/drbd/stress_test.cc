// Random commands and faults: whatever is done to it, the model stays consistent with itself.
#include <gmock/gmock.h>

#include "tests/e2e/sim/drbd/test_cluster.h"

namespace breakwater::sim::testing {
namespace {

const std::vector<std::string> kNodes = {"node1", "node2", "node3"};

std::vector<std::string> RandomCommand(Rng& rng, const std::string& node) {
  const std::string peer = kNodes[rng.Below(kNodes.size())];
  const std::string target = peer == node || rng.Chance(0.3) ? "r0" : "r0:" + peer;
  const std::string id = std::to_string(rng.Below(3));
  const std::vector<std::vector<std::string>> commands = {
      {"drbdadm", "adjust", "r0"},
      {"drbdadm", "adjust", "all"},
      {"drbdadm", "disconnect", target},
      {"drbdadm", "disconnect", "--force", target},
      {"drbdadm", "connect", target},
      {"drbdadm", "suspend-io", "r0"},
      {"drbdadm", "resume-io", "all"},
      {"drbdsetup", "net-options", "r0", id, "--tls=yes"},
      {"drbdsetup", "net-options", "r0", id, "--tls=no"},
      {"drbdadm", "invalidate-remote", target, "--reset-bitmap=no"},
      {"drbdadm", "invalidate", "r0"},
      {"drbdadm", "down", "r0"},
      {"drbdadm", "primary", "r0"},
      {"drbdadm", "secondary", "r0"},
      {"drbdadm", "create-md", "--force", "r0"},
      {"drbdsetup", "status", "--verbose", "--statistics"},
      {"drbdsetup", "status", "--json"},
      {"drbdsetup", "events2", "--now"},
      {"drbdsetup", "show", "--json"},
      {"drbdadm", "dump", "r0"},
      {"ss", "-tnie"},
  };
  return commands[rng.Below(commands.size())];
}

void RandomFault(Cluster& cluster, Rng& rng) {
  const std::string node = kNodes[rng.Below(kNodes.size())];
  const std::string other = kNodes[rng.Below(kNodes.size())];
  switch (rng.Below(8)) {
    case 0:
      cluster.CrashNode(node);
      break;
    case 1:
    case 2:
      cluster.BootNode(node);
      break;
    case 3:
      cluster.SetTlshd(node, rng.Chance(0.7), rng.Chance(0.2));
      break;
    case 4:
      cluster.CutLink(node, other, node != other && rng.Chance(0.3));
      break;
    case 5:
      (void)cluster.StartWriter("r0", node, Millis(20));
      break;
    case 6:
      cluster.StopWriter("r0", node);
      break;
    default:
      (void)cluster.InjectStale("r0", node, other);
  }
}

// Of each connection: up on both ends or on none, with the same sockets, and a resync has two ends.
void ExpectBothEndsAgree(Cluster& cluster) {
  for (const std::string& name : kNodes) {
    Resource* resource = cluster.kernel().Find(name, "r0");
    if (resource == nullptr) {
      continue;
    }
    for (auto& [id, connection] : resource->connections) {
      const End end{&cluster.world().GetNode(name), resource, &connection};
      const End peer = cluster.kernel().Opposite(end);
      const bool up = connection.state == ConnState::kConnected;
      ASSERT_TRUE(!up || peer.connection != nullptr) << name << " is connected to nobody";
      EXPECT_TRUE(up || !connection.encrypted) << name << " has sockets without a connection";
      if (peer.connection == nullptr) {
        continue;
      }
      EXPECT_EQ(up, peer.connection->state == ConnState::kConnected) << name;
      EXPECT_EQ(connection.encrypted, peer.connection->encrypted) << name;
      EXPECT_EQ(connection.out_port, peer.connection->in_port) << name;
      for (const auto& [volume, device] : connection.volumes) {
        const auto there = peer.connection->volumes.find(volume);
        if (there != peer.connection->volumes.end()) {
          EXPECT_EQ(device.repl == ReplState::kSyncSource,
                    there->second.repl == ReplState::kSyncTarget)
              << name << " - " << connection.peer;
        }
        EXPECT_TRUE(up || device.repl == ReplState::kOff) << name;
      }
    }
  }
}

TEST(StressTest, RandomCommandsAndFaultsNeverBreakTheModel) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Cluster cluster({.seed = seed, .stuck_wfbitmap = 0.1});
    Rng rng(seed);
    ResourceSpec spec;
    spec.on_no_quorum = seed % 2 == 0 ? "io-error" : "suspend-io";
    if (seed % 3 == 0) {
      spec.diskless = {"node3"};
    }
    BringUp(cluster, spec);
    for (int i = 0; i < 150; ++i) {
      if (rng.Chance(0.25)) {
        RandomFault(cluster, rng);
      } else {
        const std::string node = kNodes[rng.Below(kNodes.size())];
        cluster.Start(node, kSatelliteContainer, RandomCommand(rng, node), nullptr);
      }
      ASSERT_NO_THROW(cluster.Advance(Millis(rng.Below(900)))) << "seed " << seed;
    }
    ASSERT_NO_THROW((void)cluster.Report("r0"));
    for (const std::string& node : kNodes) {
      cluster.BootNode(node);
      cluster.SetTlshd(node, true);
      for (const std::string& other : kNodes) {
        cluster.CutLink(node, other, false);
      }
    }
    cluster.Advance(Millis(20000));
    ExpectBothEndsAgree(cluster);
    for (const std::string& node : kNodes) {
      EXPECT_NE(cluster.Run(node, {"drbdadm", "disconnect", "--force", "r0"}).exit, 124);
      EXPECT_NE(cluster.Run(node, {"drbdadm", "adjust", "r0"}).exit, 124);
      ExpectBothEndsAgree(cluster);
    }
  }
}

// One step that a clumsy but honest administrator may take while node1 writes.
void RandomHonestStep(Cluster& cluster, Rng& rng) {
  const std::string node = kNodes[rng.Below(kNodes.size())];
  const std::string peer = kNodes[rng.Below(kNodes.size())];
  const std::string victim = rng.Chance(0.5) ? "node2" : "node3";
  const std::string target = peer == node ? "r0" : "r0:" + peer;
  const std::string peer_id = std::to_string(peer.back() - '1');
  switch (rng.Below(12)) {
    case 0:
      cluster.CrashNode(victim);
      break;
    case 1:
      cluster.BootNode(victim);
      break;
    case 11:  // a heal by the Primary, asked for or not (F14)
      cluster.Run("node1", {"drbdsetup", "invalidate-remote", "r0", victim == "node2" ? "1" : "2",
                            "0", "--reset-bitmap=no"});
      break;
    case 2:
      cluster.CutLink(node, peer, node != peer && rng.Chance(0.4));
      break;
    case 3:
      cluster.Run(node, {"drbdadm", "disconnect", "--force", target});
      break;
    case 4:
    case 5:
      cluster.Run(node, {"drbdadm", "disconnect", target});
      break;
    case 6:
      cluster.Run("node1", {"drbdadm", rng.Chance(0.4) ? "suspend-io" : "resume-io", "r0"});
      break;
    case 7:
      cluster.Run(node, {"drbdsetup", "net-options", "r0", peer_id,
                         rng.Chance(0.5) ? "--tls=yes" : "--tls=no"});
      break;
    default:
      cluster.SetTlshd(node, true);
      cluster.Run(node, {"drbdadm", rng.Chance(0.5) ? "adjust" : "connect", target});
  }
}

bool RepairAll(Cluster& cluster) {
  for (const std::string& node : kNodes) {
    cluster.BootNode(node);
    cluster.SetTlshd(node, true);
    for (const std::string& other : kNodes) {
      cluster.CutLink(node, other, false);
    }
  }
  for (int round = 0; round < 10; ++round) {
    for (const std::string& node : kNodes) {
      cluster.Run(node, {"drbdadm", "adjust", "r0"});
      cluster.Run(node, {"drbdadm", "resume-io", "r0"});
    }
    if (cluster.WaitFor([&] { return Healthy(cluster, "r0", "node1"); }, Millis(20000))) {
      return true;
    }
    // A connection that is up with TLS cannot be adjusted: it has to be cut first (F1).
    cluster.Run("node1", {"drbdadm", "disconnect", "r0"});
    cluster.Run("node2", {"drbdadm", "disconnect", "r0:node3"});
  }
  return false;
}

TEST(StressTest, WithoutTheRacesNoHonestSequenceLosesAnAcknowledgedWrite) {
  // Otherwise the simulator itself would blame a migration for damage that DRBD does not do.
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Cluster cluster({.seed = seed,
                     .volume_kib = seed % 2 == 0 ? std::uint64_t{256} : kDefaultSizeKib,
                     .stale_after_graceful = 0,
                     .stale_after_parallel_forced = 0,
                     .stale_after_suspended_cut = 0,
                     .lost_in_flight = 0});
    Rng rng(seed);
    ResourceSpec spec;
    if (seed % 4 == 0) {
      spec.diskless = {"node3"};
    }
    BringUp(cluster, spec);
    ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
    for (int i = 0; i < 40; ++i) {
      RandomHonestStep(cluster, rng);
      cluster.Advance(Millis(rng.Below(2500)));
    }
    EXPECT_TRUE(RepairAll(cluster)) << "seed " << seed << "\n"
                                    << cluster.Run("node1", {"drbdsetup", "status"}).out
                                    << cluster.Run("node2", {"drbdsetup", "status"}).out
                                    << cluster.Run("node3", {"drbdsetup", "status"}).out;
    cluster.Advance(Millis(1000));
    const ResourceReport report = cluster.Report("r0");
    EXPECT_EQ(report.diverged_blocks, 0U) << "seed " << seed;
    EXPECT_EQ(report.lost_writes, 0U) << "seed " << seed;
    EXPECT_EQ(report.errors, 0U) << "seed " << seed;
  }
}

}  // namespace
}  // namespace breakwater::sim::testing
