#pragma once

/// The insides of PlanVolume: one object per call. Not for use outside this folder.

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "operator/core/replication/plan/volume_plan.h"

namespace breakwater::replication::internal {

class VolumePlanner {
 public:
  explicit VolumePlanner(const VolumeInput& input) : in_(input), seen_(input.seen) {}

  VolumeDecision Decide();

 private:
  using Maybe = std::optional<VolumeDecision>;
  using Kind = VolumeDecision::Kind;

  /// Follows on the far ends and, when all are armed, the transaction that needs them.
  struct Exchange {
    Strategy strategy = Strategy::kNone;
    Pair pair{};
    std::vector<AskNode> follows{};
    AskNode lead{};
    bool down = false;  ///< a repair: nothing will be cut, so nobody has to be waited for
    std::string why{};
  };

  // volume_plan.cc: the order of things
  std::vector<RunningTransaction> Busy() const;
  /// What there is to do when nothing runs; sets exchange_ when that is an exchange.
  VolumeDecision Free();
  VolumeDecision WithFollows(const std::vector<RunningTransaction>& follows);
  /// Of `decision`, what may be done while these Follows take back what they have set.
  Maybe BesideUndo(const std::vector<RunningTransaction>& follows, VolumeDecision decision);
  bool HasLeader(const RunningTransaction& follow) const;
  VolumeDecision CancelFollows(const std::vector<RunningTransaction>& follows, std::string why);
  VolumeDecision Begin(Exchange exchange);
  VolumeDecision AskLead() const;
  VolumeDecision End() const;

  // repair.cc: what is wrong
  Maybe PlanSuspended() const;
  Maybe PlanStale();
  VolumeDecision Heal(const StalePeer& stale) const;
  Maybe PlanRepair();
  Maybe RepairOne(const ConnectionView& connection);
  Maybe RepairDiffering(const ConnectionView& connection);
  Maybe RepairStandAlone(const ConnectionView& connection);
  /// A Lead that goes back tries until it is connected; a far end that DRBD has given up on (F6)
  /// does not try, and is told to.
  Maybe HelpUndo(const RunningTransaction& running,
                 const std::vector<RunningTransaction>& busy) const;
  /// The value that ends which differ shall get.
  bool RepairTarget(const ConnectionView& connection) const;
  std::vector<Pair> DownPairs() const;

  // switch.cc: what is wanted
  Maybe PlanFollowUp() const;
  Maybe PlanSwitch();
  VolumeDecision BeginPair(const Pair& pair, Strategy strategy);
  VolumeDecision BeginSuspended(const std::string& primary, const std::vector<Pair>& pairs);
  Maybe PlanCleanup() const;
  Maybe PlanRekey() const;
  /// Which end cuts.
  const std::string& NearEnd(const Pair& pair) const;
  /// Why nothing in LINSTOR may be changed now: its nodes would adjust (L17), connect what is
  /// StandAlone and resume what is suspended (L24).
  std::optional<std::string> LinstorObstacle() const;
  std::optional<std::map<PairKey, bool>> Runs() const;

  AskNode Ask(TransactionKind kind,
              const std::string& node,
              std::vector<std::string> peers,
              bool tls,
              std::chrono::milliseconds within) const;
  AskNode Follow(const std::string& node,
                 const std::string& peer,
                 bool tls,
                 std::chrono::milliseconds lead) const;

  bool TooEarly() const { return in_.memory.not_before && in_.now < *in_.memory.not_before; }

  /// Keeps the first of several problems: it is said when nothing else can be done.
  void Note(Kind kind, std::string why);

  static VolumeDecision Say(Kind kind,
                            std::string why,
                            std::chrono::milliseconds poll = std::chrono::milliseconds(5000));

  static VolumeDecision Because(const SwitchObstacle& obstacle) {
    return Say(obstacle.passing ? Kind::kWait : Kind::kBlocked, obstacle.reason);
  }

  const VolumeInput& in_;
  const ResourceObservation& seen_;
  std::optional<Exchange> exchange_{};
  std::optional<VolumeDecision> problem_{};
};

}  // namespace breakwater::replication::internal
