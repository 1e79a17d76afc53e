#include <algorithm>

#include "operator/core/replication/transaction/guard.h"
#include "operator/core/replication/transaction/turn.h"

namespace breakwater::replication {
namespace {

// Whose suspension it is cannot be seen on the node: the operator, who knows what it asked for and
// what the user allows (`of_others`), answers for that. Here: does a resume do harm?
Obstacle CheckResume(const LocalView& view) {
  if (!HasData(*view.status)) {
    return {"NoData", "no data can be reached: resuming would give I/O errors"};  // F28
  }
  if (!HasQuorum(*view.status) && (!view.show || view.show->on_no_quorum != "suspend-io")) {
    return {"NoQuorum", "there is no quorum: resuming would give I/O errors"};
  }
  return {};
}

// The kernel's flag is per resource, but each volume's file system was frozen by the suspend-io of
// its own minor (F2.5, F23): all are resumed. state.minors: those that were.
const DrbdDevice* NextDevice(const Turn& turn) {
  const std::vector<int>& done = turn.state.minors;
  const auto it = std::find_if(
      turn.status.devices.begin(), turn.status.devices.end(), [&](const DrbdDevice& device) {
        return std::find(done.begin(), done.end(), device.minor) == done.end();
      });
  return it == turn.status.devices.end() ? nullptr : &*it;
}

}  // namespace

TransactionDecision ResumeStep(Turn& turn) {
  TransactionState& state = turn.state;
  const DrbdDevice* next = NextDevice(turn);
  if (!turn.status.suspended_user && (state.minors.empty() || next == nullptr)) {
    return turn.Finish(TransactionOutcome::kDone, "", "");
  }
  Obstacle obstacle = CheckResume(turn.view);
  if (state.cancelled || turn.now >= state.until) {
    if (obstacle.none()) {
      obstacle = {state.cancelled ? "Cancelled" : "Timeout", "I/O is still suspended"};
    }
    return turn.Refuse(obstacle.code, obstacle.reason);
  }
  if (next == nullptr) {
    return turn.Refuse("Suspended", "resumed, and suspended again by somebody else");
  }
  if (next->minor < 0) {
    return turn.Refuse("Unknown", "its minor is not known");
  }
  if (!obstacle.none() || turn.BackingOff() || !turn.Fresh()) {
    return turn.Wait(kPoll, obstacle.none() ? "looks again" : obstacle.reason);
  }
  return turn.Run({.kind = DrbdCommand::Kind::kResumeIo, .minor = next->minor},
                  TransactionState::Phase::kResume, "resuming I/O");
}

}  // namespace breakwater::replication
