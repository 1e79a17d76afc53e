#include "tests/walks/operator_actor.h"

#include <algorithm>
#include <utility>

namespace breakwater::walks {

using replication::AgentMessage;
using replication::OperatorMessage;
using replication::Pair;
using replication::VolumeDecision;

OperatorActor::OperatorActor(Stage& stage,
                             std::int64_t epoch,
                             std::string resource,
                             std::vector<std::string> members,
                             ApiServer& api,
                             LinstorActor& linstor,
                             std::map<std::string, std::unique_ptr<AgentActor>>& agents)
    : Actor(stage),
      epoch_(epoch),
      resource_(std::move(resource)),
      members_(std::move(members)),
      api_(api),
      linstor_(linstor),
      agents_(agents),
      clock_(stage) {
  ledger_.Load(api_.stale);
  ReadLevels();
  for (const std::string& node : members_) {
    OpenLink(node);
  }
  Wake(Millis(100));
}

void OperatorActor::Died() {
  for (auto& [node, link] : links_) {
    ++link.life;
    link = Link{.life = link.life};
  }
  memory_ = {};
  busy_ = false;
  wake_at_.reset();
}

void OperatorActor::Started() {
  ledger_ = {};
  ledger_.Load(api_.stale);
  for (const std::string& node : members_) {
    OpenLink(node);
  }
  Wake(Millis(100));
}

// --- streams

void OperatorActor::OpenLink(const std::string& node) {
  const std::uint64_t life = ++links_[node].life;
  Later(stage().Between(20, 1500), [this, node, life] {
    Link& link = links_[node];
    if (link.life != life) {
      return;
    }
    AgentActor& agent = *agents_.at(node);
    if (!agent.runs()) {
      OpenLink(node);
      return;
    }
    link = Link{.up = true, .real = true, .life = life, .number = ++stage().streams};
    for (const AgentMessage& message : agent.Hello({epoch_, link.number})) {
      Told(node, message);
    }
  });
}

// What one side sends arrives in order, some time later, unless the stream breaks before.
void OperatorActor::Told(const std::string& node, const AgentMessage& message) {
  Link& link = links_[node];
  if (life() == Life::kDead || !link.real) {
    return;
  }
  link.inbox.push_back(message);
  // Whatever holds one up holds up those behind it: the first is taken, not this one.
  Later(Travel(&link.next_in), [this, node, life = link.life] {
    Link& now = links_[node];
    if (now.life == life && now.up && !now.inbox.empty()) {
      const AgentMessage first = std::move(now.inbox.front());
      now.inbox.pop_front();
      Receive(node, first);
    }
  });
}

// How long a message is on its way that is not to arrive before the last one.
Millis OperatorActor::Travel(sim::Time* last) {
  const sim::Time now = stage().cluster.now();
  const Millis delay = stage().Chance(0.1)
                           ? stage().Between(100, 3000)
                           : stage().Between(1, static_cast<int>(2 * message_delay.count()));
  const auto time = std::chrono::ceil<Millis>(std::max<sim::Time>(*last - now, delay));
  *last = now + time;
  return time;
}

void OperatorActor::Send(const std::string& node, const OperatorMessage& message) {
  Link& link = links_[node];
  if (!link.up) {
    return;
  }
  AgentActor& agent = *agents_.at(node);
  // In the hands of the agent's process: that it is stopped or dies is its own affair. Of a stream
  // that breaks some is lost, and some comes late, when nobody here counts on it any more.
  stage().After(
      Travel(&link.next_out),
      [this, node, life = link.life,
       deliver = agent.Wrap([&agent, message, stream = AgentActor::Stream{epoch_, link.number}] {
         agent.Handle(stream, message);
       })] {
        if (links_[node].life == life && links_[node].real) {
          deliver();
        } else if (stage().Chance(0.3)) {
          stage().After(stage().Between(1, 8000), deliver);
        }
      });
}

void OperatorActor::BreakLink(const std::string& node) {
  Link& link = links_[node];
  if (!link.real) {
    return;
  }
  link.real = false;
  const Millis noticed =
      stage().Chance(0.2) ? stage().Between(5000, 60000) : stage().Between(1, 2000);
  Later(noticed, [this, node, life = link.life] {
    if (links_[node].life == life) {
      LinkDown(node);
    }
  });
}

void OperatorActor::AgentLost(const std::string& node) {
  BreakLink(node);
}

void OperatorActor::LinkDown(const std::string& node) {
  Link& link = links_[node];
  link = Link{.life = link.life + 1};
  Wake(Millis(1));
  Later(stage().Between(500, 3000), [this, node, life = link.life] {
    if (links_[node].life == life) {
      OpenLink(node);
    }
  });
}

void OperatorActor::Receive(const std::string& node, const AgentMessage& message) {
  Link& link = links_[node];
  if (const auto* resource = std::get_if<replication::ResourceMessage>(&message)) {
    link.synced = true;
    auto report = resource->report;
    report.res.emplace();
    for (const std::string& peer : members_) {
      if (peer != node) {
        report.res->tls[peer] = linstor_.ResTls(node, peer);
      }
    }
    link.report = std::make_shared<const replication::ResourceReport>(std::move(report));
  } else if (std::holds_alternative<replication::GoneMessage>(message)) {
    link.synced = true;
    link.report.reset();
  } else if (const auto* progress = std::get_if<replication::ProgressMessage>(&message)) {
    link.running[progress->id] = {node, *progress};
    link.unanswered.erase(progress->id);
  } else if (const auto* result = std::get_if<replication::ResultMessage>(&message)) {
    const bool ours = link.running.erase(result->id) > 0;
    link.unanswered.erase(result->id);
    if (ours && result->result.outcome != replication::TransactionOutcome::kDone &&
        result->kind != replication::TransactionKind::kFollow) {
      failures_ = std::min(failures_ + 1, 4);
      memory_.not_before = clock_.SteadyNow() + std::chrono::seconds(2 << failures_);
    } else if (ours) {
      failures_ = 0;
      memory_.not_before.reset();
    }
  }
  Wake(Millis(5));
}

// --- reconcile

void OperatorActor::Wake(Millis delay) {
  const sim::Time at = stage().cluster.now() + delay;
  if (wake_at_ && *wake_at_ <= at) {
    return;
  }
  wake_at_ = at;
  Later(delay, [this, at] {
    if (wake_at_ && *wake_at_ == at) {
      wake_at_.reset();
      Reconcile();
    }
  });
}

replication::ResourceObservation OperatorActor::Observe() const {
  std::map<std::string, replication::NodeSlice> slices;
  for (const auto& [node, link] : links_) {
    if (link.up && link.synced) {
      slices[node] = {.complete = true, .report = link.report};
    }
  }
  return BuildObservation(resource_, {members_.begin(), members_.end()}, slices, levels_);
}

replication::VolumeGoal OperatorActor::GoalNow(const replication::ResourceObservation& seen) const {
  replication::VolumeGoal goal;
  for (const auto& [pair, connection] : seen.connections) {
    goal.wanted[pair] = Desired(levels_, pair.ToString(), api_.tls);
  }
  goal.may_switch = true;
  goal.strategy = strategy;
  goal.allow_single_copy = allow_single_copy;
  goal.suspend_timeout = suspend_timeout;
  goal.lead_timeout = lead_timeout;
  for (const Pair& pair : ledger_.PairsOf(resource_)) {
    goal.hold[pair] = "its peer lacks writes";
  }
  return goal;
}

void OperatorActor::Reconcile() {
  if (busy_) {
    Wake(Millis(200));
    return;
  }
  if (stage().cluster.now() - levels_read_ > Millis(3000)) {
    ReadLevels();
  }
  const replication::ResourceObservation seen = Observe();
  if (!ledger_.Observe(seen, clock_.SystemNow()).empty()) {
    api_.stale = ledger_.records();
  }
  replication::Remember(seen, clock_.SteadyNow(), &memory_);
  std::map<std::string, replication::AgentView> agents;
  std::vector<replication::RunningTransaction> running;
  for (const auto& [node, link] : links_) {
    agents[node] = {.connected = link.up && link.synced};
    for (const auto& [id, transaction] : link.running) {
      running.push_back(transaction);
    }
  }
  const replication::VolumeGoal goal = GoalNow(seen);
  Do(replication::PlanVolume({seen, goal, agents, running, memory_, clock_.SteadyNow()}));
}

void OperatorActor::Do(const VolumeDecision& decision) {
  done_ = decision.done;
  if (log && (decision.why != why_ || !decision.cancel.empty() || !decision.asks.empty())) {
    log("  operator " + std::to_string(epoch_) + ": " + decision.why +
        (decision.asks.empty() ? "" : ", asks for " + decision.step) +
        (decision.cancel.empty() ? "" : ", cancels " + decision.cancel.front()));
  }
  why_ = decision.why;
  for (const std::string& id : decision.cancel) {
    for (const auto& [node, link] : links_) {
      if (link.running.contains(id)) {
        Send(node, replication::CancelMessage{id});
      }
    }
  }
  switch (decision.kind) {
    case VolumeDecision::Kind::kAsk: {
      // The journal first: nothing is asked before the API server has it.
      busy_ = true;
      const bool fails =
          stage().cluster.now() < api_.down_until || (stage().faults && stage().Chance(0.03));
      const Millis time =
          stage().Chance(0.05) ? stage().Between(1000, 8000) : stage().Between(2, 40);
      Later(time, [this, fails, asks = decision.asks] {
        busy_ = false;
        if (!fails) {
          Ask(asks);
        }
        Wake(fails ? Millis(1000) : Millis(300));
      });
      return;
    }
    case VolumeDecision::Kind::kLinstor:
      busy_ = true;
      ChangeLinstor(decision.ops);
      return;
    default:
      break;
  }
  Wake(std::min(decision.poll, Millis(5000)));
}

void OperatorActor::Ask(const std::vector<replication::AskNode>& asks) {
  for (const replication::AskNode& ask : asks) {
    replication::TransactionRequest request = ask.request;
    request.id = "e" + std::to_string(epoch_) + "-" + std::to_string(++counter_);
    request.epoch = epoch_;
    Link& link = links_[ask.node];
    if (!link.up) {
      continue;
    }
    link.unanswered.insert(request.id);
    link.running[request.id] = {ask.node,
                                {.id = request.id,
                                 .kind = request.kind,
                                 .resource = request.resource,
                                 .peers = request.peers,
                                 .tls = request.tls}};
    Send(ask.node, request);
    if (stage().Chance(twice)) {
      Send(ask.node, request);
    }
  }
}

void OperatorActor::ReadLevels() {
  levels_ = linstor_.runs() ? linstor_.levels() : replication::ResourceLevels{};
  levels_read_ = stage().cluster.now();
}

void OperatorActor::ChangeLinstor(std::vector<replication::LinstorOp> ops) {
  if (ops.empty()) {
    ReadLevels();
    busy_ = false;
    Wake(Millis(50));
    return;
  }
  const replication::LinstorOp op = ops.front();
  ops.erase(ops.begin());
  linstor_.Change(op, Wrap([this, ops = std::move(ops)] { ChangeLinstor(ops); }));
}

}  // namespace breakwater::walks
