#include "operator/core/tls_migration/model_world.h"

#include <algorithm>
#include <utility>

#include "operator/core/tls_migration/invariants.h"
#include "operator/core/tls_migration/parse.h"

namespace breakwater::tls_migration {

using sim::ExecResult;
using sim::Millis;

ModelWorld::ModelWorld(const WorldOptions& options) : cluster_(options.sim), spec_(options.spec) {
  levels_.known = true;
  levels_.definition = Level{options.spec.tls, true, options.spec.tls};  // pinned to what it runs
  levels_.controller = !options.spec.tls;                                // what is wanted
  spec_.tls = false;
  for (std::size_t i = 0; i < spec_.nodes.size(); ++i) {
    for (std::size_t j = i + 1; j < spec_.nodes.size(); ++j) {
      const Pair pair = Pair::Of(spec_.nodes[i], spec_.nodes[j]);
      spec_.pair_tls[{pair.a, pair.b}] = options.spec.tls;
    }
  }
  // One authority for all worlds: making keys is the slowest part of a test.
  static const sim::testing::TestCa kCa("model");
  static std::map<std::string, std::map<std::string, std::string>> issued;
  for (const std::string& node : spec_.nodes) {
    if (!issued.contains(node)) {
      issued[node] = kCa.Issue(node, node);
    }
    sim::testing::GiveFiles(cluster_, node, issued[node]);
  }
  sim::testing::BringUp(cluster_, spec_);
  if (!options.primary.empty()) {
    (void)cluster_.StartWriter(spec_.name, options.primary, options.write_interval);
    cluster_.Advance(Millis(3000));
  }
}

bool ModelWorld::Chance(double probability) {
  return probability > 0 && std::uniform_real_distribution<double>(0, 1)(random) < probability;
}

SystemTime ModelWorld::now() const {
  return SystemTime(std::chrono::seconds(1800000000)) +
         std::chrono::duration_cast<SystemTime::duration>(cluster_.now());
}

ExecResult ModelWorld::Run(const std::string& node, const std::vector<std::string>& argv) {
  return cluster_.Run(node, argv);
}

NodeReport ModelWorld::Report(const std::string& node, const std::vector<ExecResult>& parts) {
  const std::string text = "@@ status\n" + parts[0].out + "\n@@ show\n" + parts[1].out +
                           "\n@@ ss\n" + parts[2].out + "\n@@ tls_stat\n" + parts[3].out +
                           "\n@@ end\n";
  return ParseReport(node, text, false);
}

ResourceObservation ModelWorld::Observe() {
  if (Chance(foreign_adjust)) {
    const std::string& node = spec_.nodes[random() % spec_.nodes.size()];
    WriteRes({node});
    (void)Run(node, {"drbdadm", "adjust", spec_.name});
  }
  const std::vector<std::vector<std::string>> commands = {
      {"drbdsetup", "status", "--json"},
      {"drbdsetup", "show", "--json", "--show-defaults"},
      {"ss", "-tni"},
      {"cat", "/proc/net/tls_stat"}};
  std::vector<std::string> nodes;
  for (const std::string& node : spec_.nodes) {
    if (!unreachable.contains(node)) {
      nodes.push_back(node);
    }
  }
  std::map<std::string, std::vector<ExecResult>> parts;
  for (const std::vector<std::string>& argv : commands) {
    const std::vector<ExecResult> results = sim::testing::Parallel(cluster_, nodes, argv);
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      parts[nodes[i]].push_back(results[i]);
    }
  }
  std::map<std::string, NodeReport> reports;
  for (const auto& [node, outputs] : parts) {
    reports[node] = Report(node, outputs);
  }
  return BuildObservation(spec_.name, {spec_.nodes.begin(), spec_.nodes.end()}, reports, levels_);
}

void ModelWorld::Operation() {
  if (kill_after_ == 0) {
    kill_after_ = -1;
    throw Killed{};
  }
  if (kill_after_ > 0) {
    --kill_after_;
  }
}

// The loop of kActScript's watchdog.
void ModelWorld::Watch(const std::string& node,
                       int generation,
                       const std::vector<int>& peer_ids,
                       int turns) {
  if (watchdogs_[node].generation != generation || turns == 0) {
    return;
  }
  const auto start = [&](const std::vector<std::string>& argv) {
    cluster_.Start(node, sim::kSatelliteContainer, argv, [](const ExecResult&) {});
  };
  start({"drbdadm", "resume-io", spec_.name});
  for (const int id : peer_ids) {
    start({"drbdsetup", "connect", spec_.name, std::to_string(id)});
  }
  cluster_.world().events.After(Millis(2000), [this, node, generation, peer_ids, turns] {
    Watch(node, generation, peer_ids, turns - 1);
  });
}

// What kActScript asks of the node before a forced cut.
bool ModelWorld::MayForce(const std::string& node) {
  const std::string status = Run(node, {"drbdsetup", "status", spec_.name, "--json"}).out;
  const Watchdog& watchdog = watchdogs_[node];
  return watchdog.generation != 0 && cluster_.now() < watchdog.window_until &&
         status.find("\"suspended-user\": true") != std::string::npos;
}

