#include "operator/controllers/node_connection/node_connection_reconciler.h"

#include <set>

#include "operator/api/resources.h"
#include "operator/base/log.h"
#include "operator/base/rfc3339.h"
#include "operator/controllers/common/own_status.h"
#include "operator/controllers/common/status_tools.h"
#include "operator/core/admission/validate.h"
#include "operator/core/status/conditions.h"
#include "operator/linstor/props.h"

namespace breakwater::controllers {
namespace {

const linstor::Connection* FindPair(const std::vector<linstor::Connection>& connections,
                                    const core::NodePair& pair) {
  for (const linstor::Connection& connection : connections) {
    if (connection.IsBetween(pair.first, pair.second)) {
      return &connection;
    }
  }
  return nullptr;
}

}  // namespace

Result<runtime::Requeue, Error> NodeConnectionReconciler::Reconcile(const Context& ctx,
                                                                    const api::ObjectKey& key) {
  (void)key;
  std::vector<api::LinstorNodeConnectionSpec> specs;
  std::vector<std::pair<api::ObjectPtr, std::vector<std::string>>> reports;
  for (const api::ObjectPtr& object : deps_.connections.List()) {
    if (object->deleting()) {
      continue;
    }
    api::Decoded<api::LinstorNodeConnectionSpec> decoded =
        api::DecodeLinstorNodeConnection(object->raw());
    api::FieldErrors errors = decoded.errors;
    const api::FieldErrors invalid = core::ValidateNodeConnection(decoded.value);
    errors.insert(errors.end(), invalid.begin(), invalid.end());
    reports.push_back({object, {}});
    if (errors.empty()) {
      specs.push_back(std::move(decoded.value));
    } else {
      // Left out as a whole: half of what was meant could be a path without its other properties.
      reports.back().second.push_back(api::JoinErrors(errors));
    }
  }
  std::vector<std::string> failures;
  for (const api::ObjectPtr& cluster : deps_.clusters.List()) {
    if (!cluster->deleting()) {
      const std::vector<std::string> failed = SyncCluster(ctx, *cluster, specs);
      failures.insert(failures.end(), failed.begin(), failed.end());
    }
  }
  std::optional<Error> error;
  for (auto& [object, errors] : reports) {
    errors.insert(errors.end(), failures.begin(), failures.end());
    const Result<void, Error> written = WriteStatus(ctx, *object, errors);
    if (!written && !error) {
      error = written.error();
    }
  }
  if (error) {
    return Unexpected{*error};
  }
  return runtime::Requeue{failures.empty() ? options_.requeue_interval : options_.retry_interval};
}

std::vector<std::string> NodeConnectionReconciler::SyncCluster(
    const Context& ctx,
    const api::Object& cluster,
    const std::vector<api::LinstorNodeConnectionSpec>& specs) const {
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
  const Result<std::shared_ptr<linstor::Client>, Error> client =
      deps_.linstor.ClientFor(cluster.name());
  if (!client) {
    return {"Controller unreachable"};
  }
  return SyncPairs(ctx, **client, core::DesiredNodeConnections(nodes, specs));
}

std::vector<std::string> NodeConnectionReconciler::SyncPairs(const Context& ctx,
                                                             linstor::Client& client,
                                                             const Desired& desired) const {
  const auto current = client.ListNodeConnections(ctx);
  const auto nodes = client.ListNodes(ctx);
  if (!current || !nodes) {
    // The same words whatever the reason, see the satellites: details are on the LinstorCluster.
    return {"Controller unreachable"};
  }
  std::set<std::string> known;
  for (const linstor::Node& node : *nodes) {
    known.insert(node.name);
  }
  std::vector<std::string> errors;
  for (const auto& [pair, props] : desired) {
    const linstor::Connection* found = FindPair(*current, pair);
    const linstor::PropsChange change =
        linstor::DiffProps(found != nullptr ? found->props : linstor::Props(), props);
    if (change.empty()) {
      continue;
    }
    const std::string name = pair.first + " - " + pair.second;
    if (!known.contains(pair.first) || !known.contains(pair.second)) {
      errors.push_back(name + ": not yet registered in LINSTOR");
      continue;
    }
    const auto changed = client.ModifyNodeConnection(ctx, pair.first, pair.second, change);
    if (!changed) {
      errors.push_back(name + ": " + changed.error().message());
    } else {
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
