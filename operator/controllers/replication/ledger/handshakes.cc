#include "operator/controllers/replication/ledger/handshakes.h"

#include <algorithm>
#include <chrono>

namespace breakwater::controllers {

using replication::Pair;

namespace {

constexpr std::chrono::minutes kFirst{1};
constexpr std::chrono::minutes kMost{60};

}  // namespace

void HandshakeLedger::Blame(Entry* entry, SteadyTime now) {
  entry->until =
      now + std::min<std::chrono::minutes>(kMost, kFirst * (1 << std::min(entry->count, 6)));
  ++entry->count;
}

void HandshakeLedger::Failed(const Pair& pair,
                             const std::optional<std::string>& guilty,
                             SteadyTime now) {
  Blame(&pairs_[pair], now);
  if (guilty) {
    Blame(&nodes_[*guilty], now);
  }
}

void HandshakeLedger::Succeeded(const Pair& pair) {
  pairs_.erase(pair);
  nodes_.erase(pair.a);
  nodes_.erase(pair.b);
}

void HandshakeLedger::Forgive(const std::string& node) {
  nodes_.erase(node);
  std::erase_if(pairs_, [&](const auto& item) { return item.first.Has(node); });
}

std::map<std::string, std::string> HandshakeLedger::BadNodes(SteadyTime now) const {
  std::map<std::string, std::string> bad;
  for (const auto& [node, entry] : nodes_) {
    if (now < entry.until) {
      bad[node] = "TLS handshakes of " + node +
                  " fail although its daemon and certificate look good; look at the log of its "
                  "container ktls-utils and at `dmesg` there, and restart the pod if the daemon "
                  "hangs";
    }
  }
  return bad;
}

std::map<Pair, std::string> HandshakeLedger::FailedPairs(SteadyTime now) const {
  std::map<Pair, std::string> failed;
  for (const auto& [pair, entry] : pairs_) {
    if (now < entry.until) {
      failed[pair] = "the last switch to TLS between " + pair.a + " and " + pair.b + " failed";
    }
  }
  return failed;
}

}  // namespace breakwater::controllers
