// Online verify: compares two replicas while they are in use (F34).
#include <algorithm>
#include <set>

#include "tests/e2e/sim/drbd/kernel.h"

namespace breakwater::sim {

KernelResult Kernel::Verify(const End& end, int volume) {
  const End peer = Opposite(end);
  if (end.connection->state != ConnState::kConnected || peer.connection == nullptr ||
      end.connection->volumes.at(volume).repl != ReplState::kEstablished ||
      end.resource->devices.at(volume).disk != DiskState::kUpToDate ||
      peer.resource->devices.at(volume).disk != DiskState::kUpToDate) {
    return KernelError{11, end.resource->name +
                               ": State change failed: (-15) Need a connection to start verify or "
                               "resync\n"};
  }
  const std::uint64_t id = next_resync_++;
  const std::uint64_t kib = DiskOf(end, volume)->size_kib;
  for (const End& side : {end, peer}) {
    PeerDevice& device = side.connection->volumes.at(volume);
    device.repl = side.node == end.node ? ReplState::kVerifyS : ReplState::kVerifyT;
    device.resync = {.id = id, .total_blocks = kib / kBlockKib, .started = world_.events.now()};
    Touch(side);
  }
  LogDisk(end, volume, "repl( Established -> VerifyS ) [verify]");
  const Time length =
      Millis(100 + kib * 1000 / std::max<std::uint64_t>(1, world_.config.verify_kib_per_second));
  VerifyTick(KeyOf(end), volume, id, world_.events.now() + length);
  return std::nullopt;
}

// Progress is made visible now and then, and at the end comes the result.
void Kernel::VerifyTick(const Key& key, int volume, std::uint64_t id, Time until) {
  constexpr Millis kProgress{3000};
  const Time wait = std::min<Time>(kProgress, until - world_.events.now());
  world_.events.After(wait, [this, key, volume, id, until] {
    const End end = EndOf(key);
    const End peer = end.connection == nullptr ? End{} : Opposite(end);
    if (peer.connection == nullptr || end.connection->volumes.at(volume).resync.id != id) {
      return;  // cut meanwhile
    }
    Touch(end);
    Touch(peer);
    if (world_.events.now() >= until) {
      FinishVerify(end, peer, volume);
    } else {
      VerifyTick(key, volume, id, until);
    }
  });
}

void Kernel::FinishVerify(const End& end, const End& peer, int volume) {
  const Contents& own = DiskOf(end, volume)->blocks;
  const Contents& theirs = DiskOf(peer, volume)->blocks;
  std::set<std::uint64_t> differ;
  for (const Contents* contents : {&own, &theirs}) {
    for (const auto& [block, number] : *contents) {
      if (own.Get(block) != theirs.Get(block) &&
          !(in_flight && in_flight(end.resource->name, volume, block))) {
        differ.insert(block);
      }
    }
  }
  for (const End& side : {end, peer}) {
    DiskOf(side, volume)
        ->peers[side.connection->peer_id]
        .bitmap.bits.insert(differ.begin(), differ.end());
    PeerDevice& device = side.connection->volumes.at(volume);
    device.repl = ReplState::kEstablished;
    device.resync = {};
    LogDisk(side, volume,
            "Online verify found " + std::to_string(differ.size()) + " 4k blocks out of sync!");
  }
}

}  // namespace breakwater::sim
