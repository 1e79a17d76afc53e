#include "tests/walks/scene.h"

#include <cstdio>
#include <random>
#include <utility>

namespace breakwater::walks {
namespace {

const std::vector<Shape>& Shapes() {
  static const std::vector<Shape> kShapes = {
      {"three replicas", 3, {}, "majority", "node1"},
      {"two replicas and a tiebreaker", 3, {"node3"}, "majority", "node1"},
      {"two replicas without quorum", 2, {}, "off", "node1"},
      {"open on a diskless node", 3, {"node3"}, "majority", "node3"},
      {"one replica, open elsewhere", 2, {"node2"}, "off", "node2", true},
      {"closed", 3, {}, "majority", ""},
  };
  return kShapes;
}

sim::SimConfig ConfigOf(std::uint64_t seed) {
  sim::SimConfig config;
  config.seed = seed;
  config.suspend_limit = Millis(3600000);  // the walk has its own, tighter limits
  config.look_grace = Millis(500);         // what arose after a look cannot have been seen
  config.far_grace = Millis(75000);        // a process that is stopped, and its messages
  if (seed % 3 == 0) {
    sim::UseLabTiming(config);
  }
  return config;
}

}  // namespace

Scene::Scene(const WalkOptions& walk, Witness& witness)
    : options(walk),
      cluster(ConfigOf(walk.seed)),
      stage{cluster, std::mt19937_64(walk.seed * 7919 + 1)},
      shape(Shapes()[stage.random() % Shapes().size()]),
      from_tls(stage.Chance(0.4)) {
  BuildVolume();
  if (options.trace) {
    cluster.world().on_log = [this](const sim::Node& node, std::string_view line) {
      Say("    " + node.name + " " + std::string(line));
    };
  }
  BuildActors(witness);
}

void Scene::Say(const std::string& text) const {
  if (options.trace) {
    std::printf("%9.3f  %s\n", static_cast<double>(cluster.now().count()) / 1e6, text.c_str());
  }
}

void Scene::BuildVolume() {
  spec.name = "r0";
  spec.nodes.clear();
  for (std::size_t i = 1; i <= shape.nodes; ++i) {
    spec.nodes.push_back("node" + std::to_string(i));
  }
  spec.diskless = shape.diskless;
  spec.quorum = shape.quorum;
  for (const std::string& a : spec.nodes) {
    for (const std::string& b : spec.nodes) {
      if (a < b) {
        spec.pair_tls[{a, b}] = from_tls;
      }
    }
  }
  sim::testing::BringUp(cluster, spec);
  primary = shape.primary;
  if (!primary.empty()) {
    interval = stage.Between(20, 120);
    (void)cluster.StartWriter(spec.name, primary, interval);
  }
  cluster.Advance(Millis(2000));
  (void)cluster.Check();
  cluster.world().violations.clear();
  cluster.ResetStatistics();
}

void Scene::BuildActors(Witness& witness) {
  replication::ResourceLevels levels;
  levels.known = true;
  levels.definition = replication::Level{from_tls, true, from_tls};  // pinned to what it runs
  levels.controller = !from_tls;
  linstor = std::make_unique<LinstorActor>(stage, spec, levels);
  linstor->rates = Rates();
  api.tls = !from_tls;
  for (const std::string& node : spec.nodes) {
    auto agent = std::make_unique<AgentActor>(stage, node, spec.name, witness, options.without);
    agent->rates = Rates();
    agent->journal_failures = stage.Chance(0.2) ? 0.05 : 0.0;
    agent->told = [this, node](const replication::AgentMessage& message) {
      for (const auto& one : leaders) {
        one->Told(node, message);
      }
    };
    agent->lost = [this, node] {
      for (const auto& one : leaders) {
        one->AgentLost(node);
      }
    };
    if (options.trace) {
      agent->log = [this](const std::string& line) { Say(line); };
    }
    agents[node] = std::move(agent);
  }
  const auto choice = stage.random() % 3;
  strategy = choice == 0   ? replication::StrategyChoice::kAuto
             : choice == 1 ? replication::StrategyChoice::kPairByPair
                           : replication::StrategyChoice::kSuspendIo;
  single_copy = stage.Chance(0.5);
  suspend_timeout = stage.Chance(0.3) ? Millis(3000) : Millis(10000);
  twice = stage.Chance(0.3) ? 0.3 : 0.0;
  message_delay = stage.Chance(0.3) ? Millis(500) : Millis(20);
  NewLeader();
}

FaultRates Scene::Rates() {
  FaultRates rates;
  rates.kill = stage.Chance(0.5) ? 0.01 : 0.0;
  rates.stop = stage.Chance(0.4) ? 0.005 : 0.0;
  rates.late = stage.Chance(0.5) ? 0.05 : 0.0;
  return rates;
}

void Scene::NewLeader() {
  auto one = std::make_unique<OperatorActor>(stage, ++epoch_, spec.name, spec.nodes, api, *linstor,
                                             agents);
  one->strategy = strategy;
  one->allow_single_copy = single_copy;
  one->suspend_timeout = suspend_timeout;
  one->lead_timeout = lead_timeout;
  one->message_delay = message_delay;
  one->twice = twice;
  one->rates = Rates();
  if (options.trace) {
    one->log = [this](const std::string& line) { Say(line); };
  }
  leaders.push_back(std::move(one));
  Say("leader " + std::to_string(epoch_));
}

void Scene::SayState() const {
  if (!options.trace) {
    return;
  }
  for (const std::string& node : spec.nodes) {
    std::string text = node + ":";
    if (const sim::Resource* resource = ResourceOn(node)) {
      text += std::string(" ") + std::string(sim::Name(resource->role)) +
              (resource->suspended_user ? " suspended" : "");
      for (const auto& [id, connection] : resource->connections) {
        const auto tls = connection.net.find("tls");
        text += "; " + connection.peer + " " + std::string(sim::Name(connection.state)) + " tls " +
                (tls == connection.net.end() ? "-" : tls->second);
        for (const auto& [volume, device] : connection.volumes) {
          text +=
              " " + std::string(sim::Name(device.repl)) + "/" + std::string(sim::Name(device.disk));
        }
      }
    }
    Say(text);
    for (const std::string& line : agents.at(node)->Transactions()) {
      Say("  " + line);
    }
  }
  Say("operator: " + leaders.back()->why());
}

}  // namespace breakwater::walks
