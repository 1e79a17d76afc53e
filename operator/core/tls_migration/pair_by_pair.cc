#include <algorithm>

#include "operator/core/tls_migration/planner_internal.h"

namespace breakwater::tls_migration {

std::vector<Pair> PairsToSwitch(const ResourceObservation& seen,
                                const std::map<Pair, bool>& wanted) {
  struct Candidate {
    int rank = 0;
    Pair pair{};
  };

  std::vector<Candidate> candidates;
  for (const auto& [pair, connection] : seen.connections) {
    const auto want = wanted.find(pair);
    const auto differs = [&](const EndView& end) {
      return end.known && end.tls.has_value() && *end.tls != want->second;
    };
    if (want == wanted.end() || (!differs(connection.a) && !differs(connection.b))) {
      continue;
    }
    const NodeView* a = seen.Node(pair.a);
    const NodeView* b = seen.Node(pair.b);
    const bool primary = (a != nullptr && a->primary) || (b != nullptr && b->primary);
    const bool diskless =
        (a != nullptr && a->known && a->Diskless()) || (b != nullptr && b->known && b->Diskless());
    candidates.push_back({(primary ? 0 : 2) + (diskless ? 1 : 0), pair});
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& x, const Candidate& y) { return x.rank < y.rank; });
  std::vector<Pair> pairs;
  for (Candidate& candidate : candidates) {
    pairs.push_back(std::move(candidate.pair));
  }
  return pairs;
}

