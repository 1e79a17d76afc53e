#include "tests/walks/walk.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "operator/core/replication/node/parse.h"
#include "operator/core/replication/volume/observation.h"
#include "tests/e2e/sim/drbd/test_cluster.h"
#include "tests/walks/linstor_actor.h"
#include "tests/walks/operator_actor.h"

namespace breakwater::walks {

using replication::Pair;

namespace {

constexpr Millis kStep{50};
/// F18: most reconnects are back after 15 s, wait at least 30.
constexpr Millis kReconnectTime{30000};
/// A new leader after the death of the old one, at the latest in the calm at the end.
constexpr Millis kCalm{600000};

struct Shape {
  const char* name;
  std::size_t nodes;
  std::vector<std::string> diskless;
  const char* quorum;
  const char* primary;
};

const std::vector<Shape>& Shapes() {
  static const std::vector<Shape> kShapes = {
      {"three replicas", 3, {}, "majority", "node1"},
      {"two replicas and a tiebreaker", 3, {"node3"}, "majority", "node1"},
      {"two replicas without quorum", 2, {}, "off", "node1"},
      {"open on a diskless node", 3, {"node3"}, "majority", "node3"},
      {"one replica, open elsewhere", 2, {"node2"}, "off", "node2"},
      {"closed", 3, {}, "majority", ""},
  };
  return kShapes;
}

class Walk final : public Witness {
 public:
  explicit Walk(const WalkOptions& options)
      : options_(options),
        cluster_(Config(options.seed)),
        stage_{cluster_, std::mt19937_64(options.seed * 7919 + 1)},
        shape_(&Shapes()[stage_.random() % Shapes().size()]),
        from_tls_(stage_.Chance(0.4)) {
    BuildVolume();
    if (options_.trace) {
      cluster_.world().on_log = [this](const sim::Node& node, std::string_view line) {
        Say("    " + node.name + " " + std::string(line));
      };
    }
    BuildActors();
  }

  WalkResult Run() {
    result_.shape = std::string(shape_->name) + (from_tls_ ? ", yes -> no" : ", no -> yes");
    Script();
    const Millis chaos = stage_.Between(20000, 90000);
    stage_.faults = true;
    AdvanceChecked(chaos, false);
    CalmDown();
    if (!AdvanceChecked(kCalm, true) && result_.broken.empty()) {
      Break("not finished when everything was well again: " + leaders_.back()->why());
    }
    Judge();
    return result_;
  }

  // --- Witness

  void Suspended(const std::string& node) override {
    frozen_[node] = cluster_.now();
    Say("suspended by the agent of " + node);
  }

  void Cut(const std::string& node, int peer_id) override {
    const sim::Resource* resource = cluster_.kernel().Find(node, spec_.name);
    if (resource != nullptr && resource->connections.contains(peer_id)) {
      const Pair pair = Pair::Of(node, resource->connections.at(peer_id).peer);
      cut_.emplace(pair, cluster_.now());
      Say("cut by the agent of " + node + ": " + pair.ToString());
    }
  }

 private:
  static sim::SimConfig Config(std::uint64_t seed) {
    sim::SimConfig config;
    config.seed = seed;
    config.suspend_limit = Millis(3600000);  // the walk has its own, tighter limits
    config.look_grace = Millis(500);         // what arose after a look cannot have been seen
    config.far_grace = Millis(75000);        // a process that is stopped, and its messages
    return config;
  }

  void Say(const std::string& text) const {
    if (options_.trace) {
      std::printf("%9.3f  %s\n", static_cast<double>(cluster_.now().count()) / 1e6, text.c_str());
    }
  }

  void BuildVolume() {
    spec_.name = "r0";
    spec_.nodes.clear();
    for (std::size_t i = 1; i <= shape_->nodes; ++i) {
      spec_.nodes.push_back("node" + std::to_string(i));
    }
    spec_.diskless = shape_->diskless;
    spec_.quorum = shape_->quorum;
    for (const std::string& a : spec_.nodes) {
      for (const std::string& b : spec_.nodes) {
        if (a < b) {
          spec_.pair_tls[{a, b}] = from_tls_;
        }
      }
    }
    sim::testing::BringUp(cluster_, spec_);
    primary_ = shape_->primary;
    if (!primary_.empty()) {
      interval_ = stage_.Between(20, 120);
      (void)cluster_.StartWriter(spec_.name, primary_, interval_);
    }
    cluster_.Advance(Millis(2000));
    (void)cluster_.Check();
    cluster_.world().violations.clear();
    cluster_.ResetStatistics();
  }

