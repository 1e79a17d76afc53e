#pragma once

/// QuietNodes: nodes that hold no DRBD resource need not be asked in every round. In a large
/// cluster most nodes are of this kind for a while, and each look is an exec with a TLS handshake.

#include <chrono>
#include <map>
#include <set>
#include <string>

#include "operator/base/clock.h"
#include "operator/core/replication/node/drbd_types.h"

namespace breakwater::controllers {

/// Not thread safe: of the engine's loop.
class QuietNodes {
 public:
  /// How long a look at a node without resources counts. A resource that appears there meanwhile
  /// is named by LINSTOR, or by its peer on another node.
  static constexpr std::chrono::minutes kLookCounts{10};

  /// `nodes` without those that can wait.
  std::set<std::string> Due(const std::set<std::string>& nodes, SteadyTime now) const;

  /// What the nodes that were asked have said; a node that did not answer, that runs a resource or
  /// whose tools failed is asked again in the next round.
  void Note(const std::set<std::string>& asked,
            const std::map<std::string, replication::NodeReport>& reports,
            SteadyTime now);

  /// These must be asked now: somebody names them, or something is wrong with them.
  void Forget(const std::set<std::string>& nodes);

  /// Adds the last words of those of `nodes` that were not asked.
  void AddTo(const std::set<std::string>& nodes,
             std::map<std::string, replication::NodeReport>* reports) const;

 private:
  struct Look {
    SteadyTime at{};
    replication::NodeReport report{};
  };

  std::map<std::string, Look> looks_;
};

}  // namespace breakwater::controllers
