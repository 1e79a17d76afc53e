// The part of a satellite that works on one resource: files, metadata, adjust, removal.

#include <algorithm>
#include <ctime>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include "tests/e2e/sim/linstor/res_writer.h"
#include "tests/e2e/sim/linstor/satellite.h"
#include "tests/e2e/sim/linstor/tool_output.h"

namespace breakwater::sim {
namespace {

std::string ResPath(const std::string& resource) {
  return "/var/lib/linstor.d/" + resource + ".res";
}

/// "FILE_THIN" -> "FILE THIN", as in replies.
std::string KindText(std::string kind) {
  std::replace(kind.begin(), kind.end(), '_', ' ');
  return kind;
}

}  // namespace

bool Satellite::WriteFile(const std::string& resource, bool force, CycleResult& result) {
  ResFile file;
  std::string name;
  {
    const std::lock_guard lock(database_.mutex);
    const auto it = database_.state.definitions.find(resource);
    if (it == database_.state.definitions.end()) {
      return false;
    }
    const auto own = it->second.resources.find(Key(node_));
    if (own == it->second.resources.end() || HasFlag(own->second.flags, "DELETE") ||
        !HasLayer(it->second, "DRBD")) {
      return false;
    }
    name = it->second.name;
    Definition known = it->second;
    if (const auto stale = stale_.find(resource); stale != stale_.end()) {
      known.props = stale->second.props;
      known.group = stale->second.group;
      known.connections = stale->second.connections;
    }
    file = WriteRes(database_.state, known, node_, {std::time(nullptr), knows_tls_});
    for (const auto& dropped : file.dropped) {  // L29: only an error report tells
      const auto split = dropped.find('=');
      database_.FileSatelliteReport(
          node_, "LinStorException",
          fmt::format("Ignoring property '{}' with value '{}' as it is not whitelisted.",
                      dropped.substr(0, split), dropped.substr(split + 1)),
          "");
    }
  }
  std::string& current = files_[resource];
  backups_[resource] = current;
  if (!force && !current.empty() && WithoutTime(current) == WithoutTime(file.content)) {
    return true;
  }
  if (!port_.PutFile(node_, ResPath(name), file.content)) {
    result.error = fmt::format("({}) Failed to write {}", node_, ResPath(name));
    return false;
  }
  current = file.content;
  return true;
}

bool Satellite::Tool(const std::vector<std::string>& argv,
                     const std::string& failure,
                     const std::string& resource,
                     CycleResult& result) {
  const auto run = Run(argv);
  if (run.exit == 0) {
    return true;
  }
  const auto command = fmt::format("{}", fmt::join(argv, " "));
  spdlog::info("{}: '{}' exited with {}: {}", node_, command, run.exit, run.err);
  const std::lock_guard lock(database_.mutex);
  const auto message = fmt::format("{} {}", failure, resource);
  const auto satellite_id = database_.FileSatelliteReport(
      node_, "ResourceException", message,
      run.timed_out
          ? fmt::format("The external command '{}' did not complete within the timeout\n", command)
          : CommandFailureText(command, argv.front(), run.exit, run.out, run.err));
  if (result.error.empty()) {  // only the first failure is told to the controller (L20)
    const auto full = fmt::format("({}) {}", node_, message);
    result.error = full;
    result.report_ids = {database_.FileReport("ApiRcException", full), satellite_id};
  }
  return false;
}

bool Satellite::CreateMetadata(const std::string& resource, CycleResult& result) {
  struct Step {
    std::string backing, generation;
    int volume, minor;
  };

  std::vector<Step> steps;
  std::set<int> node_ids;
  std::string name;
  VolumeCopy copy;
  int own_id = 0;
  bool day0 = false;
  {
    const std::lock_guard lock(database_.mutex);
    const auto& definition = database_.state.definitions.at(resource);
    const auto& own = definition.resources.at(Key(node_));
    name = definition.name;
    own_id = own.node_id;
    copy = {.node = node_, .resource = own.copy_of, .volume = 0, .name = own.copy_name};
    day0 = !definition.synced;
    for (const auto& [key, peer] : definition.resources) {
      node_ids.insert(peer.node_id);
    }
    for (const auto& [number, volume] : own.volumes) {
      const auto& dfn = definition.volumes.at(number);
      const auto gi = dfn.props.find("DrbdCurrentGi");
      steps.push_back({DeviceBelowDrbd(definition, volume), gi == dfn.props.end() ? "" : gi->second,
                       number, dfn.minor});
    }
  }
  for (const auto& step : steps) {
    if (!Tool({"drbdadm", "-vvv", "--max-peers", "7", "--", "--force", "create-md",
               fmt::format("{}/{}", name, step.volume)},
              "Failed to create meta-data for DRBD volume", name, result)) {
      return false;
    }
    copy.volume = step.volume;
    if (!copy.resource.empty() && !port_.RestoreCopy(copy, name)) {
      result.error = fmt::format("({}) Failed to restore volume {} of {} from snapshot {} of {}",
                                 node_, step.volume, name, copy.name, copy.resource);
      return false;
    }
    // All replicas of a new volume get the same generation and are UpToDate without an initial
    // sync. LINSTOR does so for all 32 node ids; the ones in use are enough here and keep the calls
    // few.
    for (const int id : day0 ? node_ids : std::set<int>()) {
      const auto gi = step.generation + (id == own_id ? "::::1:1" : ":::::");
      if (!Tool({"drbdmeta", "--force", "--node-id", fmt::format("{}", id),
                 fmt::format("{}", step.minor), "v09", step.backing, "internal", "set-gi", gi},
                "Failed to set the generation of", name, result)) {
        return false;
      }
    }
  }
  return true;
}

bool Satellite::RemoveResource(const std::string& resource, CycleResult& result) {
  std::string name;
  bool drbd = false;
  {
    const std::lock_guard lock(database_.mutex);
    name = database_.state.definitions.at(resource).name;
    drbd = HasLayer(database_.state.definitions.at(resource), "DRBD");
  }
  if (drbd && !Tool({"drbdadm", "down", name}, "Failed to stop DRBD resource", name, result)) {
    return false;  // the flag DELETE stays; deleting again finishes (L32)
  }
  if (drbd) {
    port_.RemoveFile(node_, ResPath(name));
    port_.RemoveDisks(node_, name);
  }
  files_.erase(resource);
  backups_.erase(resource);
  const std::lock_guard lock(database_.mutex);
  const auto it = database_.state.definitions.find(resource);
  if (it != database_.state.definitions.end()) {
    it->second.resources.erase(Key(node_));
    std::erase_if(it->second.connections, [&](const auto& item) {
      return Key(item.second.a) == Key(node_) || Key(item.second.b) == Key(node_);
    });
    ForgetDeletedVolumes(it->second, node_);
    if (it->second.resources.empty() && HasFlag(it->second.flags, "DELETE")) {
      database_.state.definitions.erase(it);
    }
    database_.Save();
  }
  return true;
}

void Satellite::Process(const std::string& resource,
                        bool adjust,
                        bool resume,
                        CycleResult& result) {
  AdjustedResource done;
  bool is_new = false;
  bool drbd = false;
  {
    const std::lock_guard lock(database_.mutex);
    const auto it = database_.state.definitions.find(resource);
    if (it == database_.state.definitions.end() || !it->second.resources.contains(Key(node_))) {
      return;
    }
    const auto& own = it->second.resources.at(Key(node_));
    done.name = it->second.name;
    done.layer = it->second.layers.front();
    drbd = HasLayer(it->second, "DRBD");
    done.removed = HasFlag(own.flags, "DELETE");
    is_new = !own.initialized;
    done.created = is_new && !IsDiskless(own);
    for (const auto& [number, volume] : own.volumes) {
      done.kind = IsDiskless(own) ? "" : KindText(volume.kind);
      done.volumes.push_back(number);
    }
  }
  bool ok = true;
  if (done.removed) {
    ok = RemoveResource(resource, result);
  } else if (drbd) {
    ok = !done.created || CreateMetadata(resource, result);
    // L24: LINSTOR resumes what is suspended by the user before it adjusts, whoever suspended it.
    ok = ok &&
         (!resume || Tool({"drbdadm", "resume-io", done.name}, "Failed to resume IO for resource",
                          done.name + " on layer DrbdLayer", result));
    if (ok && adjust &&
        !Tool({"drbdadm", "-vvv", "adjust", done.name}, "Failed to adjust DRBD resource", done.name,
              result)) {
      ok = false;
      // L20: the failed node gets its old file back.
      if (!backups_[resource].empty() && backups_[resource] != files_[resource]) {
        port_.PutFile(node_, ResPath(done.name), backups_[resource]);
        files_[resource] = backups_[resource];
      }
    }
  }
  if (!ok) {
    NoteFailure(resource);
    return;
  }
  NoteSuccess(resource);
  if (!done.removed) {
    NoteDone(resource);
  }
  result.done.push_back(std::move(done));
}

/// The controller hears that the node has what it was asked for.
void Satellite::NoteDone(const std::string& resource) {
  const std::lock_guard lock(database_.mutex);
  const auto it = database_.state.definitions.find(resource);
  if (it == database_.state.definitions.end() || !it->second.resources.contains(Key(node_))) {
    return;
  }
  Resource& own = it->second.resources.at(Key(node_));
  const auto known = it->second.volumes.size();
  ForgetDeletedVolumes(it->second, node_);
  if (own.initialized && known == it->second.volumes.size()) {
    return;
  }
  own.initialized = true;
  own.copy_of.clear();
  own.copy_name.clear();
  database_.Save();
}

bool Satellite::IsDrbd(const std::string& resource) {
  const std::lock_guard lock(database_.mutex);
  const auto it = database_.state.definitions.find(resource);
  return it != database_.state.definitions.end() && HasLayer(it->second, "DRBD");
}

void Satellite::TakeSnapshot(const std::string& resource, const std::string& name) {
  std::vector<VolumeCopy> copies;
  {
    const std::lock_guard lock(database_.mutex);
    const auto it = database_.state.definitions.find(resource);
    if (it == database_.state.definitions.end() || !it->second.resources.contains(Key(node_))) {
      return;
    }
    for (const auto& [number, volume] : it->second.resources.at(Key(node_)).volumes) {
      copies.push_back(
          {.node = node_, .resource = it->second.name, .volume = number, .name = name});
    }
  }
  for (const auto& copy : copies) {
    port_.TakeCopy(copy);
  }
}

// Like every change it looks first: what is as it should be is left alone. So it ends a suspension
// of somebody else that lies on the resource when the snapshot is done, and whoever resumes in
// between (L24 does) leaves a snapshot behind whose replicas differ.
void Satellite::SnapshotStep(const std::stop_token& stop,
                             const CycleRequest& request,
                             CycleResult& result) {
  if (!Sleep(stop, request.later_round ? options_.next_round : options_.first_adjust)) {
    return;
  }
  const auto suspended = [this] { return UserSuspended(Run({"drbdsetup", "status"}).out); };
  const auto before = suspended();
  if (request.kind == CycleKind::kSnapshot) {
    Sleep(stop, options_.snapshot);
    const auto after = suspended();
    for (const auto& resource : request.resources) {
      result.torn = result.torn ||
                    (IsDrbd(resource) && (!before.contains(resource) || !after.contains(resource)));
      if (const auto name = request.snapshots.find(resource); name != request.snapshots.end()) {
        TakeSnapshot(resource, name->second);
      }
    }
    return;
  }
  const bool suspend = request.kind == CycleKind::kSuspend;
  for (const auto& resource : request.resources) {
    std::string name;
    {
      const std::lock_guard lock(database_.mutex);
      const auto it = database_.state.definitions.find(resource);
      if (it == database_.state.definitions.end()) {
        continue;
      }
      name = it->second.name;
    }
    if (before.contains(resource) != suspend) {
      Tool({"drbdadm", suspend ? "suspend-io" : "resume-io", name},
           suspend ? "Failed to suspend IO for resource" : "Failed to resume IO for resource",
           name + " on layer DrbdLayer", result);
    }
  }
}

}  // namespace breakwater::sim
