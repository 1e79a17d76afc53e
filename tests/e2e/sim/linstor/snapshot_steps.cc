#include "tests/e2e/sim/linstor/snapshot_steps.h"

#include <fmt/format.h>

#include "tests/e2e/sim/linstor/api.h"
#include "tests/e2e/sim/linstor/simulator.h"

namespace breakwater::sim {
namespace {

constexpr std::uint64_t kBits = rc::kCreate | rc::kSnapshot;

bool Takes(const SnapshotWish& wish, const Resource& resource) {
  return !IsDiskless(resource) && (wish.nodes.empty() || wish.nodes.contains(Key(resource.node)));
}

/// The same request for all resources of a list, one per node. Needs the database lock.
std::vector<Satellites::Work> WorkFor(Simulator& sim,
                                      const std::vector<SnapshotWish>& all,
                                      CycleKind kind) {
  std::vector<Satellites::Work> work;
  for (const SnapshotWish& wish : all) {
    const auto it = sim.database.state.definitions.find(Key(wish.resource));
    if (it == sim.database.state.definitions.end() ||
        (kind != CycleKind::kSnapshot && !HasLayer(it->second, "DRBD"))) {
      continue;
    }
    // A diskless node has nothing to copy, but its I/O must stand still too, if it is there.
    for (const auto& [key, resource] : it->second.resources) {
      const bool wanted =
          kind == CycleKind::kSnapshot
              ? Takes(wish, resource)
              : !IsDiskless(resource) || sim.satellites.status(resource.node) == "ONLINE";
      if (wanted) {
        work.push_back({resource.node,
                        {.resources = {Key(it->second.name)},
                         .later_round = kind != CycleKind::kSuspend,
                         .kind = kind,
                         .snapshots = {{Key(it->second.name), wish.name}}}});
      }
    }
  }
  return work;
}

SnapshotOutcome Step(Simulator& sim,
                     const std::vector<SnapshotWish>& all,
                     CycleKind kind,
                     const std::string& names,
                     Entries& out) {
  std::vector<Satellites::Work> work;
  {
    const std::lock_guard lock(sim.database.mutex);
    work = WorkFor(sim, all, kind);
  }
  const ApplyStyle style{.op = rc::kCreate,
                         .object = rc::kSnapshot,
                         .details = SnapshotDetails(all.front().resource, all.front().name),
                         .refs = SnapshotRefs(all.front().resource, all.front().name)};
  SnapshotOutcome step;
  sim.satellites.RunRound(work, [&](const CycleResult& result) {
    step.failed = step.failed || result.offline || !result.error.empty();
    step.torn = step.torn || result.torn;
    if (result.offline || !result.error.empty()) {
      AddResult(result, style, out);
      return;
    }
    std::string message = fmt::format("Took snapshot of '[{}]' on '{}'", names, result.node);
    if (kind == CycleKind::kSuspend) {
      message = fmt::format("Suspended IO of '[{}]' on '{}' for snapshot", names, result.node);
    } else if (kind == CycleKind::kResume) {
      message = fmt::format("Resumed IO of '[{}]' on '{}' after snapshot", names, result.node);
    }
    out.push_back(
        {.code = rc::Make(kBits | rc::kModified), .message = message, .refs = style.refs});
  });
  return step;
}

}  // namespace

SnapshotOutcome TakeSnapshots(Simulator& sim, const std::vector<SnapshotWish>& all, Entries& out) {
  std::string names;
  for (const SnapshotWish& wish : all) {
    names += (names.empty() ? "" : ", ") + wish.resource;
  }
  SnapshotOutcome outcome = Step(sim, all, CycleKind::kSuspend, names, out);
  if (!outcome.failed) {
    outcome = Step(sim, all, CycleKind::kSnapshot, names, out);
  }
  Step(sim, all, CycleKind::kResume, names, out);  // whatever went wrong before
  return outcome;
}

bool CanSnapshot(const Simulator& sim, const std::string& kind) {
  return kind == "LVM_THIN" || kind == "ZFS" || kind == "ZFS_THIN" ||
         (kind == "FILE_THIN" && sim.options.reflinks);
}

std::optional<Entry> RefuseCopy(Simulator& sim,
                                const Definition& definition,
                                const SnapshotWish& wish,
                                std::uint64_t bits) {
  Entry refusal{.details = SnapshotDetails(wish.resource, wish.name),
                .refs = SnapshotRefs(wish.resource, wish.name)};
  bool any = false;
  for (const auto& [key, resource] : definition.resources) {
    if (!Takes(wish, resource)) {
      continue;
    }
    any = true;
    if (sim.satellites.status(resource.node) != "ONLINE") {
      refusal.code = rc::Make(rc::kError | bits | rc::kNotConnectedFail);
      refusal.message = fmt::format("No active connection to satellite '{}'.", resource.node);
      return refusal;
    }
  }
  if (!any) {
    refusal.code = rc::Make(rc::kError | bits | rc::kNotFoundRsc);
    refusal.message = fmt::format("No resources found for snapshotting '{}'.", definition.name);
    return refusal;
  }
  return std::nullopt;
}

std::string SnapshotDetails(const std::string& resource, const std::string& snapshot) {
  return fmt::format("Resource: {}, Snapshot: {}", resource, snapshot);
}

nlohmann::json SnapshotRefs(const std::string& resource, const std::string& snapshot) {
  return {{"RscDfn", resource}, {"Snapshot", snapshot}};
}

Entry SnapshotNotFound(std::uint64_t bits,
                       const std::string& resource,
                       const std::string& snapshot) {
  return {.code = rc::Make(rc::kError | bits | rc::kNotFoundSnapshot),
          .message = fmt::format("Snapshot '{}' of resource '{}' not found.", snapshot, resource),
          .details = SnapshotDetails(resource, snapshot),
          .refs = SnapshotRefs(resource, snapshot)};
}

}  // namespace breakwater::sim