  void BuildActors() {
    replication::ResourceLevels levels;
    levels.known = true;
    levels.definition = replication::Level{from_tls_, true, from_tls_};  // pinned to what it runs
    levels.controller = !from_tls_;
    linstor_ = std::make_unique<LinstorActor>(stage_, spec_, levels);
    api_.tls = !from_tls_;
    for (const std::string& node : spec_.nodes) {
      auto agent = std::make_unique<AgentActor>(stage_, node, spec_.name, *this, options_.without);
      agent->rates = Rates();
      agent->journal_failures = stage_.Chance(0.2) ? 0.05 : 0.0;
      agent->told = [this, node](const replication::AgentMessage& message) {
        for (const auto& leader : leaders_) {
          leader->Told(node, message);
        }
      };
      agent->lost = [this, node] {
        for (const auto& leader : leaders_) {
          leader->AgentLost(node);
        }
      };
      if (options_.trace) {
        agent->log = [this](const std::string& line) { Say(line); };
      }
      agents_[node] = std::move(agent);
    }
    const auto choice = stage_.random() % 3;
    strategy_ = choice == 0   ? replication::StrategyChoice::kAuto
                : choice == 1 ? replication::StrategyChoice::kPairByPair
                              : replication::StrategyChoice::kSuspendIo;
    single_copy_ = stage_.Chance(0.5);
    suspend_timeout_ = stage_.Chance(0.3) ? Millis(3000) : Millis(10000);
    result_.suspend_timeout = suspend_timeout_;
    twice_ = stage_.Chance(0.3) ? 0.3 : 0.0;
    message_delay_ = stage_.Chance(0.3) ? Millis(500) : Millis(20);
    NewLeader();
  }

  FaultRates Rates() {
    // Some walks are wild, some have one kind of fault only.
    FaultRates rates;
    rates.kill = stage_.Chance(0.5) ? 0.01 : 0.0;
    rates.stop = stage_.Chance(0.4) ? 0.005 : 0.0;
    rates.late = stage_.Chance(0.5) ? 0.05 : 0.0;
    return rates;
  }

  void NewLeader() {
    auto leader = std::make_unique<OperatorActor>(stage_, ++epoch_, spec_.name, spec_.nodes, api_,
                                                  *linstor_, agents_);
    leader->strategy = strategy_;
    leader->allow_single_copy = single_copy_;
    leader->suspend_timeout = suspend_timeout_;
    leader->lead_timeout = lead_timeout_;
    leader->message_delay = message_delay_;
    leader->twice = twice_;
    leader->rates = Rates();
    if (options_.trace) {
      leader->log = [this](const std::string& line) { Say(line); };
    }
    leaders_.push_back(std::move(leader));
    Say("leader " + std::to_string(epoch_));
  }

  const std::string& AnyNode() { return spec_.nodes[stage_.random() % spec_.nodes.size()]; }

  // --- what happens from outside, at random moments

  void Script() {
    Repeat(8000, [this] { ChangeLeader(); });
    Repeat(6000, [this] { HurtAgent(); });
    Repeat(5000, [this] { linstor_->ReconnectSatellite(AnyNode()); });
    Repeat(15000, [this] { leaders_.back()->BreakLink(AnyNode()); });
    if (stage_.Chance(0.3)) {
      Repeat(20000, [this] { linstor_->Snapshot(); });
    }
    if (stage_.Chance(0.3)) {
      Repeat(30000, [this] { MovePrimary(); });
    }
    if (stage_.Chance(0.25)) {
      Repeat(40000, [this] { CrashNode(); });
    }
    if (stage_.Chance(0.25)) {
      Repeat(25000, [this] { CutLink(); });
    }
    if (stage_.Chance(0.25)) {
      Repeat(30000, [this] { HurtTlshd(); });
    }
    if (stage_.Chance(0.2)) {
      Repeat(40000, [this] { api_.tls = !api_.tls; });
    }
    if (stage_.Chance(0.3)) {
      Repeat(20000, [this] {
        api_.down_until =
            std::chrono::duration_cast<Millis>(cluster_.now()) + stage_.Between(500, 20000);
      });
    }
  }

