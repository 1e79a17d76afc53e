#include "operator/controllers/satellite/node_registration.h"

#include <algorithm>
#include <set>

#include "operator/api/resources.h"
#include "operator/core/satellite/properties.h"
#include "operator/linstor/props.h"

namespace breakwater::controllers {
namespace {

core::SatelliteInterface AsInterface(const linstor::NetInterface& netif) {
  return {.name = netif.name,
          .address = netif.address,
          .port = netif.satellite_port.value_or(0),
          .encryption = netif.satellite_encryption_type};
}

linstor::NetInterface AsNetInterface(const core::SatelliteInterface& netif) {
  return {.name = netif.name,
          .address = netif.address,
          .satellite_port = netif.port,
          .satellite_encryption_type = netif.encryption};
}

linstor::Node AsNode(const WantedNode& wanted) {
  linstor::Node node{.name = wanted.name, .props = linstor::WithBookkeeping(wanted.props)};
  for (const core::SatelliteInterface& netif : wanted.interfaces) {
    node.net_interfaces.push_back(AsNetInterface(netif));
  }
  return node;
}

template <typename T>
Result<void, Error> Checked(const linstor::LinstorResult<T>& result, const std::string& what) {
  if (!result) {
    return Unexpected{result.error().ToError().WithContext(what)};
  }
  return {};
}

Result<linstor::Node, Error> FindOrCreate(const Context& ctx,
                                          linstor::Client& client,
                                          const WantedNode& wanted) {
  linstor::LinstorResult<linstor::Node> found = client.GetNode(ctx, wanted.name);
  if (!found && found.error().IsNotFound() && !wanted.leaving) {
    linstor::Node node = AsNode(wanted);
    auto created = client.CreateNode(ctx, node);
    if (!created && created.error().api() != nullptr) {
      node.props.clear();  // one of them may be the reason: they come one by one
      created = client.CreateNode(ctx, node);
    }
    BREAKWATER_RETURN_IF_ERROR(Checked(created, "create node " + wanted.name));
    found = client.GetNode(ctx, wanted.name);
  }
  BREAKWATER_RETURN_IF_ERROR(Checked(found, "read node " + wanted.name));
  return std::move(*found);
}

Result<void, Error> SyncInterfaces(const Context& ctx,
                                   linstor::Client& client,
                                   const std::string& node,
                                   const NodePlan& plan) {
  const auto what = [&](const char* verb, const std::string& name) {
    return std::string(verb) + " interface " + name + " of node " + node;
  };
  for (const core::SatelliteInterface& netif : plan.create) {
    BREAKWATER_RETURN_IF_ERROR(Checked(client.CreateNetInterface(ctx, node, AsNetInterface(netif)),
                                       what("create", netif.name)));
  }
  for (const core::SatelliteInterface& netif : plan.modify) {
    BREAKWATER_RETURN_IF_ERROR(Checked(client.ModifyNetInterface(ctx, node, AsNetInterface(netif)),
                                       what("modify", netif.name)));
  }
  for (const std::string& name : plan.remove) {
    BREAKWATER_RETURN_IF_ERROR(
        Checked(client.DeleteNetInterface(ctx, node, name), what("delete", name)));
  }
  return {};
}

}  // namespace

Result<WantedNode, Error> DescribeNode(const api::Object& node,
                                       const api::Object& pod,
                                       const api::LinstorSatelliteSpec& spec) {
  WantedNode wanted{.name = node.name(), .interfaces = core::DesiredInterfaces(pod, spec)};
  if (wanted.interfaces.empty()) {
    return Unexpected{Error{ErrorClass::kTransient, "Pod " + pod.key().ToString() +
                                                        " has no address of the wanted families"}};
  }
  BREAKWATER_ASSIGN_OR_RETURN(wanted.props, core::ResolveProperties(node, spec.properties));
  wanted.props[std::string(api::kPropertyManagedBy)] = api::kPropertyManagedByValue;
  wanted.props[std::string(api::kPropertyConfiguredInterfaces)] =
      core::ConfiguredInterfacesValue(wanted.interfaces);
  return wanted;
}

NodePlan PlanNode(const linstor::Node& node, const WantedNode& wanted) {
  NodePlan plan{.restore = !wanted.leaving && (node.HasFlag("EVACUATE") || node.HasFlag("EVICTED")),
                .props = linstor::DiffProps(node.props, wanted.props)};
  std::set<std::string> obsolete = core::ManagedInterfaces(node.props);
  for (const core::SatelliteInterface& netif : wanted.interfaces) {
    obsolete.erase(netif.name);
    const auto found =
        std::find_if(node.net_interfaces.begin(), node.net_interfaces.end(),
                     [&](const linstor::NetInterface& item) { return item.name == netif.name; });
    if (found == node.net_interfaces.end()) {
      plan.create.push_back(netif);
    } else if (!core::SameInterface(AsInterface(*found), netif)) {
      plan.modify.push_back(netif);
    }
  }
  for (const linstor::NetInterface& netif : node.net_interfaces) {
    if (obsolete.contains(netif.name)) {
      plan.remove.push_back(netif.name);
    }
  }
  return plan;
}

Result<linstor::Node, Error> SyncNode(const Context& ctx,
                                      linstor::Client& client,
                                      const WantedNode& wanted,
                                      std::vector<std::string>* refused) {
  BREAKWATER_ASSIGN_OR_RETURN(linstor::Node node, FindOrCreate(ctx, client, wanted));
  const NodePlan plan = PlanNode(node, wanted);
  if (plan.empty()) {
    return node;
  }
  if (plan.restore) {
    BREAKWATER_RETURN_IF_ERROR(
        Checked(client.RestoreNode(ctx, wanted.name), "restore node " + wanted.name));
  }
  // Interfaces before properties: the property that lists them must not promise what is not there.
  BREAKWATER_RETURN_IF_ERROR(SyncInterfaces(ctx, client, wanted.name, plan));
  if (!plan.props.empty()) {
    *refused = linstor::SendProps(plan.props, "node " + wanted.name,
                                  [&](const linstor::PropsChange& part) {
                                    return client.ModifyNode(ctx, wanted.name, part);
                                  })
                   .errors;
  }
  linstor::LinstorResult<linstor::Node> again = client.GetNode(ctx, wanted.name);
  BREAKWATER_RETURN_IF_ERROR(Checked(again, "read node " + wanted.name));
  return std::move(*again);
}

}  // namespace breakwater::controllers
