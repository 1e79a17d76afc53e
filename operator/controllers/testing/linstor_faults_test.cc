// Every call of LINSTOR in the life of a node fails once, in every way in which a call can fail:
// the end must be the same as without, and nothing may be done twice. Prints a table.
//
// A cycle is one life of node-b: it comes, its settings change, it is evacuated, comes again and is
// deleted. One fault per phase and cycle, so a world is built once for each kind of fault.

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/resources.h"
#include "operator/controllers/testing/world.h"

namespace breakwater::testing {
namespace {

constexpr const char* kNode = "node-b";

struct FaultName {
  LinstorFault fault;
  const char* name;
};

constexpr std::array<FaultName, 5> kFaults{{{LinstorFault::kRefused, "refused"},
                                            {LinstorFault::kLostRequest, "lost request"},
                                            {LinstorFault::kLostAnswer, "lost answer"},
                                            {LinstorFault::kLateEffect, "late effect"},
                                            {LinstorFault::kLateAnswer, "late answer"}}};

struct Phase {
  const char* name;
  void (*begin)(World&);  ///< what the user does
  void (*moves)(World&);  ///< what LINSTOR does by itself, once per round
  bool (*done)(World&);
};

void Label(World& world, const char* value) {
  world.kube.Mutate(api::kNode, {"", kNode},
                    [&](Json& node) { node["metadata"]["labels"]["storage"] = value; });
}

void Configure(World& world, const std::string& policy, bool more) {
  const std::string pool2 =
      more ? R"(,{"name":"pool2","filePool":{"directory":"/var/lib/pool2"}})" : "";
  const std::string property =
      more ? R"("properties":[{"name":"Aux/zone","value":"z"}],)" : std::string();
  world.Put(api::kLinstorSatelliteConfiguration, "config",
            "{" + property + R"("deletionPolicy":")" + policy + R"(","storagePools":[
              {"name":"pool1","lvmThinPool":{"volumeGroup":"vg","thinPool":"thin"},
               "source":{"hostDevices":["/dev/vdb"]}})" +
                pool2 + "]}");
  const std::string size = more ? "9000" : "8000";
  world.Put(api::kLinstorNodeConnection, "all",
            R"({"properties":[{"name":"DrbdOptions/Net/max-buffers","value":")" + size + R"("}]})");
}

bool Registered(World& world) {
  const bool known = world.linstor->With([](FakeLinstor::State& state) {
    return state.nodes.contains(kNode) && state.pools.contains({kNode, "pool1"}) &&
           std::any_of(state.node_connections.begin(), state.node_connections.end(),
                       [](const auto& pair) { return pair.props.size() > 1; });
  });
  const std::string configured =
      world.Condition(api::kLinstorSatellite, kNode, api::kConditionConfigured);
  return known && configured.starts_with("True");
}

bool Changed(World& world) {
  return Registered(world) && world.linstor->With([](FakeLinstor::State& state) {
    return state.pools.contains({kNode, "pool2"}) && state.nodes[kNode].props.contains("Aux/zone");
  });
}

bool Gone(World& world) {
  return !world.kube.Find(api::kLinstorSatellite, {"", kNode}) &&
         world.linstor->With(
             [](FakeLinstor::State& state) { return !state.nodes.contains(kNode); });
}

linstor::Resource Copy(const char* node) {
  linstor::Resource copy{.name = "r1", .node = node};
  copy.has_drbd = true;
  copy.volumes.push_back({.storage_pool = "pool1", .disk_state = "UpToDate"});
  return copy;
}

/// A volume there, which LINSTOR moves once it evacuates: first a new copy, then without the old.
void PutVolume(World& world) {
  world.linstor->With([](FakeLinstor::State& state) {
    state.resources = {Copy(kNode)};
    return 0;
  });
}

void MoveVolume(World& world) {
  world.linstor->With([](FakeLinstor::State& state) {
    if (!state.nodes.contains(kNode) || !state.nodes[kNode].HasFlag("EVACUATE")) {
      return 0;
    }
    if (state.resources.size() == 1 && state.resources[0].node == kNode) {
      state.resources.push_back(Copy("node-a"));
    } else if (state.resources.size() == 2) {
      state.resources.erase(state.resources.begin());
    }
    return 0;
  });
}

void Nothing(World& /*world*/) {}

void NewDisk(World& world) {
  world.linstor->With([](FakeLinstor::State& state) {
    state.resources.clear();
    std::erase_if(state.used_devices, [](const auto& device) { return device.first == kNode; });
    state.backing.erase({kNode, "vg/thin"});
    return 0;
  });
  Label(world, "yes");
}

const std::array<Phase, 5>& Phases() {
  static const std::array<Phase, 5> kPhases{{
      {"create", NewDisk, Nothing, Registered},
      {"change", [](World& world) { Configure(world, "Evacuate", true); }, Nothing, Changed},
      {"evacuate",
       [](World& world) {
         PutVolume(world);
         Label(world, "no");
       },
       MoveVolume, Gone},
      {"create again",
       [](World& world) {
         Configure(world, "Delete", false);
         NewDisk(world);
       },
       Nothing, Registered},
      {"delete", [](World& world) { Label(world, "no"); }, Nothing, Gone},
  }};
  return kPhases;
}

/// Rounds of a minute until the phase is over and nothing is written any more.
bool Converge(World& world, const Phase& phase) {
  phase.begin(world);
  for (int round = 0; round < 40; ++round) {
    phase.moves(world);
    if (world.Settle(1) && phase.done(world)) {
      return true;
    }
  }
  return false;
}

/// Creations of one object, evacuations and deletions that LINSTOR did more than once.
std::vector<std::string> DoneTwice(const std::vector<std::string>& effects) {
  std::map<std::string, int> counts;
  for (const std::string& effect : effects) {
    const std::size_t space = effect.find(' ');
    const std::string verb = effect.substr(0, effect.find('-'));
    if (verb == "create") {
      // A pool is made with its devices or alone: either way it is the same pool.
      const bool pool = effect.starts_with("create-physical") || effect.starts_with("create-pool");
      ++counts[pool ? "create-pool" + effect.substr(space) : effect];
    } else if (verb == "evacuate" || verb == "delete" || verb == "lost") {
      ++counts[effect];
    }
  }
  std::vector<std::string> twice;
  for (const auto& [effect, count] : counts) {
    if (count > 1) {
      twice.push_back(effect + " x" + std::to_string(count));
    }
  }
  return twice;
}

/// One call of a phase that is to fail.
struct Case {
  std::size_t call = 0;
  std::string what{};  ///< "" for a read
};

struct Row {
  int cases = 0;
  int converged = 0;
  int twice = 0;
};

/// A life without faults: which calls each phase makes, and what it leaves.
struct Model {
  std::array<std::vector<std::string>, 5> calls{};
  std::array<std::string, 5> summaries{};
};

void Prepare(World& world) {
  world.pass_limit = std::chrono::seconds(60);
  world.linstor->OnLateAnswer([&world] { world.clock.Advance(std::chrono::seconds(50)); });
  world.linstor->With([](FakeLinstor::State& state) {
    for (const char* node : {"node-a", kNode}) {
      state.backing.insert({node, "/var/lib/pool2"});
    }
    state.keeps_refused_pools = true;
    return 0;
  });
  for (const char* node : {"node-a", kNode}) {
    world.kube.Mutate(api::kNode, {"", node}, [&](Json& object) {
      object["metadata"]["labels"]["storage"] = std::string(node) == kNode ? "no" : "yes";
    });
  }
  world.Put(api::kLinstorCluster, "cluster", R"({"nodeSelector":{"storage":"yes"},
    "csiController":{"enabled":false},"csiNode":{"enabled":false},
    "highAvailabilityController":{"enabled":false},"affinityController":{"enabled":false},
    "nfsServer":{"enabled":false}})");
}