  /// About once in `mean` ms, while faults are on.
  void Repeat(int mean, const std::function<void()>& action) {
    stage_.After(stage_.Between(1, 2 * mean), [this, mean, action] {
      if (stage_.faults) {
        action();
        Repeat(mean, action);
      }
    });
  }

  void ChangeLeader() {
    OperatorActor& old = *leaders_.back();
    // One that wakes up late finds out soon that it has lost its lease, and ends.
    stage_.After(stage_.Between(20000, 60000), [&old] { old.Kill(); });
    const auto how = stage_.random() % 3;
    const Millis away = stage_.Chance(0.3) ? Millis(0) : stage_.Between(1000, 30000);
    if (how == 0) {
      Say("the operator is killed");
      old.Kill();
    } else if (how == 1) {
      Say("the operator is stopped and will wake up late");
      old.Stop(away + stage_.Between(500, 20000));
    } else {
      Say("the lease is lost");
    }
    stage_.After(away, [this] { NewLeader(); });
  }

  void HurtAgent() {
    AgentActor& agent = *agents_.at(AnyNode());
    if (!agent.container_up()) {
      return;
    }
    switch (stage_.random() % 4) {
      case 0:
        Say("agent of " + agent.node() + " is killed");
        agent.Kill();
        break;
      case 1:
        Say("agent of " + agent.node() + " is stopped");
        agent.Stop(stage_.Between(100, 40000));
        break;
      case 2:
        // The kubelet starts a container at once that dies for the first time.
        Say("container of the agent of " + agent.node() + " is killed");
        agent.KillContainer(stage_.Between(200, 900));
        break;
      default:
        Say("pod of " + agent.node() + " is terminated");
        agent.Terminate(stage_.Between(500, 20000));
        break;
    }
  }

  void MovePrimary() {
    if (primary_.empty()) {
      return;
    }
    cluster_.StopWriter(spec_.name, primary_);
    const std::string next = AnyNode();
    stage_.After(stage_.Between(10, 3000), [this, next] { Open(next); });
  }

  /// Without quorum nobody keeps a volume from being opened behind a cut network, or after one that
  /// hid writes: that splits brain whatever we do, and is not ours to survive.
  bool SplitsBrain() const {
    return spec_.quorum == "off" &&
           (!links_cut_.empty() || cluster_.now() - mended_ < Millis(5000));
  }

  void Open(const std::string& node) {
    if (!SplitsBrain() && cluster_.world().GetNode(node).up &&
        !cluster_.StartWriter(spec_.name, node, interval_)) {
      primary_ = node;
      Say("opened on " + node);
      return;
    }
    stage_.After(Millis(1000), [this, node] { Open(stage_.faults ? node : spec_.nodes.front()); });
  }

  void CrashNode() {
    const std::string node = AnyNode();
    if (!cluster_.world().GetNode(node).up || SplitsBrain()) {
      return;
    }
    Say("crash of " + node);
    cluster_.CrashNode(node);
    agents_.at(node)->NodeCrashed();
    down_[node] = true;
    stage_.After(stage_.Between(3000, 30000), [this, node] { Boot(node); });
    if (node == primary_) {
      stage_.After(stage_.Between(4000, 9000), [this] { Open(AnyNode()); });
    }
  }

  void Boot(const std::string& node) {
    if (!down_[node]) {
      return;
    }
    down_[node] = false;
    cluster_.BootNode(node);
    cluster_.SetTlshd(node, true);
    agents_.at(node)->NodeBooted();
    linstor_->ReconnectSatellite(node);
    Say("boot of " + node);
  }

  void CutLink() {
    const std::string& a = AnyNode();
    const std::string& b = AnyNode();
    if (a == b) {
      return;
    }
    Say("network between " + a + " and " + b + " is cut");
    cluster_.CutLink(a, b, true);
    links_cut_.insert(Pair::Of(a, b));
    stage_.After(stage_.Between(500, 15000), [this, pair = Pair::Of(a, b)] { Mend(pair); });
  }

  void Mend(const Pair& pair) {
    cluster_.CutLink(pair.a, pair.b, false);
    mended_ = cluster_.now();
    links_cut_.erase(pair);
  }

