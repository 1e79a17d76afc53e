#pragma once

/// Reporter: tells people: Kubernetes Events, and the condition of every LinstorSatellite.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "operator/api/condition.h"
#include "operator/base/context.h"
#include "operator/controllers/replication/ledger/notice.h"
#include "operator/controllers/replication/report/claim_names.h"
#include "operator/core/replication/node/preflight.h"
#include "operator/kube/client.h"
#include "operator/kube/event_aggregator.h"
#include "operator/runtime/services.h"
#include "operator/runtime/store.h"

namespace breakwater::controllers {

/// Tells people about a transition. Usually bound to the event recorder. May be called from any
/// thread; must not block.
using EventSink = std::function<void(kube::Event)>;

/// Thread safety: all methods may be called from any thread.
class Reporter {
 public:
  Reporter(runtime::Services services,
           kube::KubeClient& client,
           const runtime::Store& clusters,
           const runtime::Store& satellites,
           const ClaimBoard& claims,
           EventSink events);

  /// Condition ReplicationTLSReady of every LinstorSatellite; writes only what changed.
  void ReportNodes(const Context& ctx,
                   const std::map<std::string, std::vector<replication::PreflightFailure>>& nodes);

  /// The text gets the volume's claim at its end.
  void Tell(const std::string& cluster, const Notice& notice);

 private:
  /// Events about a satellite whose condition is another one now.
  void TellNode(const api::Object& satellite,
                const api::Condition& condition,
                bool changed,
                const std::vector<replication::PreflightFailure>& warnings);

  runtime::Services services_;
  kube::KubeClient& client_;
  const runtime::Store& clusters_;
  const runtime::Store& satellites_;
  const ClaimBoard& claims_;
  const EventSink events_;
};

}  // namespace breakwater::controllers