/// Back to the settings of the beginning, without faults.
void Reset(World& world) {
  world.linstor->With([](FakeLinstor::State& state) {
    state.resources.clear();
    state.node_connections.clear();
    return 0;
  });
  Configure(world, "Evacuate", false);
  ASSERT_TRUE(world.Settle());
}

Model RunModel() {
  Model model;
  World world({"node-a", kNode});
  Prepare(world);
  Reset(world);
  for (std::size_t i = 0; i < Phases().size(); ++i) {
    const std::size_t first = world.linstor->calls();
    world.linstor->ClearEffects();
    EXPECT_TRUE(Converge(world, Phases().at(i))) << Phases().at(i).name;
    EXPECT_THAT(DoneTwice(world.linstor->effects()), ::testing::IsEmpty());
    model.calls.at(i) = world.linstor->CallsSince(first);
    model.summaries.at(i) = world.Summary();
  }
  return model;
}

/// Every so many reads: all take minutes. 1 with BREAKWATER_ALL_FAULTS in the environment.
std::size_t ReadStride() {
  return std::getenv("BREAKWATER_ALL_FAULTS") == nullptr ? 6 : 1;
}

/// A lost read is a refused one, wherever it is lost. All writes.
std::vector<Case> CasesOf(const std::vector<std::string>& calls, LinstorFault fault) {
  std::vector<Case> cases;
  const bool reads = fault == LinstorFault::kRefused || fault == LinstorFault::kLateAnswer;
  for (std::size_t call = 0; call < calls.size(); ++call) {
    if (!calls[call].empty() || (reads && call % ReadStride() == 0)) {
      cases.push_back({call, calls[call]});
    }
  }
  return cases;
}

