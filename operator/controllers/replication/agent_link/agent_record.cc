#include "operator/controllers/replication/agent_link/agent_record.h"

#include <algorithm>
#include <utility>

#include "operator/controllers/replication/agent_link/report_size.h"

namespace breakwater::controllers {
namespace {

using replication::NodeReport;
using replication::NodeSlice;
using replication::ProgressMessage;
using replication::ResultMessage;
using replication::TransactionOutcome;

/// No node has so many connections that are switched at a time.
constexpr std::size_t kMaxTransactions = 1024;
/// An agent remembers fewer results.
constexpr std::size_t kMaxTold = 4096;
/// One map entry and shared pointer, beside name and report.
constexpr std::size_t kEntryBytes = 128;

std::string MiB(std::size_t bytes) {
  return std::to_string(bytes >> 20U) + " MiB";
}

}  // namespace

void AgentRecord::Begin() {
  (void)End();
  ++stream_;
}

AgentEffects AgentRecord::Take(replication::AgentMessage message) {
  AgentEffects effects = std::visit([this](auto& one) { return Handle(one); }, message);
  if (effects.problem.empty() && bytes() > max_bytes_) {
    effects.problem = "it reports more than " + MiB(max_bytes_);
  }
  return effects;
}

AgentEffects AgentRecord::End() {
  AgentEffects effects;
  if (synced_) {
    effects.node = true;
    for (const auto& [name, kept] : reports_) {
      effects.resources.insert(name);
    }
  }
  synced_ = false;
  facts_.reset();
  facts_bytes_ = 0;
  reports_.clear();
  report_bytes_ = 0;
  return effects;
}

AgentEffects AgentRecord::Handle(const replication::NodeFactsMessage& message) {
  AgentEffects effects;
  effects.node = synced_ && facts_ != message;
  facts_ = message;
  facts_bytes_ = MemoryOf(*facts_);
  return effects;
}

AgentEffects AgentRecord::Handle(replication::ResourceMessage& message) {
  AgentEffects effects;
  Kept& kept = reports_[message.name];
  if (kept.report != nullptr && *kept.report == message.report) {
    return effects;
  }
  kept.report = std::make_shared<const replication::ResourceReport>(std::move(message.report));
  report_bytes_ -= kept.bytes;
  kept.bytes = MemoryOf(*kept.report) + message.name.size() + kEntryBytes;
  report_bytes_ += kept.bytes;
  if (synced_) {
    effects.resources.insert(message.name);
  }
  return effects;
}

AgentEffects AgentRecord::Handle(const replication::GoneMessage& message) {
  AgentEffects effects;
  const auto found = reports_.find(message.name);
  if (found == reports_.end()) {
    return effects;
  }
  report_bytes_ -= found->second.bytes;
  reports_.erase(found);
  if (synced_) {
    effects.resources.insert(message.name);
  }
  return effects;
}

AgentEffects AgentRecord::Handle(const replication::SyncedMessage& /*message*/) {
  AgentEffects effects;
  if (synced_) {
    return effects;
  }
  synced_ = true;
  effects.node = true;
  for (const auto& [name, kept] : reports_) {
    effects.resources.insert(name);
  }
  std::vector<Transaction> lost;
  for (const auto& [id, transaction] : transactions_) {
    if (transaction.stream != stream_) {
      lost.push_back(transaction);
    }
  }
  for (const Transaction& transaction : lost) {
    Lose(transaction, "the agent does not know of it", effects);
  }
  return effects;
}

AgentEffects AgentRecord::Handle(const ProgressMessage& message) {
  AgentEffects effects;
  if (told_.contains(message.id)) {
    // Its result was "lost", but the request was only late.
    std::erase(told_order_, message.id);
    told_.erase(message.id);
  }
  if (!transactions_.contains(message.id) && transactions_.size() >= kMaxTransactions) {
    effects.problem = "it reports more than " + std::to_string(kMaxTransactions) + " transactions";
    return effects;
  }
  effects.resources.insert(message.resource);
  Keep({.progress = message, .begun = true, .stream = stream_});
  return effects;
}

AgentEffects AgentRecord::Handle(const ResultMessage& message) {
  AgentEffects effects;
  Deliver(message, effects);
  Forget(message.id);
  return effects;
}

AgentEffects AgentRecord::Handle(const replication::AgentHello& /*message*/) {
  AgentEffects effects;
  effects.problem = "it said hello twice";
  return effects;
}

AgentEffects AgentRecord::Handle(const replication::PongMessage& /*message*/) {
  return {};
}

void AgentRecord::Asked(const replication::TransactionRequest& request) {
  std::erase(told_order_, request.id);
  told_.erase(request.id);
  Transaction transaction;
  transaction.progress = {.id = request.id,
                          .kind = request.kind,
                          .resource = request.resource,
                          .peers = request.peers,
                          .tls = request.tls,
                          .phase = "Asked"};
  if (const auto known = transactions_.find(request.id); known != transactions_.end()) {
    transaction = known->second;  // the same again: what the agent has said about it stays true
  }
  transaction.stream = stream_;
  Keep(std::move(transaction));
}

AgentEffects AgentRecord::GiveUp(const std::string& why) {
  AgentEffects effects;
  const std::map<std::string, Transaction> all = transactions_;
  for (const auto& [id, transaction] : all) {
    Lose(transaction, why, effects);
  }
  return effects;
}

void AgentRecord::Keep(Transaction transaction) {
  const std::string id = transaction.progress.id;
  Forget(id);
  transaction.bytes = MemoryOf(transaction.progress);
  transaction_bytes_ += transaction.bytes;
  transactions_.emplace(id, std::move(transaction));
}

void AgentRecord::Forget(const std::string& id) {
  const auto found = transactions_.find(id);
  if (found != transactions_.end()) {
    transaction_bytes_ -= found->second.bytes;
    transactions_.erase(found);
  }
}

void AgentRecord::Lose(const Transaction& transaction,
                       const std::string& why,
                       AgentEffects& effects) {
  const ProgressMessage& progress = transaction.progress;
  ResultMessage result{.id = progress.id,
                       .kind = progress.kind,
                       .resource = progress.resource,
                       .peers = progress.peers};
  result.result.outcome =
      transaction.begun ? TransactionOutcome::kUndone : TransactionOutcome::kRefused;
  result.result.code = "Lost";
  result.result.reason =
      why + (transaction.begun ? "; it had begun (" + progress.phase + ")" : "; it never began");
  Deliver(result, effects);
  Forget(result.id);
}

void AgentRecord::Deliver(const ResultMessage& result, AgentEffects& effects) {
  if (!told_.insert(result.id).second) {
    return;
  }
  told_order_.push_back(result.id);
  if (told_order_.size() > kMaxTold) {
    told_.erase(told_order_.front());
    told_order_.pop_front();
  }
  effects.resources.insert(result.resource);
  effects.results.push_back(result);
}

std::size_t AgentRecord::bytes() const {
  return facts_bytes_ + report_bytes_ + transaction_bytes_;
}

std::optional<NodeSlice> AgentRecord::Slice(const std::string& resource) const {
  if (!synced_) {
    return std::nullopt;
  }
  NodeSlice slice;
  if (facts_) {
    slice.complete = facts_->complete;
    slice.tls_stat = facts_->tls_stat;
  }
  if (const auto found = reports_.find(resource); found != reports_.end()) {
    slice.report = found->second.report;
  }
  return slice;
}

std::optional<NodeReport> AgentRecord::Report() const {
  if (!synced_) {
    return std::nullopt;
  }
  NodeReport report;
  report.node = node_;
  report.ended = true;
  if (facts_) {
    report.complete = facts_->complete;
    report.sockets_reliable = facts_->sockets_reliable;
    report.tls_stat = facts_->tls_stat;
    report.versions = facts_->versions;
    report.tls_module = facts_->tls_module;
    report.handshake_family = facts_->handshake_family;
    report.usermode_helper = facts_->usermode_helper;
    report.broken_res = facts_->broken_res;
  }
  for (const auto& [name, kept] : reports_) {
    report.resources.emplace_hint(report.resources.end(), name, kept.report);
    const auto& sockets = kept.report->sockets.sockets;
    report.any_socket = report.any_socket ||
                        std::any_of(sockets.begin(), sockets.end(),
                                    [](const auto& socket) { return socket.state == "ESTAB"; });
  }
  return report;
}

std::vector<replication::RunningTransaction> AgentRecord::Running(
    const std::string& resource) const {
  std::vector<replication::RunningTransaction> running;
  for (const auto& [id, transaction] : transactions_) {
    if (transaction.progress.resource == resource) {
      running.push_back({.node = node_, .progress = transaction.progress});
    }
  }
  return running;
}

std::set<std::string> AgentRecord::Busy() const {
  std::set<std::string> busy;
  for (const auto& [id, transaction] : transactions_) {
    busy.insert(transaction.progress.resource);
  }
  return busy;
}

}  // namespace breakwater::controllers
