#pragma once

/// ReattachWait: volumes of a node that is to be evacuated which pods may still take to another
/// node. LINSTOR prefers the node where a volume is opened for the new copy, so a copy that is made
/// before the pod has moved is made in the wrong place (facts PIRAEUS 2.12).

#include <map>
#include <set>
#include <string>
#include <vector>

#include "operator/api/linstor_satellite.h"
#include "operator/base/clock.h"
#include "operator/linstor/types.h"

namespace breakwater::controllers {

/// The resources of `all` with data on `node` that are not opened on other nodes only, and whether
/// they are opened at all. `claimed`: resources of PersistentVolumes; nobody moves the others, so
/// they are not in it. Pure.
std::map<std::string, bool> NotYetElsewhere(const std::vector<linstor::Resource>& all,
                                            const std::string& node,
                                            const std::set<std::string>& claimed);

/// Of one node. Thread safety: none.
class ReattachWait {
 public:
  /// Those of `here` (NotYetElsewhere) that are still waited for. Each is waited for from the
  /// first look at it, as long as the strategy says for what it was then: used by a pod, or not.
  std::vector<std::string> Look(const std::map<std::string, bool>& here,
                                const api::EvacuationStrategy& strategy,
                                SteadyTime now);

 private:
  struct Awaited {
    bool attached = false;
    SteadyTime since{};
  };

  std::map<std::string, Awaited> awaited_;
};

}  // namespace breakwater::controllers
