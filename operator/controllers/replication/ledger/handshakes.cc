#include "operator/controllers/replication/ledger/handshakes.h"

#include <algorithm>
#include <chrono>

namespace breakwater::controllers {
namespace {

constexpr std::chrono::minutes kFirst{1};
constexpr std::chrono::minutes kMost{60};

}  // namespace

void HandshakeLedger::Blame(Entry* entry, SteadyTime now) const {
  const auto wait = std::min<std::chrono::minutes>(kMost, kFirst * (1 << std::min(entry->count, 6)));
  ++entry->count;
  entry->until = now + wait;
  entry->failed_with.clear();
}

void HandshakeLedger::Failed(const replication::Pair& pair,
                             const std::optional<std::string>& guilty,
                             SteadyTime now) {
  if (guilty) {
    Blame(&entries_[*guilty], now);
    return;
  }
  for (const std::string& node : {pair.a, pair.b}) {
    Entry& entry = entries_[node];
    entry.failed_with.insert(pair.Other(node));
    if (entry.failed_with.size() >= 2) {
      Blame(&entry, now);
    }
  }
}

void HandshakeLedger::Succeeded(const replication::Pair& pair) {
  entries_.erase(pair.a);
  entries_.erase(pair.b);
}

void HandshakeLedger::Forgive(const std::string& node) {
  entries_.erase(node);
}

std::map<std::string, std::string> HandshakeLedger::Bad(SteadyTime now) const {
  std::map<std::string, std::string> bad;
  for (const auto& [node, entry] : entries_) {
    if (now < entry.until) {
      bad[node] = "TLS handshakes of " + node +
                  " fail although its daemon and certificate look good; look at the log of its "
                  "container ktls-utils and at `dmesg` there, and restart the pod if the daemon "
                  "hangs";
    }
  }
  return bad;
}

}  // namespace breakwater::controllers
