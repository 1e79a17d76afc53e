// Random situations, most of which nobody would write down: whatever they are, PlanVolume asks for
// nothing that breaks a rule. A fast search; the walks of the model check what the asks lead to.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>

#include "operator/core/replication/plan/test_volume.h"

namespace breakwater::replication {
namespace {

using testing_seen::End;
using testing_seen::MakeDiskless;
using testing_seen::Volume;
using Kind = VolumeDecision::Kind;

class Maker {
 public:
  explicit Maker(std::uint32_t seed) : random_(seed) {}

  Volume Make() {
    static const std::vector<std::string> kNames = {"n1", "n2", "n3", "n4"};
    std::vector<std::string> names = kNames;
    names.resize(2 + Pick(3));
    const bool tls = Half();
    Volume volume = testing_seen::ToSwitch(names, tls);
    volume.goal.may_switch = !Rarely();
    volume.goal.in_flight = volume.goal.may_switch || Half();
    volume.goal.floor_tls = tls && Half();
    volume.goal.allow_single_copy = Half();
    volume.goal.heal_stale = !Rarely();
    volume.goal.strategy = static_cast<StrategyChoice>(Pick(3));
    if (Rarely()) {
      volume.goal.resume_foreign_after = std::chrono::seconds(1);
    }
    if (names.size() > 2 && Half()) {
      MakeDiskless(volume.seen, names[Pick(3)]);
    }
    for (auto& [pair, connection] : volume.seen.connections) {
      if (Half()) {
        volume.Switch(pair, tls);
        if (Half()) {
          volume.seen.levels.pairs[pair.ToString()] = {tls, true, !tls};
        }
      }
    }
    for (int faults = static_cast<int>(Pick(4)); faults > 0; --faults) {
      Break(volume, names);
    }
    return volume;
  }

  // Time passes, and things change.
  void Step(Volume& volume) {
    volume.now += std::chrono::milliseconds(200 + Pick(4000));
    if (Rarely()) {
      std::vector<std::string> names;
      for (const auto& [name, node] : volume.seen.nodes) {
        names.push_back(name);
      }
      Break(volume, names);
    }
    for (RunningTransaction& running : volume.running) {
      running.progress.armed = running.progress.armed || Half();
    }
    if (Rarely()) {
      volume.running.clear();
    }
  }

  bool Half() { return Pick(2) == 0; }

  bool Rarely() { return Pick(6) == 0; }

  std::size_t Pick(std::size_t n) { return random_() % n; }

 private:
  void Break(Volume& volume, const std::vector<std::string>& names) {
    const std::string& node = names[Pick(names.size())];
    std::string peer = names[Pick(names.size())];
    peer = peer == node ? names[node == names[0] ? 1 : 0] : peer;
    EndView& end = End(volume.seen, node, peer);
    NodeView& view = volume.seen.nodes.at(node);
    static const std::array<const char*, 4> kStates = {"StandAlone", "Connecting", "Connected",
                                                       "NetworkFailure"};
    static const std::array<const char*, 5> kReplication = {"SyncSource", "VerifyS", "WFBitMapT",
                                                            "Established", "Off"};
    static const std::array<const char*, 4> kDisks = {"Outdated", "Inconsistent", "UpToDate",
                                                      "DUnknown"};
    switch (Pick(16)) {
      case 0:
        end.state = kStates[Pick(4)];
        break;
      case 1:
        end.tls = Half();
        break;
      case 2:
        if (!end.devices.empty()) {
          end.devices[0].replication = kReplication[Pick(5)];
        }
        break;
      case 3:
        if (!end.devices.empty()) {
          end.devices[0].peer_disk = kDisks[Pick(4)];
        }
        break;
      case 4:
        if (!end.devices.empty()) {
          end.devices[0].out_of_sync_kib = Pick(2) * 8;
        }
        break;
      case 5:
        view.suspended_user = Half();
        break;
      case 6:
        view.primary = Half();
        break;
      case 7:
        view = NodeView{.name = node};
        end = EndView{};
        break;
      case 8:
        volume.agents[node].connected = Half();
        break;
      case 9:
        volume.agents.erase(node);
        break;
      case 10:
        volume.goal.unfit[node] = "unfit";
        break;
      case 11:
        view.quorum = Half() ? "all" : "2";
        break;
      case 12:
        view.on_no_quorum = "io-error";
        break;
      case 13:
        volume.seen.levels.known = Half();
        break;
      case 14:
        volume.goal.hold[Pair::Of(node, peer)] = "held";
        break;
      default:
        end.devices.clear();
    }
  }

