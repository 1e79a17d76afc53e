#pragma once

/// CsiNodeSync: lets the CSI driver on a node register again when LINSTOR's topology of the node
/// has changed.

#include <map>
#include <mutex>
#include <set>
#include <string>

#include "operator/base/context.h"
#include "operator/base/log.h"
#include "operator/controllers/linstor_connection/linstor_snapshot.h"
#include "operator/core/status/conditions.h"
#include "operator/kube/client.h"
#include "operator/linstor/client.h"
#include "operator/runtime/store.h"

namespace breakwater::controllers {

/// Restarting the pod of the driver on a node interrupts no volume that is mounted; none can be
/// mounted there meanwhile. Therefore one node at a time, and each only once for the same keys: a
/// driver that was changed such that it reports others is reported, not restarted for ever.
///
/// The pod is deleted before its old registration: what fails in between is seen by the next pass,
/// because the keys still differ.
///
/// Borrows everything. Thread safety: may be called from any thread.
class CsiNodeSync {
 public:
  CsiNodeSync(const runtime::Store& pods,
              const runtime::Store& csi_nodes,
              kube::KubeWriter& kube,
              const Logger& log)
      : pods_(pods), csi_nodes_(csi_nodes), kube_(kube), log_(log) {}

  /// Looks at all nodes with a pod of the driver, and adds to Configured what is not as it should
  /// be. `client` reads a node again before its pod is deleted.
  /// @return false while something is left to do that no watch will announce
  bool Run(const Context& ctx,
           const std::string& cluster,
           const LinstorSnapshot& linstor,
           linstor::Client& client,
           core::ConditionSet& conditions);

 private:
  /// One node whose registration differs.
  bool Restart(const Context& ctx,
               const api::Object& pod,
               const api::Object& csi_node,
               const std::string& node,
               linstor::Client& client,
               core::ConditionSet& conditions);
  /// Whether the node's driver has not been restarted for these keys yet.
  bool IsNew(const std::string& node, const std::set<std::string>& wanted) const;

  const runtime::Store& pods_;
  const runtime::Store& csi_nodes_;
  kube::KubeWriter& kube_;
  const Logger& log_;
  mutable std::mutex mutex_;
  std::map<std::string, std::set<std::string>> restarted_;  // by node; guarded by mutex_
};

}  // namespace breakwater::controllers