  void HurtTlshd() {
    const std::string node = AnyNode();
    cluster_.SetTlshd(node, stage_.Chance(0.5), true);
    Say("tlshd of " + node + " fails");
    stage_.After(stage_.Between(1000, 30000), [this, node] { cluster_.SetTlshd(node, true); });
  }

  // --- the end

  void CalmDown() {
    Say("calm");
    stage_.faults = false;
    for (const std::string& node : spec_.nodes) {
      if (down_[node]) {
        Boot(node);
      }
      cluster_.SetTlshd(node, true);
      agents_.at(node)->rates = {};
      if (agents_.at(node)->container_up()) {
        if (agents_.at(node)->life() == Actor::Life::kStopped) {
          agents_.at(node)->Continue();
        }
        agents_.at(node)->Start();
      }
    }
    while (!links_cut_.empty()) {
      Mend(*links_cut_.begin());
    }
    api_.down_until = Millis(0);
    for (const auto& leader : leaders_) {
      leader->Kill();
    }
    // What the user chose may be impossible for this volume, and is then refused for good.
    strategy_ = replication::StrategyChoice::kAuto;
    single_copy_ = true;
    NewLeader();
    leaders_.back()->rates = {};
  }

  bool Finished() {
    if (!leaders_.back()->done()) {
      return false;
    }
    const sim::ResourceReport report = cluster_.Summary(spec_.name);
    const int encrypted = api_.tls ? report.connections : 0;
    return !report.suspended_user && report.connected == report.connections &&
           report.encrypted == encrypted;
  }

  /// The only copy of an open volume is not switched (F28): nothing more to come.
  bool HeldForGood() const {
    return std::string(shape_->name) == "one replica, open elsewhere" && !primary_.empty();
  }

  bool AdvanceChecked(Millis time, bool until_finished) {
    const sim::Time end = cluster_.now() + time;
    sim::Time next_look = cluster_.now();
    while (cluster_.now() < end) {
      cluster_.Advance(kStep);
      CheckFreezes();
      CheckCuts();
      CheckData();
      if (!result_.broken.empty()) {
        return false;
      }
      if (until_finished && cluster_.now() >= next_look) {
        next_look = cluster_.now() + Millis(1000);
        ObeyReport();
        if (Finished()) {
          return true;
        }
      }
    }
    return !until_finished || HeldForGood();
  }

  /// What is reported as a person's to decide is decided: the Primary's copy is the right one.
  void ObeyReport() {
    if (leaders_.back()->why().find("run `drbdadm invalidate`") == std::string::npos ||
        primary_.empty()) {
      return;
    }
    for (const std::string& peer : spec_.nodes) {
      if (peer != primary_ && OutOfSync(peer)) {
        Say("a person invalidates " + peer);
        (void)cluster_.Run(primary_, {"drbdadm", "invalidate-remote", spec_.name + ":" + peer,
                                      "--reset-bitmap=no"});
      }
    }
  }

  bool OutOfSync(const std::string& peer) {
    const auto status = replication::ParseStatus(
        cluster_.Run(primary_, {"drbdsetup", "status", spec_.name, "--json"}).out);
    if (!status || !status->contains(spec_.name)) {
      return false;
    }
    for (const replication::DrbdConnection& connection : status->at(spec_.name).connections) {
      for (const replication::PeerDevice& device : connection.devices) {
        if (connection.peer == peer && device.replication == "Established" &&
            device.out_of_sync_kib > 0) {
          return true;
        }
      }
    }
    return false;
  }

  void Break(const std::string& what) {
    if (result_.broken.empty()) {
      result_.broken = what;
      Say("BROKEN: " + what);
      SayEverything();
    }
  }

  void SayEverything() {
    if (!options_.trace) {
      return;
    }
    for (const std::string& node : spec_.nodes) {
      const sim::Resource* resource = cluster_.kernel().Find(node, spec_.name);
      std::string text = node + ":";
      if (resource != nullptr) {
        text += std::string(" ") + std::string(sim::Name(resource->role)) +
                (resource->suspended_user ? " suspended" : "");
        for (const auto& [id, connection] : resource->connections) {
          const auto tls = connection.net.find("tls");
          text += "; " + connection.peer + " " + std::string(sim::Name(connection.state)) +
                  " tls " + (tls == connection.net.end() ? "-" : tls->second);
          for (const auto& [volume, device] : connection.volumes) {
            text += " " + std::string(sim::Name(device.repl)) + "/" +
                    std::string(sim::Name(device.disk));
          }
        }
      }
      Say(text);
      for (const std::string& line : agents_.at(node)->Transactions()) {
        Say("  " + line);
      }
    }
    Say("operator: " + leaders_.back()->why());
  }

