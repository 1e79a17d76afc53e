#include <algorithm>
#include <string_view>

#include "operator/core/replication/plan/volume_plan.h"

namespace breakwater::replication {
namespace {

StalePeer Key(const StalePeer& stale) {
  StalePeer key = stale;
  key.kib = 0;  // the amount grows while the state stays the same
  return key;
}

StalePeer SyncKey(const Pair& pair, const std::string& viewer, int volume) {
  return {pair, viewer, pair.Other(viewer), volume, false, 0};
}

bool IsAnother(const std::string& before, const std::string& now) {
  return !before.empty() && !now.empty() && before != now;
}

void Watch(const EndView& end, const PeerDevice& device, SyncWatch* watch) {
  using Phase = SyncWatch::Phase;
  const bool reconnected = IsAnother(watch->session, end.session);
  if (!end.session.empty()) {
    watch->session = end.session;
  }
  if (device.replication.starts_with("Verify")) {
    watch->verified = true;
    return;
  }
  const bool settled =
      end.connected() && device.replication == "Established" && device.peer_disk == "UpToDate";
  if (!settled) {
    watch->phase = Phase::kMoving;
    return;
  }
  if (device.out_of_sync_kib == 0) {
    *watch = {.phase = Phase::kClean, .was_clean = true, .session = watch->session};
    return;
  }
  if (watch->phase != Phase::kBehind) {
    const bool moved = watch->phase == Phase::kMoving || reconnected;
    watch->arisen = moved && watch->was_clean && !watch->verified;
  }
  watch->arisen = watch->arisen && !watch->verified;
  watch->phase = Phase::kBehind;
}

void WatchSync(const ResourceObservation& seen, VolumeMemory* memory) {
  for (const auto& [pair, connection] : seen.connections) {
    for (const std::string& viewer : {pair.a, pair.b}) {
      const EndView& end = connection.End(viewer);
      if (!end.known) {
        continue;
      }
      for (const PeerDevice& device : end.devices) {
        Watch(end, device, &memory->sync[SyncKey(pair, viewer, device.volume)]);
      }
    }
  }
  std::erase_if(memory->sync, [&](const auto& item) {
    return seen.AllKnown() && !seen.connections.contains(item.first.pair);
  });
}

void TrackStale(const ResourceObservation& seen, SteadyTime now, VolumeMemory* memory) {
  std::map<StalePeer, SteadyTime> since;
  for (const StalePeer& stale : FindStale(seen)) {
    const StalePeer key = Key(stale);
    const auto before = memory->stale_since.find(key);
    since[key] = before == memory->stale_since.end() ? now : before->second;
  }
  for (const auto& [key, before] : memory->stale_since) {
    const ConnectionView* connection = seen.Connection(key.pair);
    if (connection != nullptr && !connection->End(key.primary).known) {
      since.emplace(key, before);  // nobody says that it is over
    }
  }
  memory->stale_since = std::move(since);
}

// Down and in no way that DRBD leaves by itself.
bool IsDown(const ConnectionView& connection) {
  return connection.BothKnown() && !connection.BothConnected() &&
         (connection.a.tls != connection.b.tls || connection.a.stand_alone() ||
          connection.b.stand_alone());
}

void TrackDown(const ResourceObservation& seen, SteadyTime now, VolumeMemory* memory) {
  std::map<Pair, SteadyTime> since;
  for (const auto& [pair, connection] : seen.connections) {
    const auto before = memory->down_since.find(pair);
    const bool known_before = before != memory->down_since.end();
    if (IsDown(connection)) {
      since[pair] = known_before ? before->second : now;
    } else if (known_before && !connection.BothKnown()) {
      since[pair] = before->second;
    }
  }
  memory->down_since = std::move(since);
}

}  // namespace

void Remember(const ResourceObservation& seen, SteadyTime now, VolumeMemory* memory) {
  WatchSync(seen, memory);
  TrackStale(seen, now, memory);
  TrackDown(seen, now, memory);
  if (!seen.SuspendedUser()) {
    if (seen.AllKnown()) {
      memory->suspended_since.reset();
    }
  } else if (!memory->suspended_since) {
    memory->suspended_since = now;
  }
}

bool Arisen(const VolumeMemory& memory, const StalePeer& stale) {
  if (!stale.out_of_sync) {
    return true;  // F12: the Primary says itself that it sends nothing
  }
  const auto it = memory.sync.find(SyncKey(stale.pair, stale.primary, stale.volume));
  return it != memory.sync.end() && it->second.arisen;
}

}  // namespace breakwater::replication
