#include "operator/controllers/replication/report/reporter.h"

#include <utility>

#include "operator/api/resources.h"
#include "operator/base/log.h"
#include "operator/base/rfc3339.h"
#include "operator/controllers/replication/report/picture.h"
#include "operator/controllers/replication/report/status_writer.h"

namespace breakwater::controllers {

using replication::PreflightFailure;

namespace {

/// Warnings that a node did not have when its condition was written last.
std::vector<PreflightFailure> NewWarnings(const std::vector<PreflightFailure>& failures,
                                          const api::Condition* old) {
  std::vector<PreflightFailure> news;
  for (const PreflightFailure& failure : failures) {
    if (failure.warning &&
        (old == nullptr || old->message.find(failure.reason + ": ") == std::string::npos)) {
      news.push_back(failure);
    }
  }
  return news;
}

}  // namespace

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
    } else if (events_) {
      TellNode(*satellite, condition, !same_status, NewWarnings(failures, old));
    }
  }
}

void Reporter::TellNode(const api::Object& satellite,
                        const api::Condition& condition,
                        bool changed,
                        const std::vector<PreflightFailure>& warnings) {
  const bool ready = condition.status == "True";
  if (changed) {
    events_({.regarding = kube::RefOf(satellite),
             .action = "Preflight",
             .reason = ready ? "ReplicationTLSReady" : condition.reason,
             .note = condition.message,
             .warning = !ready});
  }
  for (const PreflightFailure& warning : warnings) {
    events_({.regarding = kube::RefOf(satellite),
             .action = "Preflight",
             .reason = warning.reason,
             .note = warning.message,
             .warning = true});
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
