#include "operator/controllers/linstor_connection/linstor_snapshot.h"

#include <set>
#include <utility>

namespace breakwater::controllers {
namespace {

template <typename T>
Result<T, Error> Checked(linstor::LinstorResult<T> result, const char* what) {
  if (!result) {
    return Unexpected{Error{ErrorClass::kTransient, result.error().message()}.WithContext(what)};
  }
  return std::move(*result);
}

Result<LinstorSnapshot, Error> ReadAll(const Context& ctx, linstor::Client& client) {
  LinstorSnapshot snapshot{.taken = ctx.clock().SteadyNow(), .url = client.url()};
  const linstor::LinstorResult<linstor::ControllerVersion> version = client.GetVersion(ctx);
  if (!version) {
    return Unexpected{Error{ErrorClass::kTransient, version.error().message()}};
  }
  snapshot.version = *version;
  snapshot.url = client.url();  // of several, the one that answered
  BREAKWATER_ASSIGN_OR_RETURN(std::vector<linstor::Node> nodes,
                              Checked(client.ListNodes(ctx), "list nodes"));
  BREAKWATER_ASSIGN_OR_RETURN(std::vector<linstor::StoragePool> pools,
                              Checked(client.ListStoragePools(ctx, ""), "list storage pools"));
  BREAKWATER_ASSIGN_OR_RETURN(const std::vector<linstor::Resource> resources,
                              Checked(client.ListResources(ctx, "", ""), "list resources"));
  BREAKWATER_ASSIGN_OR_RETURN(const std::vector<linstor::Snapshot> snapshots,
                              Checked(client.ListSnapshots(ctx), "list snapshots"));
  std::map<std::string, LinstorNodeFacts> facts;
  for (linstor::Node& node : nodes) {
    facts[node.name].node = std::move(node);
  }
  for (linstor::StoragePool& pool : pools) {
    if (const auto found = facts.find(pool.node); found != facts.end()) {
      found->second.pools.push_back(std::move(pool));
    }
  }
  std::set<std::string> names;
  for (const linstor::Resource& resource : resources) {
    names.insert(resource.name);
    if (const auto found = facts.find(resource.node); found != facts.end()) {
      ++found->second.replicas;
    }
  }
  for (const linstor::Snapshot& item : snapshots) {
    for (const std::string& node : item.nodes) {
      if (const auto found = facts.find(node); found != facts.end()) {
        ++found->second.snapshots;
      }
    }
  }
  snapshot.resources = static_cast<std::int64_t>(names.size());
  snapshot.snapshots = static_cast<std::int64_t>(snapshots.size());
  for (auto& [name, node] : facts) {
    snapshot.nodes[name] = std::make_shared<const LinstorNodeFacts>(std::move(node));
  }
  return snapshot;
}

}  // namespace

LinstorUsage CapacityOf(const std::vector<linstor::StoragePool>& pools) {
  constexpr std::int64_t kKib = 1024;
  LinstorUsage usage;
  for (const linstor::StoragePool& pool : pools) {
    if (pool.provider_kind != "DISKLESS") {
      usage.total_bytes += pool.total_kib.value_or(0) * kKib;
      usage.free_bytes += pool.free_kib.value_or(0) * kKib;
    }
  }
  return usage;
}

std::shared_ptr<const LinstorNodeFacts> LinstorSnapshot::Find(const std::string& node) const {
  const auto found = nodes.find(node);
  return found == nodes.end() ? nullptr : found->second;
}

LinstorUsage LinstorSnapshot::UsageOf(const std::string& node) const {
  LinstorUsage usage;
  for (const auto& [name, facts] : nodes) {
    if (node.empty() || name == node) {
      const LinstorUsage capacity = CapacityOf(facts->pools);
      usage.total_bytes += capacity.total_bytes;
      usage.free_bytes += capacity.free_bytes;
      usage.volumes += facts->replicas;
      usage.snapshots += facts->snapshots;
    }
  }
  if (node.empty()) {
    usage.volumes = resources;
    usage.snapshots = snapshots;
  }
  return usage;
}

std::optional<Result<LinstorSnapshotPtr, Error>> LinstorSnapshots::Answer(
    Entry& entry, SteadyTime now, std::chrono::milliseconds max_age) const {
  if (entry.last && now - entry.last->taken < max_age) {
    return entry.last;
  }
  if (entry.failure && (entry.reading || now < entry.failure->until)) {
    return Unexpected{entry.failure->error};
  }
  return std::nullopt;
}

Result<LinstorSnapshotPtr, Error> LinstorSnapshots::Get(const Context& ctx,
                                                        const std::string& cluster,
                                                        std::chrono::milliseconds max_age) {
  BREAKWATER_ASSIGN_OR_RETURN(std::shared_ptr<linstor::Client> client,
                              provider_.ClientFor(cluster));
  std::unique_lock lock(mutex_);
  Entry& entry = entries_[cluster];  // entries are never erased: the reference stays good
  if (entry.client != client) {
    // Another address or certificate: what was known of the old one says nothing.
    entry.client = client;
    entry.last.reset();
    entry.failure.reset();
    entry.dropped = true;
  }
  while (true) {
    if (auto answer = Answer(entry, ctx.clock().SteadyNow(), max_age)) {
      return std::move(*answer);
    }
    if (!entry.reading) {
      break;
    }
    if (!read_.wait_for(lock, ctx.stop(), ctx.Remaining(std::chrono::hours(1)),
                        [&] { return !entry.reading; })) {
      return Unexpected{Error{ErrorClass::kCanceled, "no time left to wait for LINSTOR"}};
    }
    if (entry.last && !entry.dropped) {
      return entry.last;  // it was read while we waited
    }
  }
  entry.reading = true;
  entry.dropped = false;
  entry.written.clear();
  lock.unlock();
  Result<LinstorSnapshot, Error> read = ReadAll(ctx.WithTimeout(options_.read_timeout), *client);
  lock.lock();
  Result<LinstorSnapshotPtr, Error> result = Finish(ctx, entry, std::move(read));
  read_.notify_all();
  return result;
}

Result<LinstorSnapshotPtr, Error> LinstorSnapshots::Finish(
    const Context& ctx, Entry& entry, Result<LinstorSnapshot, Error> read) const {
  entry.reading = false;
  if (!read) {
    // A caller that gives up has learned nothing about LINSTOR.
    if (!entry.dropped && !ctx.canceled() && !ctx.expired()) {
      const SteadyTime now = ctx.clock().SteadyNow();
      entry.failure = {.error = read.error(),
                       .since = entry.failure ? entry.failure->since : now,
                       .until = now + options_.unreachable_for};
      entry.last.reset();  // or those who ask for less would be told that all is well
    }
    return Unexpected{std::move(read.error())};
  }
  for (auto& [name, facts] : entry.written) {
    read->nodes[name] = facts;
  }
  LinstorSnapshotPtr snapshot = std::make_shared<const LinstorSnapshot>(std::move(*read));
  if (!entry.dropped) {
    entry.last = snapshot;
    entry.failure.reset();
  }
  return snapshot;
}

LinstorSnapshotPtr LinstorSnapshots::Last(const std::string& cluster) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(cluster);
  return found == entries_.end() ? nullptr : found->second.last;
}

bool LinstorSnapshots::Reachable(const std::string& cluster) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(cluster);
  return found == entries_.end() || !found->second.failure;
}

std::optional<SteadyTime> LinstorSnapshots::SilentSince(const std::string& cluster) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(cluster);
  return found == entries_.end() || !found->second.failure
             ? std::nullopt
             : std::optional(found->second.failure->since);
}

void LinstorSnapshots::Update(const std::string& cluster, const LinstorNodeFacts& facts) {
  const auto shared = std::make_shared<const LinstorNodeFacts>(facts);
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(cluster);
  if (found == entries_.end()) {
    return;
  }
  Entry& entry = found->second;
  if (entry.reading) {
    entry.written[facts.node.name] = shared;
  }
  if (entry.last) {
    LinstorSnapshot changed = *entry.last;
    changed.nodes[facts.node.name] = shared;
    entry.last = std::make_shared<const LinstorSnapshot>(std::move(changed));
  }
}

void LinstorSnapshots::Invalidate(const std::string& cluster) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(cluster);
  if (found != entries_.end()) {
    found->second.last.reset();
    found->second.dropped = true;
  }
}

}  // namespace breakwater::controllers
