#include "operator/controllers/replication/ledger/causes.h"

namespace breakwater::controllers {
namespace {

// DRBD gives up within seconds of the fault; the rest is for how seldom we look.
constexpr std::chrono::seconds kNear{120};
// A new leader does not know when an end became StandAlone: a fault so short ago may be the reason.
constexpr std::chrono::minutes kBeforeUs{10};

}  // namespace

bool CauseLedger::Note(const std::string& node, SystemTime time, SystemTime now) {
  Cause& cause = causes_[node];
  if (time > now || time <= cause.last) {
    return false;
  }
  cause.first = time - cause.last > kNear ? time : cause.first;
  cause.last = time;
  return true;
}

bool CauseLedger::Explains(const std::string& node,
                           SystemTime since,
                           bool since_known,
                           std::chrono::seconds slack) const {
  const auto cause = causes_.find(node);
  if (cause == causes_.end() || cause->second.last == SystemTime{}) {
    return false;
  }
  if (!since_known) {
    return cause->second.last >= since - kBeforeUs;
  }
  return since >= cause->second.first - kNear - slack &&
         since <= cause->second.last + kNear + slack;
}

}  // namespace breakwater::controllers
