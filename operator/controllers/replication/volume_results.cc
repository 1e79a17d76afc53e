// What the end of a transaction means: metrics, back-off, who is to blame, what people are told.

#include <algorithm>
#include <utility>

#include "operator/controllers/replication/volume_reconciler.h"

namespace breakwater::controllers {

using replication::Pair;
using replication::ResultMessage;
using replication::TransactionKind;
using replication::TransactionOutcome;

namespace {

bool IsSwitch(TransactionKind kind) {
  return kind == TransactionKind::kLead || kind == TransactionKind::kSuspendedSwitch;
}

// No failure of the volume: somebody wanted it so, or another transaction tells what happened.
bool Meant(const ResultMessage& message) {
  const std::string& code = message.result.code;
  return code == "Cancelled" || code == "Busy" || code == "Epoch" ||
         (message.kind == TransactionKind::kFollow &&
          message.result.outcome == TransactionOutcome::kUndone);
}

// A pod that was replaced, or a process that died in the middle, says nothing of TLS.
bool LostItsAgent(const ResultMessage& message) {
  return message.result.code == "Lost" || message.result.code == "Interrupted";
}

std::string Text(const std::string& node, const ResultMessage& message) {
  std::string text{ToString(message.kind)};
  text += " on " + node;
  text += message.result.outcome == TransactionOutcome::kRefused ? " was refused" : " was undone";
  return message.result.reason.empty() ? text : text + ": " + message.result.reason;
}

}  // namespace

void VolumeReconciler::NoteResult(const std::string& node, const ResultMessage& message) {
  deps_.metrics.CountResult(message);
  const replication::TransactionResult& result = message.result;
  log_.Info("result", {{"resource", message.resource},
                       {"node", node},
                       {"kind", ToString(message.kind)},
                       {"id", message.id},
                       {"result", ToString(result.outcome)},
                       {"code", result.code},
                       {"why", result.reason},
                       {"frozen_ms", result.frozen.count()},
                       {"cut_ms", result.cut.count()}});
  const std::shared_ptr<const PublishedPlan> plan = deps_.board.Get();
  if (plan == nullptr) {
    return;
  }
  bool tls = false;
  std::map<Pair, std::string> guilty;
  {
    const std::lock_guard lock(mutex_);
    if (const auto asked = asked_.find(message.id); asked != asked_.end()) {
      tls = asked->second.request.tls;
      asked_.erase(asked);
    } else if (const auto wanted = plan->wanted.find(message.resource);
               wanted != plan->wanted.end() && !message.peers.empty()) {  // a former leader asked
      const auto value = wanted->second.find(Pair::Of(node, message.peers.front()));
      tls = value != wanted->second.end() && value->second;
    }
    for (const std::string& peer : message.peers) {
      const Pair pair = Pair::Of(node, peer);
      if (const auto suspect = suspects_.find({message.resource, pair});
          suspect != suspects_.end()) {
        guilty[pair] = suspect->second;
        suspects_.erase(suspect);
      }
    }
  }
  const bool done = result.outcome == TransactionOutcome::kDone;
  const bool undone = result.outcome == TransactionOutcome::kUndone;
  std::string blamed;
  plan->cluster->ledgers.With([&](LedgerParts& parts) {
    const SteadyTime now = deps_.services.clock.SteadyNow();
    for (const std::string& peer : message.peers) {
      const Pair pair = Pair::Of(node, peer);
      if (IsSwitch(message.kind) && tls && done) {
        parts.handshakes.Succeeded(pair);
      } else if (IsSwitch(message.kind) && tls && undone && !Meant(message) &&
                 !LostItsAgent(message)) {
        const auto suspect = guilty.find(pair);
        blamed = suspect == guilty.end() ? blamed : suspect->second;
        parts.handshakes.Failed(
            pair, suspect == guilty.end() ? std::nullopt : std::optional(suspect->second), now);
      }
    }
    if (done && !IsSwitch(message.kind) && message.kind != TransactionKind::kFollow) {
      parts.failures.Succeeded(message.resource);
    }
    return 0;
  });
  if (!done && !Meant(message)) {
    const auto kind = undone && IsSwitch(message.kind) ? VolumeFailure::Kind::kRolledBack
                                                       : VolumeFailure::Kind::kBlocked;
    std::string text = Text(node, message);
    if (!blamed.empty()) {
      text += "; the handshake failed on " + blamed + ": look at the log of its ktls-utils";
    }
    NoteFailure(*plan, {kind, message.resource, blamed, std::move(text)},
                message.kind == TransactionKind::kSuspendedSwitch
                    ? replication::Strategy::kSuspendIo
                    : replication::Strategy::kPairByPair);
  }
  wake_.volume(message.resource);
  wake_.cluster();
}

void VolumeReconciler::NoteFailure(const PublishedPlan& plan,
                                   VolumeFailure failure,
                                   replication::Strategy strategy) {
  const bool rolled_back = failure.kind == VolumeFailure::Kind::kRolledBack;
  const bool news = plan.cluster->ledgers.With([&](LedgerParts& parts) {
    return parts.failures.Failed(failure, deps_.services.clock.SystemNow(),
                                 deps_.services.clock.SteadyNow());
  });
  deps_.metrics.CountRun(strategy, rolled_back ? "rolled_back" : "blocked");
  if (news) {
    deps_.reporter.Tell(
        plan.cluster->name,
        {failure.resource, true, rolled_back ? "MigrationRolledBack" : "MigrationBlocked",
         "Volume " + failure.resource + ": " + failure.message});
  }
  wake_.cluster();
}

}  // namespace breakwater::controllers