  /// A peer may lack writes, when it has come back stale (F12) or is being resynced; as long as
  /// somebody who has them has recorded that, nothing is lost. What nobody knows of is lost.
  void CheckData() {
    const bool intact = cluster_.DataIntact(spec_.name);
    if (options_.trace && intact != intact_) {
      Say(intact ? "DATA equal again" : "DATA differ");
      if (!intact) {
        SayDifferences();
      }
    }
    intact_ = intact;
    if (intact) {
      return;
    }
    const auto in_flight = cluster_.writers().InFlight(spec_.name);
    for (const std::uint64_t block : AllBlocks()) {
      if (!in_flight.contains({0, block}) && !IsRecorded(block)) {
        Break("block " + std::to_string(block) + " differs, and nobody has recorded it");
        return;
      }
    }
  }

  sim::Disk* DiskOf(const std::string& node) {
    sim::World& world = cluster_.world();
    return world.FindDisk(world.GetNode(node), spec_.name, 0);
  }

  std::set<std::uint64_t> AllBlocks() {
    std::set<std::uint64_t> blocks;
    for (const auto& [block, number] : cluster_.world().GetVolume(spec_.name, 0).acknowledged) {
      blocks.insert(block);
    }
    return blocks;
  }

  /// Every disk that calls itself good has what was acknowledged, or one that has it knows better.
  bool IsRecorded(std::uint64_t block) {
    const std::uint64_t wanted = cluster_.world().GetVolume(spec_.name, 0).acknowledged.Get(block);
    for (const std::string& node : spec_.nodes) {
      const sim::Resource* resource = cluster_.kernel().Find(node, spec_.name);
      const sim::Disk* disk = DiskOf(node);
      if (resource == nullptr || disk == nullptr || disk->blocks.Get(block) >= wanted ||
          resource->devices.at(0).disk != sim::DiskState::kUpToDate) {
        continue;
      }
      const bool known =
          std::any_of(spec_.nodes.begin(), spec_.nodes.end(), [&](const std::string& other) {
            const sim::Disk* holder = DiskOf(other);
            if (holder == nullptr || holder->blocks.Get(block) < wanted) {
              return false;
            }
            const auto slot = holder->peers.find(resource->node_id);
            return slot != holder->peers.end() && (slot->second.bitmap.bits.contains(block) ||
                                                   slot->second.hearsay.contains(block));
          });
      if (!known) {
        return false;
      }
    }
    return true;
  }

  void SayDifferences() {
    const sim::Volume& truth = cluster_.world().GetVolume(spec_.name, 0);
    int said = 0;
    for (const std::uint64_t block : AllBlocks()) {
      std::set<std::uint64_t> numbers = {truth.acknowledged.Get(block)};
      std::string text = "  block " + std::to_string(block) + ": acknowledged " +
                         std::to_string(truth.acknowledged.Get(block)) +
                         (truth.in_doubt.contains(block) ? " (in doubt)" : "");
      for (const std::string& name : spec_.nodes) {
        const sim::Disk* disk = DiskOf(name);
        if (disk == nullptr) {
          continue;
        }
        numbers.insert(disk->blocks.Get(block));
        text += ", " + name + " " + std::to_string(disk->blocks.Get(block));
        for (const auto& [id, slot] : disk->peers) {
          text += slot.bitmap.bits.contains(block) ? " bit" + std::to_string(id) : "";
          text += slot.hearsay.contains(block) ? " hearsay" + std::to_string(id) : "";
        }
      }
      if (numbers.size() > 1 && ++said <= 8) {
        Say(text);
      }
    }
  }