namespace internal {

using std::chrono::milliseconds;

Decision Planner::PlanNextPair() {
  const std::vector<Pair> pairs = PairsToSwitch(seen_, Targets());
  if (pairs.empty()) {
    Enter(Step::kFinish);
    return PlanFinish();
  }
  if (run_.journal.strategy == Strategy::kSuspendIo) {
    // Only after a heal: the rest of the resource is done by a run of its own.
    return End(Finished::Result::kBlocked, "interrupted; will be tried again");
  }
  Enter(Step::kCut, pairs.front());
  return PlanCut();
}

Decision Planner::RollBackFrom(std::string failure) {
  if (run_.failure.empty()) {
    run_.failure = std::move(failure);
  }
  run_.journal.rolling_back = true;
  run_.journal.started_at = now_;
  run_.attempts = 0;
  run_.not_before = {};
  return WaitFor("rolling back: " + run_.failure, milliseconds(0));
}

// The pair has been chosen and journalled; it may or may not have been cut already.
Decision Planner::PlanCut() {
  const ConnectionView* connection = seen_.Connection(*run_.journal.pair);
  if (connection == nullptr) {
    return PlanNextPair();  // the replica was removed meanwhile
  }
  if (!connection->BothKnown()) {
    return WaitFor("connection " + connection->pair.ToString() +
                   " cannot be observed on both ends");
  }
  if (!connection->BothConnected()) {
    Enter(Step::kReconnect, connection->pair);
    return PlanReconnect();
  }
  const bool want = Target(connection->pair);
  if (connection->BothConfigured(want)) {
    Enter(Step::kReconnect, connection->pair);
    return PlanReconnect();
  }
  if (std::optional<Decision> heal = PlanHeal()) {
    return *heal;
  }
  if (goal_.paused) {
    return WaitFor("paused before the next connection", milliseconds(5000));
  }
  if (!run_.journal.rolling_back && want) {
    for (const std::string& node : {connection->pair.a, connection->pair.b}) {
      if (const auto unfit = goal_.unfit.find(node); unfit != goal_.unfit.end()) {
        return RollBackFrom("node " + node + " is not ready any more: " + unfit->second);
      }
    }
  }
  if (const GateResult gate = Gate(); !gate.ok()) {
    if (gate.kind == GateResult::Kind::kStuck) {
      return PlanStuck(gate);
    }
    if (gate.kind == GateResult::Kind::kNotConnected) {
      return PlanOther(*gate.pair);
    }
    if (std::optional<Decision> back = PlanNoProof(gate)) {
      return *back;
    }
    return WaitFor("gate before the cut: " + gate.reason, milliseconds(700));
  }
  if (const std::optional<std::string> obstacle = CutObstacle(seen_, connection->pair)) {
    return WaitFor(*obstacle);  // the topology changed during the run (I2)
  }
  if (!seen_.levels.known) {
    return WaitFor("LINSTOR cannot be reached; nothing is cut meanwhile");
  }
  if (std::optional<Decision> pins = PlanPins()) {
    return *pins;
  }
  if (TooEarly()) {
    return WaitFor("the cut was refused; waiting before the next try", milliseconds(500));
  }
  if (run_.attempts >= goal_.timing.cut_attempts) {
    return run_.journal.rolling_back
               ? Act(Wait{}, "the cut was refused again and again; still trying")
               : RollBackFrom("connection " + connection->pair.ToString() +
                              " refuses to be disconnected");
  }
  return CutNow(*connection);
}

// Cut, both ends' setting and reconnect in one go: the shorter the gap, the smaller the resync.
Decision Planner::CutNow(const ConnectionView& connection) {
  const Pair& pair = connection.pair;
  const bool want = Target(pair);
  const NodeView* b = seen_.Node(pair.b);
  const std::string near = b != nullptr && b->primary ? pair.b : pair.a;
  const std::string& far = pair.Other(near);
  using Kind = NodeOp::Kind;
  const int near_id = connection.End(near).peer_node_id;
  const int far_id = connection.End(far).peer_node_id;
  RunOnNodes run;
  run.stages.push_back({{.kind = Kind::kDisconnect, .node = near, .peer = far}});
  run.stages.push_back({{.kind = Kind::kNetOptions, .node = near, .peer_id = near_id, .tls = want},
                        {.kind = Kind::kNetOptions, .node = far, .peer_id = far_id, .tls = want}});
  run.stages.push_back({{.kind = Kind::kConnect, .node = near, .peer_id = near_id}});
  return Act(std::move(run),
             "switch connection " + pair.ToString() + " to tls=" + std::string(TlsValue(want)));
}

// Another connection is down: a foreign adjust, a fault, or an older step of ours. It comes first,
// and being down it can take its new setting without a cut.
Decision Planner::PlanOther(const Pair& pair) {
  const std::vector<Pair> down = DownPairs();
  if (down.empty()) {
    return WaitFor("connection " + pair.ToString() + " cannot be observed on both ends");
  }
  Enter(Step::kReconnect, down.front());
  return PlanReconnect();
}

Decision Planner::PlanReconnect() {
  const ConnectionView* connection = seen_.Connection(*run_.journal.pair);
  if (connection == nullptr) {
    return run_.journal.strategy == Strategy::kNone
               ? End(Finished::Result::kBlocked, "the connection is gone")
               : PlanNextPair();
  }
  if (!connection->BothKnown()) {
    return WaitFor("connection " + connection->pair.ToString() +
                   " cannot be observed on both ends; it is not touched meanwhile");
  }
  const bool want = Target(connection->pair);
  if (connection->BothConnected()) {
    return PlanConnected(*connection, want);
  }
  for (const Pair& first : DownPairs()) {
    // A repair leaves alone what is held; a run of ours has cut it and brings it back.
    if (run_.journal.strategy == Strategy::kNone && goal_.hold.contains(first)) {
      continue;
    }
    if (first != connection->pair &&
        (seen_.nodes.at(first.a).primary || seen_.nodes.at(first.b).primary) &&
        !seen_.nodes.at(connection->pair.a).primary &&
        !seen_.nodes.at(connection->pair.b).primary) {
      return PlanOther(first);  // the Primary's connections come first
    }
    break;
  }
  if (!run_.journal.rolling_back && run_.journal.strategy != Strategy::kNone &&
      InStep() > goal_.timing.reconnect) {
    return RollBackFrom("connection " + connection->pair.ToString() +
                        " did not come back with tls=" + std::string(TlsValue(want)));
  }
  if (!connection->BothConfigured(want)) {
    if (run_.journal.strategy == Strategy::kNone && !seen_.levels.known) {
      return End(Finished::Result::kBlocked,
                 "the ends of connection " + connection->pair.ToString() +
                     " differ and LINSTOR cannot be asked which is right");
    }
    return PlanReconfigure(*connection, want);
  }
  if (std::optional<Decision> property = PlanPairProperty(connection->pair, want)) {
    return *property;
  }
  return PlanNotConnected(*connection);
}

// Not connected, and an end is configured otherwise: net-options is accepted now (F1.2, F19.3).
Decision Planner::PlanReconfigure(const ConnectionView& connection, bool want) {
  if (TooEarly()) {
    return WaitFor(
        "waiting before the setting of " + connection.pair.ToString() + " is tried again",
        milliseconds(300));
  }
  std::vector<NodeOp> options;
  std::vector<NodeOp> connects;
  for (const std::string& node : {connection.pair.a, connection.pair.b}) {
    const EndView& end = connection.End(node);
    if (end.tls != want) {
      options.push_back({.kind = NodeOp::Kind::kNetOptions,
                         .node = node,
                         .peer_id = end.peer_node_id,
                         .tls = want});
    }
    if (end.stand_alone()) {
      connects.push_back(
          {.kind = NodeOp::Kind::kConnect, .node = node, .peer_id = end.peer_node_id});
    }
  }
  RunOnNodes run;
  run.stages.push_back(std::move(options));
  if (!connects.empty()) {
    run.stages.push_back(std::move(connects));
  }
  return Act(std::move(run), "set tls=" + std::string(TlsValue(want)) + " on connection " +
                                 connection.pair.ToString());
}

// A value that somebody set during the run would reach the other connections with the next adjust,
// and that comes with our own change of the pair (L17).
std::optional<Decision> Planner::PlanPins() {
  std::vector<LinstorOp> ops;
  for (const auto& [pair, connection] : seen_.connections) {
    const std::string key = pair.ToString();
    const Level own = PairLevel(seen_.levels, key);
    if (connection.BothConnected() && connection.a.tls && connection.a.tls == connection.b.tls &&
        Effective(seen_.levels, key) != *connection.a.tls && (!own.value || own.ours)) {
      ops.emplace_back(SetPair{key, *connection.a.tls, own.previous.value_or(*connection.a.tls)});
    }
  }
  if (ops.empty()) {
    return std::nullopt;
  }
  if (TooEarly()) {
    return WaitFor("waiting before LINSTOR is told again", milliseconds(500));
  }
  return Act(ChangeLinstor{std::move(ops)}, "pin what the connections run");
}

// The .res files must say what the kernel does: else the next foreign adjust undoes it (F19).
std::optional<Decision> Planner::PlanPairProperty(const Pair& pair, bool want) {
  if (run_.journal.strategy != Strategy::kPairByPair || !seen_.levels.known) {
    return std::nullopt;
  }
  const Level own = PairLevel(seen_.levels, pair.ToString());
  if (Effective(seen_.levels, pair.ToString()) == want) {
    return std::nullopt;
  }
  if (own.value && !own.ours) {
    return std::nullopt;  // the user's own value on this pair; the goal follows it at the next look
  }
  if (TooEarly()) {
    return WaitFor("waiting before LINSTOR is told again", milliseconds(300));
  }
  const bool previous = own.previous.value_or(!want);
  return Act(ChangeLinstor{{SetPair{pair.ToString(), want, previous}}},
             "tell LINSTOR what connection " + pair.ToString() + " runs now");
}

// Configured as wanted, not connected yet. A StandAlone end never comes back by itself (F6).
Decision Planner::PlanNotConnected(const ConnectionView& connection) {
  std::vector<NodeOp> connects;
  for (const std::string& node : {connection.pair.a, connection.pair.b}) {
    const EndView& end = connection.End(node);
    if (end.stand_alone()) {
      connects.push_back(
          {.kind = NodeOp::Kind::kConnect, .node = node, .peer_id = end.peer_node_id});
    }
  }
  if (connects.empty() || TooEarly()) {
    return WaitFor("waiting for connection " + connection.pair.ToString(), milliseconds(400));
  }
  return Act(RunOnNodes{{std::move(connects)}}, "reconnect " + connection.pair.ToString());
}

Decision Planner::PlanConnected(const ConnectionView& connection, bool want) {
  if (!connection.BothConfigured(want)) {
    if (run_.journal.strategy == Strategy::kNone) {
      return End(Finished::Result::kBlocked, "connection " + connection.pair.ToString() +
                                                 " is up with another setting than LINSTOR's");
    }
    Enter(Step::kCut, connection.pair);  // a foreign adjust reconnected it as before (F19.1)
    return PlanCut();
  }
  if (std::optional<Decision> property = PlanPairProperty(connection.pair, want)) {
    return *property;
  }
  if (std::optional<Decision> heal = PlanHeal()) {
    return *heal;
  }
  const GateResult gate = Gate();
  if (!gate.ok()) {
    if (gate.kind == GateResult::Kind::kStuck) {
      return PlanStuck(gate);
    }
    if (gate.kind == GateResult::Kind::kNotConnected &&
        run_.journal.strategy == Strategy::kPairByPair) {
      return PlanOther(*gate.pair);
    }
    if (std::optional<Decision> back = PlanNoProof(gate)) {
      return *back;
    }
    return WaitFor("gate after the reconnect: " + gate.reason, milliseconds(700));
  }
  if (run_.journal.strategy == Strategy::kNone) {
    return End(Finished::Result::kDone, "connection " + connection.pair.ToString() + " is back");
  }
  return PlanNextPair();
}

// Connected with TLS, and the sockets do not prove it for so long: nobody could ever say
// "encrypted".
std::optional<Decision> Planner::PlanNoProof(const GateResult& gate) {
  if (gate.kind != GateResult::Kind::kNoProof || run_.journal.rolling_back ||
      run_.journal.strategy != Strategy::kPairByPair || InStep() <= goal_.timing.reconnect) {
    return std::nullopt;
  }
  return RollBackFrom("ss cannot prove TLS: " + gate.reason);
}

// F4.9: two Secondaries that do not find to each other. The only case in which a reconnect is the
// cure, and only while the Primary sees both as good.
Decision Planner::PlanStuck(const GateResult& gate) {
  if (!run_.stuck_since) {
    run_.stuck_since = now_;
  }
  if (now_ - *run_.stuck_since < goal_.timing.stuck || TooEarly()) {
    return WaitFor("stuck? " + gate.reason, milliseconds(1000));
  }
  const Pair& pair = *gate.pair;
  if (!seen_.AllKnown() || seen_.Primaries().size() != 1) {
    return WaitFor("stuck, and there is no single Primary that could see both as good: " +
                   gate.reason);
  }
  for (const std::string& primary : seen_.Primaries()) {
    for (const ConnectionView* connection : seen_.ConnectionsOf(primary)) {
      for (const PeerDevice& device : connection->End(primary).devices) {
        const bool good = device.replication == "Established" &&
                          (device.peer_disk == "UpToDate" || device.peer_client) &&
                          device.out_of_sync_kib == 0;
        if (pair.Has(primary) || !connection->BothConnected() || !good) {
          return WaitFor("stuck, and the Primary does not see both as good: " + gate.reason);
        }
      }
    }
  }
  const ConnectionView& connection = seen_.connections.at(pair);
  const NodeView& a = seen_.nodes.at(pair.a);
  const std::string& side = a.AllUpToDate() ? pair.b : pair.a;  // the Outdated one
  run_.stuck_since = now_;
  RunOnNodes run;
  run.stages.push_back({{.kind = NodeOp::Kind::kDisconnect, .node = side, .peer = pair.Other(side)},
                        {.kind = NodeOp::Kind::kConnect,
                         .node = side,
                         .peer_id = connection.End(side).peer_node_id}});
  return Act(std::move(run), "reconnect the stuck Secondaries " + pair.ToString() + " (F4.9)");
}

}  // namespace internal
}  // namespace breakwater::tls_migration