bool ModelWorld::RunOp(const NodeOp& op) {
  Operation();
  ++acts;
  if (Chance(op_delay)) {
    cluster_.Advance(Millis(static_cast<int>(random() % 12000)));
  }
  if (Chance(op_failure)) {
    return false;
  }
  const std::string& r = spec_.name;
  const std::string id = std::to_string(op.peer_id);
  using Kind = NodeOp::Kind;
  switch (op.kind) {
    case Kind::kDisconnect:
      return Run(op.node, {"drbdadm", "disconnect", r + ":" + op.peer}).exit == 0;
    case Kind::kForceDisconnect:
      return MayForce(op.node) && Run(op.node, {"drbdadm", "disconnect", "--force", r}).exit == 0;
    case Kind::kNetOptions:
      for (int i = 0; i < 5; ++i) {
        const std::string option = op.tls ? "--tls=yes" : "--tls=no";
        if (Run(op.node, {"drbdsetup", "net-options", r, id, option}).exit == 0) {
          return true;
        }
        cluster_.Advance(Millis(200));
      }
      return false;
    case Kind::kConnect:
      return Run(op.node, {"drbdsetup", "connect", r, id}).exit == 0;
    case Kind::kArm: {
      const std::chrono::seconds time(op.seconds);
      watchdogs_[op.node] = {next_watchdog_++, cluster_.now() + time - std::chrono::seconds(2)};
      cluster_.world().events.After(time, [this, op, generation = watchdogs_[op.node].generation] {
        Watch(op.node, generation, op.peer_ids, 150);
      });
      return true;
    }
    case Kind::kDisarm:
      watchdogs_[op.node] = {};
      return true;
    case Kind::kSuspend:
      return Run(op.node, {"drbdadm", "suspend-io", r}).exit == 0;
    case Kind::kResume:
      return Run(op.node, {"drbdadm", "resume-io", r}).exit == 0;
    case Kind::kInvalidateRemote:
      return Run(op.node, {"drbdadm", "invalidate-remote", r + ":" + op.peer, "--reset-bitmap=no"})
                 .exit == 0;
    case Kind::kInvalidate:
      return Run(op.node, {"drbdadm", "invalidate", r, "--reset-bitmap=no"}).exit == 0;
  }
  return false;
}

// LINSTOR writes what its levels say, and adjusts all nodes of the resource (L16, L17).
void ModelWorld::WriteRes(const std::vector<std::string>& nodes) {
  for (auto& [pair, tls] : spec_.pair_tls) {
    tls = Effective(levels_, pair.first + "/" + pair.second);
  }
  for (const std::string& node : nodes) {
    cluster_.PutFile(node, "/var/lib/linstor.d/" + spec_.name + ".res",
                     sim::testing::ResText(spec_, node));
  }
}

void ModelWorld::AdjustAll(const std::vector<std::string>& nodes) {
  (void)sim::testing::Parallel(cluster_, nodes, {"drbdadm", "-vvv", "adjust", spec_.name});
}

void ModelWorld::Do(const Action& action, const ResourceObservation& seen) {
  if (const auto* run = std::get_if<RunOnNodes>(&action)) {
    if (const auto violated = CheckOperations(seen, *run)) {
      broken.push_back(*violated + " (" + last_why_ + ")");
    }
    for (const std::vector<NodeOp>& stage : run->stages) {
      const bool forces = std::any_of(stage.begin(), stage.end(), [](const NodeOp& op) {
        return op.kind == NodeOp::Kind::kForceDisconnect;
      });
      if (forces && now() > run->force_not_after) {
        return;  // as the controller's actor does
      }
      bool ok = true;
      std::set<std::string> failed;  // a node's script ends at its first failure
      for (const NodeOp& op : stage) {
        if (!failed.contains(op.node) && !RunOp(op)) {
          failed.insert(op.node);
          ok = false;
        }
      }
      if (!ok) {
        return;
      }
    }
  } else if (const auto* change = std::get_if<ChangeLinstor>(&action)) {
    for (const LinstorOp& op : change->ops) {
      Operation();
      ++acts;
      levels_ = After(levels_, op);
      WriteRes(spec_.nodes);
      AdjustAll(spec_.nodes);
      if (Chance(linstor_failure)) {
        return;
      }
    }
  }
}

Goal ModelWorld::GoalFor(bool tls) const {
  Goal goal;
  for (const auto& [pair, value] : spec_.pair_tls) {
    goal.wanted[Pair::Of(pair.first, pair.second)] = tls;
  }
  return goal;
}

std::optional<Finished::Result> ModelWorld::Drive(const Goal& goal,
                                                  GatePolicy policy,
                                                  sim::Time limit) {
  const sim::Time end = cluster_.now() + limit;
  RunState state;
  if (journal_) {
    state.journal = journal_->journal;
  }
  while (cluster_.now() < end) {
    const ResourceObservation seen = Observe();
    const Decision decision = Next(seen, goal, state, now(), policy);
    last_why_ = decision.why;
    log.push_back(std::to_string(cluster_.now().count() / 1000) + " " +
                  StepName(decision.run.journal.step, decision.run.journal.rolling_back) + ": " +
                  decision.why);
    if (const auto* finished = std::get_if<Finished>(&decision.action)) {
      journal_.reset();
      return finished->result;
    }
    state = decision.run;
    try {
      journal_ = RunState{};
      journal_->journal = state.journal;
      Do(decision.action, seen);
    } catch (const Killed&) {
      ++kills;
      log.push_back("killed");
      // A new leader some seconds later knows the journal and nothing else.
      cluster_.Advance(Millis(2000 + static_cast<int>(random() % 14000)));
      const Journal journal = journal_->journal;
      state = RunState{};
      state.journal = journal;
    }
    cluster_.Advance(decision.poll);
  }
  return std::nullopt;
}

}  // namespace breakwater::tls_migration
