#pragma once

/// Scene: the volume of a walk and everybody who acts on it, as one seed chose them.

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/e2e/sim/drbd/test_cluster.h"
#include "tests/walks/agent_actor.h"
#include "tests/walks/linstor_actor.h"
#include "tests/walks/operator_actor.h"
#include "tests/walks/walk.h"

namespace breakwater::walks {

/// Kinds of volumes.
struct Shape {
  const char* name;
  std::size_t nodes;
  std::vector<std::string> diskless;
  const char* quorum;
  const char* primary;          ///< "" = closed
  bool only_copy_away = false;  ///< open where no data is, of which there is one copy (F28)
};

class Scene {
 public:
  Scene(const WalkOptions& options, Witness& witness);
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;

  /// For --trace.
  void Say(const std::string& text) const;
  /// Everything, for people.
  void SayState() const;

  const std::string& AnyNode() { return spec.nodes[stage.random() % spec.nodes.size()]; }

  /// Chances of an actor: some are wild, some have one kind of fault only, some none.
  FaultRates Rates();
  /// A leader, the former ones go on until they find out.
  void NewLeader();

  OperatorActor& leader() { return *leaders.back(); }

  sim::Resource* ResourceOn(const std::string& node) const {
    return cluster.kernel().Find(node, spec.name);
  }

  const WalkOptions options;
  mutable sim::Cluster cluster;
  Stage stage;
  const Shape& shape;
  const bool from_tls;
  sim::testing::ResourceSpec spec{};
  std::string primary{};  ///< where the volume is open, or was last
  Millis interval{20};    ///< between two writes
  replication::StrategyChoice strategy = replication::StrategyChoice::kAuto;
  bool single_copy = false;
  Millis suspend_timeout{10000};
  Millis lead_timeout{10000};
  Millis message_delay{20};
  double twice = 0;

  ApiServer api{};
  std::unique_ptr<LinstorActor> linstor{};
  std::map<std::string, std::unique_ptr<AgentActor>> agents{};
  std::vector<std::unique_ptr<OperatorActor>> leaders{};

  /// What is broken now.
  std::set<std::string> down{};
  std::set<replication::Pair> links_cut{};

 private:
  void BuildVolume();
  void BuildActors(Witness& witness);

  std::int64_t epoch_ = 0;
};

}  // namespace breakwater::walks
