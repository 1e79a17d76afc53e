#pragma once

/// OperatorActor: one leader of the operator. Its head is the real PlanVolume; its hands (streams,
/// the API server's journal, LINSTOR) are late, fail and lose answers. A former leader that wakes
/// up late goes on with what it saw before: its epoch is old.

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/core/replication/plan/volume_plan.h"
#include "operator/core/replication/volume/stale_ledger.h"
#include "tests/walks/actor.h"
#include "tests/walks/agent_actor.h"
#include "tests/walks/linstor_actor.h"

namespace breakwater::walks {

/// What the API server keeps: outlives every leader.
struct ApiServer {
  bool tls = false;  ///< what the LinstorCluster says
  std::vector<replication::StaleRecord> stale{};
  Millis down_until{0};
};

class OperatorActor final : public Actor {
 public:
  OperatorActor(Stage& stage,
                std::int64_t epoch,
                std::string resource,
                std::vector<std::string> members,
                ApiServer& api,
                LinstorActor& linstor,
                std::map<std::string, std::unique_ptr<AgentActor>>& agents);

  /// The stream to this node breaks; both sides learn of it when they learn of it.
  void BreakLink(const std::string& node);
  /// Delivers what an agent says to everybody who has a stream to it.
  void Told(const std::string& node, const replication::AgentMessage& message);
  /// The process of the agent ended.
  void AgentLost(const std::string& node);

  bool done() const { return done_; }

  const std::string& why() const { return why_; }

  std::function<void(const std::string&)> log{};
  replication::StrategyChoice strategy = replication::StrategyChoice::kAuto;
  bool allow_single_copy = false;
  Millis suspend_timeout{10000};
  Millis lead_timeout{10000};
  Millis message_delay{20};  ///< typical; a tenth of the messages take much longer
  double twice = 0;          ///< chance that a request is sent twice

 private:
  struct Link {
    bool up = false;           ///< a stream that this side believes in
    bool real = false;         ///< and that there is
    std::uint64_t life = 0;    ///< messages of an earlier one are lost, or late
    std::uint64_t number = 0;  ///< of the stream
    sim::Time next_in{0};      ///< order is kept within a stream
    sim::Time next_out{0};
    std::deque<replication::AgentMessage> inbox{};
    bool synced = false;
    std::shared_ptr<const replication::ResourceReport> report{};
    std::map<std::string, replication::RunningTransaction> running{};
    std::set<std::string> unanswered{};
  };

  void Died() override;
  void Started() override;
  void OpenLink(const std::string& node);
  void LinkDown(const std::string& node);
  void Receive(const std::string& node, const replication::AgentMessage& message);
  Millis Travel(sim::Time* last);
  void Send(const std::string& node, const replication::OperatorMessage& message);
  void Wake(Millis delay);
  void Reconcile();
  replication::ResourceObservation Observe() const;
  replication::VolumeGoal GoalNow(const replication::ResourceObservation& seen) const;
  void Do(const replication::VolumeDecision& decision);
  void Ask(const std::vector<replication::AskNode>& asks);
  void ReadLevels();
  void ChangeLinstor(std::vector<replication::LinstorOp> ops);

  const std::int64_t epoch_;
  const std::string resource_;
  const std::vector<std::string> members_;
  ApiServer& api_;
  LinstorActor& linstor_;
  std::map<std::string, std::unique_ptr<AgentActor>>& agents_;
  StageClock clock_;
  std::map<std::string, Link> links_{};
  replication::VolumeMemory memory_{};
  replication::StaleLedger ledger_{};
  replication::ResourceLevels levels_{};
  sim::Time levels_read_{0};
  std::optional<sim::Time> wake_at_{};
  bool busy_ = false;  ///< a reconcile is waiting for somebody
  std::uint64_t counter_ = 0;
  int failures_ = 0;
  bool done_ = false;
  std::string why_{};
};

}  // namespace breakwater::walks
