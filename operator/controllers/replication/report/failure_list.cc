#include "operator/controllers/replication/report/failure_list.h"

#include <iterator>
#include <utility>

#include "operator/base/rfc3339.h"

namespace breakwater::controllers {

using api::MigrationFailure;
using replication::ResourceObservation;

namespace {

// A snapshot suspends for a moment; who waits longer than a minute is shown.
constexpr std::chrono::seconds kSuspendedShownAfter{30};
constexpr std::chrono::seconds kWaitShownAfter{60};

void Append(std::vector<MigrationFailure> more, std::vector<MigrationFailure>* shown) {
  std::move(more.begin(), more.end(), std::back_inserter(*shown));
}

}  // namespace

std::vector<MigrationFailure> FailureList::Build(const FailureSources& sources,
                                                 const LedgerParts& ledgers,
                                                 SystemTime now,
                                                 SteadyTime steady) {
  std::vector<MigrationFailure> shown = ledgers.stale.Failures();
  std::set<std::string> seen_keys;
  const std::string text = FormatRfc3339(now);
  const auto since = [&](const std::string& key) {
    seen_keys.insert(key);
    return since_.emplace(key, text).first->second;
  };
  if (const replication::ClusterProblem& problem = sources.plan.problem; !problem.reason.empty()) {
    shown.push_back({"", "", problem.reason, problem.message, since("problem/" + problem.reason)});
  }
  for (const auto& seen : sources.input.resources) {
    const auto memory = ledgers.memories.find(seen->resource);
    if (seen->SuspendedUser() && !sources.busy.contains(seen->resource) &&
        memory != ledgers.memories.end() && memory->second.suspended_since &&
        steady - *memory->second.suspended_since >= kSuspendedShownAfter) {
      shown.push_back({seen->resource, "", "Suspended",
                       "I/O is suspended, and not by the operator: a snapshot, or a person. When "
                       "nobody is at work on it, `drbdadm resume-io " +
                           seen->resource + "` ends it",
                       since("suspended/" + seen->resource)});
    }
  }
  for (const auto& seen : sources.input.resources) {
    if (!sources.plan.held.contains(seen->resource) || ledgers.failures.Has(seen->resource)) {
      continue;
    }
    for (const auto& [node, failures] : sources.verdicts) {
      const auto blocker = replication::FirstBlocker(failures);
      if (blocker && seen->nodes.contains(node)) {
        shown.push_back({seen->resource, node, blocker->reason, blocker->message,
                         since("node/" + seen->resource + "@" + node)});
      }
    }
  }
  Append(ledgers.failures.Shown(), &shown);
  for (const auto& [resource, holds] : sources.input.hold) {
    if (!sources.busy.contains(resource)) {  // a switch of ours has such ends for a moment
      Append(ledgers.alone.Failures(resource, holds, now), &shown);
    }
  }
  for (const auto& [resource, outcome] : sources.outcomes) {
    if (outcome.waiting_since && steady - *outcome.waiting_since >= kWaitShownAfter) {
      shown.push_back({resource, "", "Waiting", outcome.why, since("waiting/" + resource)});
    }
  }
  std::erase_if(since_, [&](const auto& item) { return !seen_keys.contains(item.first); });
  return shown;
}

}  // namespace breakwater::controllers