void Print(const char* phase, const char* fault, const Row& row) {
  std::printf("| %-12s | %-12s | %5d | %9d | %10d |\n", phase, fault, row.cases, row.converged,
              row.twice);
}

/// All cycles with one kind of fault in one world.
void RunFault(const Model& model, const FaultName& fault) {
  std::array<std::vector<Case>, 5> cases;
  std::size_t cycles = 0;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    cases.at(i) = CasesOf(model.calls.at(i), fault.fault);
    cycles = std::max(cycles, cases.at(i).size());
  }
  std::array<Row, 5> rows;
  World world({"node-a", kNode});
  Prepare(world);
  for (std::size_t cycle = 0; cycle < cycles; ++cycle) {
    Reset(world);
    for (std::size_t i = 0; i < Phases().size(); ++i) {
      const Phase& phase = Phases().at(i);
      const bool faulty = cycle < cases.at(i).size();
      const Case which = faulty ? cases.at(i)[cycle] : Case{};
      const std::string about = std::string(phase.name) + ", call " + std::to_string(which.call) +
                                " (" + which.what + ") " + fault.name;
      if (faulty) {
        world.linstor->FailCall(which.call, fault.fault);
        ++rows.at(i).cases;
      }
      world.linstor->ClearEffects();
      const bool converged = Converge(world, phase);
      ASSERT_TRUE(converged) << about << ": "
                             << world.Condition(api::kLinstorSatellite, kNode, "Configured");
      EXPECT_FALSE(world.linstor->ForgetFault()) << about << ": the phase never came to it";
      const std::string difference = FirstDifference(world.Summary(), model.summaries.at(i));
      EXPECT_EQ(difference, "") << about;
      const std::vector<std::string> twice = DoneTwice(world.linstor->effects());
      EXPECT_THAT(twice, ::testing::IsEmpty()) << about;
      rows.at(i).converged += faulty && difference.empty() ? 1 : 0;
      rows.at(i).twice += faulty && !twice.empty() ? 1 : 0;
    }
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    Print(Phases().at(i).name, fault.name, rows.at(i));
  }
}

// One lost packet to LINSTOR leaves a node half registered, makes a copy of every volume too many,
// or throws away a pool that was just made.
TEST(LinstorFaultsTest, EveryCallOfALifeCycleMayFailOnce) {
  const Model model = RunModel();
  std::printf("| phase        | fault        | calls | converged | done twice |\n");
  std::printf("| ------------ | ------------ | ----- | --------- | ---------- |\n");
  for (const FaultName& fault : kFaults) {
    RunFault(model, fault);
    if (HasFatalFailure()) {
      return;
    }
  }
}

}  // namespace
}  // namespace breakwater::testing