  std::mt19937 random_;
};

bool Cuts(const AskNode& ask, const ResourceObservation& seen) {
  if (ask.request.kind == TransactionKind::kSuspendedSwitch) {
    return true;
  }
  return ask.request.kind == TransactionKind::kLead &&
         seen.connections.at(Pair::Of(ask.node, ask.request.peers.at(0))).BothConnected();
}

std::string BrokenByCut(const Volume& volume, const AskNode& ask) {
  const ResourceObservation& seen = volume.seen;
  if (seen.SuspendedUser() || !FindStale(seen).empty() || FindPrimaryProblem(seen)) {
    return "cut while suspended, stale, or with more than one Primary";
  }
  if (!seen.AllKnown() || !seen.levels.known || !volume.goal.may_switch) {
    return "cut without a place, LINSTOR, or a look at every node";
  }
  for (const auto& [pair, connection] : seen.connections) {
    for (const EndView* end : {&connection.a, &connection.b}) {
      if (!end->connected() || end->devices.empty() ||
          end->devices[0].replication != "Established") {
        return "cut while connection " + pair.ToString() + " is not established";
      }
    }
  }
  const std::vector<std::string> primaries = seen.Primaries();
  if (ask.request.kind == TransactionKind::kSuspendedSwitch) {
    const NodeView& node = seen.nodes.at(ask.node);
    if (!node.primary || !node.AllUpToDate() || node.on_no_quorum != "suspend-io") {
      return "suspended where a resume could give I/O errors";
    }
  } else if (!primaries.empty() && ask.request.peers.at(0) == primaries[0]) {
    return "led from the Secondary's end";
  }
  for (const std::string& peer : ask.request.peers) {
    const auto follow = std::find_if(
        volume.running.begin(), volume.running.end(), [&](const RunningTransaction& running) {
          return running.node == peer && running.progress.armed &&
                 running.progress.tls == ask.request.tls &&
                 running.progress.peers == std::vector<std::string>{ask.node};
        });
    if (follow == volume.running.end()) {
      return "led before " + peer + " is armed";
    }
  }
  return "";
}

std::string BrokenRule(const Volume& volume, const VolumeDecision& decision) {
  const ResourceObservation& seen = volume.seen;
  const bool only_follows = std::all_of(
      volume.running.begin(), volume.running.end(),
      [](const auto& running) { return running.progress.kind == TransactionKind::kFollow; });
  const bool all_seen = std::all_of(
      volume.running.begin(), volume.running.end(), [&](const RunningTransaction& running) {
        return seen.nodes.at(running.node).known ||
               (volume.agents.contains(running.node) && volume.agents.at(running.node).connected);
      });
  if (!only_follows && all_seen && (!decision.asks.empty() || !decision.ops.empty())) {
    return "acts while a transaction runs";
  }
  if (!decision.ops.empty()) {
    if (seen.SuspendedUser() || !seen.AllKnown() || !seen.levels.known || !volume.running.empty()) {
      return "changes LINSTOR at the wrong moment";
    }
    ResourceLevels levels = seen.levels;
    for (const LinstorOp& op : decision.ops) {
      levels = After(levels, op);
    }
    for (const auto& [pair, connection] : seen.connections) {
      const std::string key = pair.ToString();
      if (connection.a.stand_alone() || connection.b.stand_alone()) {
        return "changes LINSTOR while an adjust would connect something";
      }
      if (connection.BothConnected() && Effective(levels, key) != Effective(seen.levels, key) &&
          Effective(levels, key) != connection.a.tls) {
        return "tells LINSTOR what a connection does not run";
      }
    }
  }
  int leads = 0;
  for (const AskNode& ask : decision.asks) {
    if (AgentObstacle(volume.agents, ask.node)) {
      return "asks a node without an agent";
    }
    const bool sets = ask.request.kind == TransactionKind::kLead ||
                      ask.request.kind == TransactionKind::kFollow ||
                      ask.request.kind == TransactionKind::kSuspendedSwitch;
    if (sets && volume.goal.floor_tls && !ask.request.tls) {
      return "plaintext below the floor";
    }
    if (sets && ask.request.tls && (volume.goal.unfit.contains(ask.node))) {
      return "TLS on a node that is not fit";
    }
    if (seen.SuspendedUser() && ask.request.kind != TransactionKind::kResume) {
      return "acts while somebody else has suspended I/O";
    }
    leads += ask.request.kind == TransactionKind::kLead ||
                     ask.request.kind == TransactionKind::kSuspendedSwitch
                 ? 1
                 : 0;
    if (Cuts(ask, seen)) {
      if (std::string broken = BrokenByCut(volume, ask); !broken.empty()) {
        return broken;
      }
    }
    if (ask.request.kind == TransactionKind::kReconnect &&
        volume.goal.hold.contains(Pair::Of(ask.node, ask.request.peers.at(0)))) {
      return "reconnects what is held";
    }
  }
  return leads > 1 ? "two Leads" : "";
}

TEST(PlanPropertyTest, NoSituationBreaksARule) {
  int asked = 0;
  int cut = 0;
  int told = 0;
  for (std::uint32_t seed = 0; seed < 2000; ++seed) {
    Maker maker(seed);
    Volume volume = maker.Make();
    for (int step = 0; step < 8; ++step) {
      const VolumeDecision decision = volume.Decide();
      ASSERT_EQ(BrokenRule(volume, decision), "")
          << "seed " << seed << " step " << step << ": " << decision.why;
      ASSERT_FALSE(decision.why.empty());
      ASSERT_EQ(decision.kind == Kind::kAsk, !decision.asks.empty());
      ASSERT_EQ(decision.kind == Kind::kLinstor, !decision.ops.empty());
      ASSERT_GT(decision.poll.count(), 0);
      asked += decision.asks.empty() ? 0 : 1;
      told += decision.ops.empty() ? 0 : 1;
      for (const AskNode& ask : decision.asks) {
        cut += Cuts(ask, volume.seen) ? 1 : 0;
      }
      for (const AskNode& ask : decision.asks) {
        if (!maker.Rarely()) {  // lost
          volume.Start(ask, maker.Half());
        }
      }
      volume.Apply(decision);
      maker.Step(volume);
    }
  }
  // Else nothing was tested.
  EXPECT_GT(asked, 500);
  EXPECT_GT(cut, 100);
  EXPECT_GT(told, 100);
}

}  // namespace
}  // namespace breakwater::replication
