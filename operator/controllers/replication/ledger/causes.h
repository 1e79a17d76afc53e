#pragma once

/// CauseLedger: when a node last had a fault that makes DRBD give up on TLS for good (F6): no
/// handshake daemon, a bad certificate, a restart of either. A value; not thread-safe.

#include <chrono>
#include <map>
#include <string>

#include "operator/base/clock.h"

namespace breakwater::controllers {

class CauseLedger {
 public:
  /// The node had a fault at `time`; later than `now` is not believed. True: it is news.
  bool Note(const std::string& node, SystemTime time, SystemTime now);

  /// Whether a fault of the node explains that a connection became StandAlone at `since`. `slack`:
  /// how late we may have seen either. `since_known` false: it was so when we first looked.
  bool Explains(const std::string& node,
                SystemTime since,
                bool since_known,
                std::chrono::seconds slack) const;

 private:
  struct Cause {
    SystemTime first{};
    SystemTime last{};
  };

  std::map<std::string, Cause> causes_;
};

}  // namespace breakwater::controllers
