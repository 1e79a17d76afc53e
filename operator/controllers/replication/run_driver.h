#pragma once

/// RunDriver: drives one resource: observe its nodes, ask the planner, write the journal, act;
/// until the run is finished or it is told to stop. Blocking; one thread per driver.

#include <functional>
#include <map>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "operator/base/clock.h"
#include "operator/base/log.h"
#include "operator/controllers/replication/actor.h"
#include "operator/controllers/replication/linstor_view.h"
#include "operator/controllers/replication/node_observer.h"
#include "operator/controllers/replication/status_writer.h"
#include "operator/core/replication/plan/planner.h"

namespace breakwater::controllers {

/// What all drivers share; borrowed.
struct RunServices {
  NodeObserver& observer;
  LinstorView& linstor;
  Actor& actor;
  StatusWriter& status;
  const Clock& clock;
  const Logger& log;
};

/// How a run ended.
struct RunResult {
  enum class End {
    kDone,
    kRolledBack,
    kBlocked,
    kStopped,  ///< the process stops or leadership is lost; the journal says where to go on
  };

  End end = End::kDone;
  std::string why{};
  replication::Strategy strategy = replication::Strategy::kNone;
  std::chrono::milliseconds longest_suspension{0};  ///< as seen by us; 0 when never suspended
};

/// Transitions that people hear about. `warning` for those that need a look.
using RunEvent = std::function<void(
    const std::string& resource, bool warning, const std::string& reason, const std::string& note)>;

/// One run of one resource.
struct RunTask {
  std::stop_token stop{};
  std::string resource{};
  std::set<std::string> nodes{};  ///< where it is, until LINSTOR says otherwise
  replication::RunState state{};
  /// Asked before each step, because wishes and the fitness of nodes change during a run.
  std::function<replication::Goal()> goal{};
  /// Told of each look.
  std::function<void(const replication::ResourceObservation&)> observed{};
  /// Told of each heal of a stale peer, before it is done.
  std::function<void(const replication::Pair&)> heals{};
  /// Told after each look: what the run waits for, "" when it acts.
  std::function<void(const std::string& why)> waiting{};
};

/// Thread safety: Run() may be called once per resource at the same time.
class RunDriver {
 public:
  RunDriver(RunServices services, RunEvent event);

  RunResult Run(RunTask task);

 private:
  struct Progress;

  Context Base(const Progress& run) const;
  replication::ResourceObservation Observe(Progress& run);
  bool WriteJournal(Progress& run, const replication::Journal& journal);
  bool EvidenceIsOld(const Progress& run, const replication::Decision& decision) const;
  static replication::RunState NotDone(const replication::RunState& before,
                                         const replication::Decision& decision,
                                         bool written);
  void Act(Progress& run,
           const replication::ResourceObservation& seen,
           const replication::Decision& decision);
  void Report(Progress& run,
              const replication::ResourceObservation& seen,
              const replication::Decision& decision);
  bool MustStop(const Progress& run, bool suspended) const;
  bool GivesUp(Progress& run,
               const replication::ResourceObservation& seen,
               const replication::Decision& decision) const;

  const RunServices services_;
  const RunEvent event_;
};

}  // namespace breakwater::controllers
