#include "operator/controllers/replication/report/reporter.h"

#include <utility>

#include "operator/api/resources.h"
#include "operator/base/log.h"
#include "operator/base/rfc3339.h"
#include "operator/controllers/replication/report/picture.h"
#include "operator/controllers/replication/report/status_writer.h"

namespace breakwater::controllers {

using replication::PreflightFailure;

Reporter::Reporter(runtime::Services services,
                   kube::KubeClient& client,
                   const runtime::Store& clusters,
                   const runtime::Store& satellites,
                   const ClaimBoard& claims,
                   EventSink events)
    : services_(services),
      client_(client),
      clusters_(clusters),
      satellites_(satellites),
      claims_(claims),
      events_(std::move(events)) {}

void Reporter::ReportNodes(const Context& ctx,
                           const std::map<std::string, std::vector<PreflightFailure>>& nodes) {
  for (const auto& [node, failures] : nodes) {
    const api::ObjectPtr satellite = satellites_.Get({.ns = "", .name = node});
    if (satellite == nullptr) {
      continue;
    }
    api::Condition condition = NodeCondition(failures);
    condition.observed_generation = satellite->generation();
    const std::vector<api::Condition> live = api::ConditionsFromJson(satellite->raw());
    const api::Condition* old = api::FindCondition(live, condition.type);
    const bool same_status = old != nullptr && old->status == condition.status;
    condition.last_transition_time =
        same_status ? old->last_transition_time : FormatRfc3339(ctx.clock().SystemNow());
    if (old != nullptr && *old == condition) {
      continue;
    }
    const api::Json object = {{"apiVersion", api::kLinstorSatellite.ApiVersion()},
                              {"kind", api::kLinstorSatellite.kind},
                              {"metadata", {{"name", node}}},
                              {"status", {{"conditions", api::Json::array({ToJson(condition)})}}}};
    kube::ApplyOptions options;
    options.field_manager = kReplicationTlsFieldManager;
    options.subresource = "status";
    const auto reply =
        client_.Apply(ctx, api::kLinstorSatellite, {.ns = "", .name = node}, object, options);
    if (!reply) {
      services_.log.Warn(
          "condition could not be written",
          {{"kind", "LinstorSatellite"}, {"name", node}, {"error", reply.error().message()}});
    } else if (!same_status && events_) {
      const bool ready = condition.status == "True";
      events_({.regarding = kube::RefOf(*satellite),
               .action = "Preflight",
               .reason = ready ? "ReplicationTLSReady" : condition.reason,
               .note = condition.message,
               .warning = !ready});
    }
  }
}

void Reporter::Tell(const std::string& cluster, const Notice& notice) {
  const api::ObjectPtr object = clusters_.Get({.ns = "", .name = cluster});
  if (object != nullptr && events_) {
    events_({.regarding = kube::RefOf(*object),
             .action = "Migrate",
             .reason = notice.reason,
             .note = notice.text + ClaimSuffix(claims_, notice.resource),
             .part = notice.resource,
             .warning = notice.warning});
  }
}

}  // namespace breakwater::controllers
