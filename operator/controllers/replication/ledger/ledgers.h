#pragma once

/// Ledgers: everything that the controller remembers about volumes and nodes, behind one lock. Each
/// part is a value of its own with its own file and tests; a new leader starts with empty ones,
/// except for what the status holds (stale peers).

#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "operator/controllers/replication/ledger/alone.h"
#include "operator/controllers/replication/ledger/causes.h"
#include "operator/controllers/replication/ledger/failures.h"
#include "operator/controllers/replication/ledger/handshakes.h"
#include "operator/controllers/replication/ledger/notice.h"
#include "operator/controllers/replication/ledger/sessions.h"
#include "operator/controllers/replication/ledger/stale.h"
#include "operator/controllers/replication/ledger/unsettled.h"
#include "operator/core/replication/plan/volume_plan.h"

namespace breakwater::controllers {

struct LedgerParts {
  StaleBook stale{};
  AloneLedger alone{};
  CauseLedger causes{};
  FailureLedger failures{};
  UnsettledLedger unsettled{};
  std::map<std::string, replication::VolumeMemory> memories{};  ///< by resource
  HandshakeLedger handshakes{};
  SessionLedger sessions{};
};

/// Thread safety: With() from any thread; what it calls must not call it again.
class Ledgers {
 public:
  template <typename F>
  auto With(const F& f) {
    const std::lock_guard lock(mutex_);
    return f(parts_);
  }

 private:
  std::mutex mutex_;
  LedgerParts parts_{};  // guarded by mutex_
};

}  // namespace breakwater::controllers
