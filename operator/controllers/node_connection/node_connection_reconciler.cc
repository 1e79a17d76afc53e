#include "operator/controllers/node_connection/node_connection_reconciler.h"

#include <algorithm>

#include "operator/api/resources.h"
#include "operator/base/log.h"
#include "operator/base/rfc3339.h"
#include "operator/controllers/common/own_status.h"
#include "operator/controllers/common/pass_end.h"
#include "operator/controllers/common/status_tools.h"
#include "operator/controllers/linstor_connection/foreign_properties.h"
#include "operator/core/admission/validate.h"
#include "operator/core/status/conditions.h"
#include "operator/linstor/props.h"
#include "operator/runtime/trigger.h"

namespace breakwater::controllers {
namespace {

std::string AvailabilityOf(const api::ObjectPtr& satellite) {
  if (!satellite) {
    return "";
  }
  const std::vector<api::Condition> conditions = api::ConditionsFromJson(satellite->raw());
  const api::Condition* available = api::FindCondition(conditions, api::kConditionAvailable);
  return available == nullptr ? "" : available->status;
}

}  // namespace

bool ConcernsNodeConnections(const runtime::ChangeEvent& change) {
  return runtime::SpecOrMetadataChanged(change) ||
         AvailabilityOf(change.before) != AvailabilityOf(change.after);
}

NodeConnectionReconciler::Reading NodeConnectionReconciler::Read(const api::ObjectPtr& object) {
  api::Decoded<api::LinstorNodeConnectionSpec> decoded =
      api::DecodeLinstorNodeConnection(object->raw());
  api::FieldErrors errors =
      core::AllErrors(std::move(decoded.errors), core::ValidateNodeConnection(decoded.value));
  Reading reading{object, std::move(decoded.value), std::move(errors)};
  if (!reading.unusable.empty()) {
    // Left out as a whole: half of what was meant could be a path without its other properties.
    reading.findings.push_back(api::JoinErrors(reading.unusable));
  }
  for (const api::Property& property : reading.spec.properties) {
    if (ForeignProperties().contains(property.name)) {
      // LINSTOR would adjust every volume of every node at once, and fail on those in use.
      reading.findings.push_back(property.name + " is not set for pairs of nodes: set " +
                                 property.name + " on the LinstorCluster or a StorageClass");
    }
  }
  return reading;
}

Result<runtime::Requeue, Error> NodeConnectionReconciler::Reconcile(const Context& ctx,
                                                                    const api::ObjectKey& key) {
  (void)key;
  std::vector<Reading> readings;
  for (const api::ObjectPtr& object : deps_.connections.List()) {
    if (!object->deleting()) {
      readings.push_back(Read(object));
    }
  }
  std::vector<std::string> failures;
  for (const api::ObjectPtr& cluster : deps_.clusters.List()) {
    if (!cluster->deleting()) {
      const std::vector<std::string> failed = SyncCluster(LinstorContext(ctx), *cluster, readings);
      failures.insert(failures.end(), failed.begin(), failed.end());
    }
  }
  std::optional<Error> error;
  for (Reading& reading : readings) {
    reading.findings.insert(reading.findings.end(), failures.begin(), failures.end());
    const Result<void, Error> written = WriteStatus(ctx, *reading.object, reading.findings);
    if (!written && !error) {
      error = written.error();
    }
  }
  if (error) {
    return Unexpected{*error};
  }
  return runtime::Requeue{failures.empty() ? options_.requeue_interval : options_.retry_interval};
}

NodeConnectionReconciler::PairMap NodeConnectionReconciler::ByPair(
    const std::vector<linstor::Connection>& connections) {
  PairMap pairs;
  for (const linstor::Connection& connection : connections) {
    pairs[std::minmax(connection.node_a, connection.node_b)] = &connection;
  }
  return pairs;
}

NodeConnectionReconciler::Desired NodeConnectionReconciler::Plan(
    const std::vector<api::ObjectPtr>& nodes,
    const std::vector<Reading>& readings,
    const std::vector<core::NodePair>& present) {
  std::vector<api::LinstorNodeConnectionSpec> usable;
  for (const Reading& reading : readings) {
    if (reading.unusable.empty()) {
      usable.push_back(reading.spec);
    }
  }
  Desired desired = core::DesiredNodeConnections(nodes, usable, present);
  std::map<std::string, std::map<std::string, std::string>> labels;
  for (const api::ObjectPtr& node : nodes) {
    labels[node->name()] = node->labels();
  }
  // What an unusable object set before stays: without it the pair would lose its path or protocol.
  std::erase_if(desired, [&](const auto& entry) {
    const core::NodePair& pair = entry.first;
    return std::any_of(readings.begin(), readings.end(), [&](const Reading& reading) {
      return !reading.unusable.empty() &&
             (api::AnyErrorAt(reading.unusable, {"spec.selector"}) ||
              core::MatchesNodePair(reading.spec, labels[pair.first], labels[pair.second]));
    });
  });
  return desired;
}

std::vector<std::string> NodeConnectionReconciler::SyncCluster(
    const Context& ctx, const api::Object& cluster, const std::vector<Reading>& readings) const {
  std::vector<api::ObjectPtr> nodes;
  for (const api::ObjectPtr& satellite : deps_.satellites.ListByController(cluster.uid())) {
    const api::ObjectPtr node = deps_.nodes.Get({"", satellite->name()});
    if (node && !satellite->deleting()) {
      nodes.push_back(node);
    }
  }
  if (nodes.size() < 2) {
    return {};
  }
  const auto known = deps_.snapshots.Get(ctx, cluster.name(), options_.linstor_max_age);
  const auto client = deps_.linstor.ClientFor(cluster.name());
  if (!known || !client) {
    // The same words whatever the reason, see the satellites: details are on the LinstorCluster.
    return {"Controller unreachable"};
  }
  const auto current = (*client)->ListNodeConnections(ctx);
  if (!current) {
    return {"Controller unreachable"};
  }
  const PairMap by_pair = ByPair(*current);
  std::vector<core::NodePair> present;
  for (const auto& [pair, connection] : by_pair) {
    present.push_back(pair);
  }
  return SyncPairs(ctx, **client, **known, by_pair, Plan(nodes, readings, present),
                   FrozenVolumes(cluster));
}

std::vector<std::string> NodeConnectionReconciler::SyncPairs(
    const Context& ctx,
    linstor::Client& client,
    const LinstorSnapshot& known,
    const PairMap& by_pair,
    const Desired& desired,
    const std::vector<std::string>& frozen) const {
  std::vector<std::string> errors;
  for (const auto& entry : desired) {
    const auto& pair = entry.first;
    const linstor::Props& props = entry.second;
    if (!known.Find(pair.first) || !known.Find(pair.second)) {
      continue;  // its satellite is not registered yet: its becoming available triggers a pass
    }
    const auto found = by_pair.find(pair);
    const linstor::PropsChange change =
        linstor::DiffProps(found == by_pair.end() ? linstor::Props() : found->second->props, props,
                           ForeignProperties());
    if (change.empty()) {
      continue;
    }
    if (!frozen.empty()) {
      // A change adjusts every volume (L17), and that would resume one that is suspended (L24).
      return {"Waiting for volume " + frozen.front() + ", whose I/O is suspended for a moment"};
    }
    const std::string name = pair.first + " - " + pair.second;
    const linstor::PropsSent sent =
        linstor::SendProps(change, "the connection " + name, [&](const linstor::PropsChange& part) {
          return client.ModifyNodeConnection(ctx, pair.first, pair.second, part);
        });
    errors.insert(errors.end(), sent.errors.begin(), sent.errors.end());
    if (sent.changed) {
      deps_.log.Info("node connection changed", {{"pair", name}});
    }
  }
  return errors;
}

Result<void, Error> NodeConnectionReconciler::WriteStatus(
    const Context& ctx,
    const api::Object& connection,
    const std::vector<std::string>& errors) const {
  const std::vector<std::string_view> types{api::kConditionConfigured};
  core::ConditionSet conditions(types);
  if (errors.empty()) {
    conditions.AddSuccess(api::kConditionConfigured, "Properties applied");
  } else {
    conditions.AddError(api::kConditionConfigured, JoinBounded(errors));
  }
  const api::LinstorNodeConnectionStatus status{
      conditions.Build(ConditionsOf(connection, types), connection.generation(),
                       FormatRfc3339(ctx.clock().SystemNow()))};
  return ApplyOwnStatus(ctx, deps_.applier, deps_.connections, connection, api::ToJson(status),
                        {.conditions = types});
}

}  // namespace breakwater::controllers