  void CheckFreezes() {
    for (auto it = frozen_.begin(); it != frozen_.end();) {
      const sim::Resource* resource = cluster_.kernel().Find(it->first, spec_.name);
      const bool frozen = resource != nullptr && resource->suspended_user;
      const auto time = std::chrono::duration_cast<Millis>(cluster_.now() - it->second);
      result_.longest_freeze = std::max(result_.longest_freeze, time);
      // A container that was killed as a whole is back within a second.
      if (frozen && time > suspend_timeout_ + Millis(1000)) {
        Break("frozen by the agent of " + it->first + " for " + std::to_string(time.count()) +
              " ms");
      }
      it = frozen ? std::next(it) : frozen_.erase(it);
    }
  }

  bool Connected(const Pair& pair) {
    return StateOf(pair.a, pair.b) == sim::ConnState::kConnected &&
           StateOf(pair.b, pair.a) == sim::ConnState::kConnected;
  }

  sim::ConnState StateOf(const std::string& node, const std::string& peer) {
    const sim::Resource* resource = cluster_.kernel().Find(node, spec_.name);
    if (resource != nullptr) {
      for (const auto& [id, connection] : resource->connections) {
        if (connection.peer == peer) {
          return connection.state;
        }
      }
    }
    return sim::ConnState::kStandAlone;
  }

  /// Whether a fault that no agent can help keeps the two apart.
  bool Excused(const Pair& pair) {
    if (links_cut_.contains(pair)) {
      return true;
    }
    for (const std::string& node : {pair.a, pair.b}) {
      const sim::Node& state = cluster_.world().GetNode(node);
      if (!state.up || !agents_.at(node)->container_up() || !state.tlshd.running ||
          state.tlshd.hung || agents_.at(node)->life() == Actor::Life::kStopped) {
        return true;
      }
    }
    return false;
  }

  void CheckCuts() {
    for (auto it = cut_.begin(); it != cut_.end();) {
      if (Connected(it->first)) {
        it = cut_.erase(it);
        continue;
      }
      if (Excused(it->first)) {
        it->second = cluster_.now();
      }
      const auto time = std::chrono::duration_cast<Millis>(cluster_.now() - it->second);
      result_.longest_cut = std::max(result_.longest_cut, time);
      if (time > std::max(lead_timeout_, suspend_timeout_) + kReconnectTime) {
        Break("connection " + it->first.ToString() + " cut by us for " +
              std::to_string(time.count()) + " ms");
      }
      ++it;
    }
  }

  void Judge() {
    const sim::ResourceReport report = cluster_.Report(spec_.name);
    result_.kills = stage_.kills;
    result_.lost = report.lost_writes;
    result_.diverged = report.diverged_blocks;
    result_.errors = linstor_->resumed_without_data() ? 0 : report.errors;
    const std::vector<sim::Violation> violations = cluster_.Check();
    result_.violations = violations.size();
    for (const sim::Violation& violation : violations) {
      Break("violation " + violation.kind + " on " + violation.node + ": " + violation.detail);
    }
    if (result_.lost + result_.diverged + result_.errors > 0) {
      Break("lost " + std::to_string(result_.lost) + ", diverged " +
            std::to_string(result_.diverged) + ", I/O errors " + std::to_string(result_.errors));
    }
  }

  const WalkOptions options_;
  sim::Cluster cluster_;
  Stage stage_;
  WalkResult result_{};
  const Shape* shape_ = nullptr;
  bool from_tls_ = false;
  sim::testing::ResourceSpec spec_{};
  std::string primary_{};
  Millis interval_{20};
  ApiServer api_{};
  std::unique_ptr<LinstorActor> linstor_;
  std::map<std::string, std::unique_ptr<AgentActor>> agents_;
  std::vector<std::unique_ptr<OperatorActor>> leaders_;
  std::int64_t epoch_ = 0;
  bool intact_ = true;
  replication::StrategyChoice strategy_ = replication::StrategyChoice::kAuto;
  bool single_copy_ = false;
  Millis suspend_timeout_{10000};
  Millis lead_timeout_{10000};
  Millis message_delay_{20};
  double twice_ = 0;
  std::map<std::string, bool> down_;
  std::set<Pair> links_cut_;
  sim::Time mended_{-1000000000};
  std::map<std::string, sim::Time> frozen_;
  std::map<Pair, sim::Time> cut_;
};

}  // namespace

WalkResult RunWalk(const WalkOptions& options) {
  return Walk(options).Run();
}

}  // namespace breakwater::walks
