#pragma once

/// AgentRecord: what one agent has said over its streams, and what was asked of it. Pure: messages
/// in, effects out; no I/O, no clock, no lock.
///
/// Two lives: reports live as long as the stream (a stream that is gone is a node that is unknown);
/// transactions outlive it, because the agent goes on without anybody listening.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/core/replication/plan/volume_plan.h"
#include "operator/core/replication/protocol/messages.h"
#include "operator/core/replication/volume/observation.h"

namespace breakwater::controllers {

/// What has to be told after a message.
struct AgentEffects {
  std::set<std::string> resources{};  ///< report or transactions changed
  bool node = false;                  ///< facts changed, or known now, or unknown now
  std::vector<replication::ResultMessage> results{};
  std::string problem{};  ///< not "": this stream must not be used any more
};

/// Thread safety: none; guarded by the owner.
class AgentRecord {
 public:
  AgentRecord(std::string node, std::size_t max_bytes)
      : node_(std::move(node)), max_bytes_(max_bytes) {}

  /// A stream begins; what the agent says is shown once its full report is complete.
  void Begin();
  /// Any message but hello and pong, which are the stream's own.
  AgentEffects Take(replication::AgentMessage message);
  /// The stream is gone.
  AgentEffects End();

  /// A request is about to be sent over this stream. It counts as running until a result, or until
  /// the full report of a later stream mentions neither: then it is lost.
  void Asked(const replication::TransactionRequest& request);
  /// The agent will not come back: everything that runs is lost.
  AgentEffects GiveUp(const std::string& why);

  bool synced() const { return synced_; }

  /// Memory of all that is kept.
  std::size_t bytes() const;

  bool Has(const std::string& resource) const { return reports_.contains(resource); }

  /// Nothing before the full report.
  std::optional<replication::NodeSlice> Slice(const std::string& resource) const;
  std::optional<replication::NodeReport> Report() const;
  std::vector<replication::RunningTransaction> Running(const std::string& resource) const;
  std::set<std::string> Busy() const;

 private:
  struct Kept {
    std::shared_ptr<const replication::ResourceReport> report{};
    std::size_t bytes = 0;
  };

  using Reports = std::map<std::string, Kept>;

  struct Transaction {
    replication::ProgressMessage progress{};
    bool begun = false;        ///< the agent has said so
    std::uint64_t stream = 0;  ///< the last one over which it was asked for or mentioned
    std::size_t bytes = 0;
  };

  AgentEffects Handle(const replication::NodeFactsMessage& message);
  AgentEffects Handle(replication::ResourceMessage& message);
  AgentEffects Handle(const replication::GoneMessage& message);
  AgentEffects Handle(const replication::SyncedMessage& message);
  AgentEffects Handle(const replication::ProgressMessage& message);
  AgentEffects Handle(const replication::ResultMessage& message);
  AgentEffects Handle(const replication::AgentHello& message);
  AgentEffects Handle(const replication::PongMessage& message);

  void Keep(Transaction transaction);
  void Forget(const std::string& id);
  void Lose(const Transaction& transaction, const std::string& why, AgentEffects& effects);
  void Deliver(const replication::ResultMessage& result, AgentEffects& effects);

  const std::string node_;
  const std::size_t max_bytes_;
  std::uint64_t stream_ = 0;
  bool synced_ = false;
  std::optional<replication::NodeFactsMessage> facts_{};
  std::size_t facts_bytes_ = 0;
  Reports reports_{};  ///< of this stream; shown when synced
  std::size_t report_bytes_ = 0;
  std::map<std::string, Transaction> transactions_{};
  std::size_t transaction_bytes_ = 0;
  /// Ids whose results were told: an agent repeats them with each stream.
  std::set<std::string> told_{};
  std::deque<std::string> told_order_{};
};

}  // namespace breakwater::controllers
