// Bodies of the writes. LINSTOR refuses unknown fields, so nothing is sent that is not needed.

#include "operator/linstor/decode.h"

namespace breakwater::linstor {
namespace {

void SetIfAny(Json& object, const char* key, const std::vector<std::string>& values) {
  if (!values.empty()) {
    object[key] = values;
  }
}

void SetSharing(Json& pool, const std::string& shared_space, bool external_locking) {
  if (!shared_space.empty()) {
    pool["shared_space"] = shared_space;
  }
  if (external_locking) {
    pool["external_locking"] = true;
  }
}

}  // namespace

Json EncodeChange(const PropsChange& change) {
  Json body = Json::object();
  if (!change.override_props.empty()) {
    body["override_props"] = change.override_props;
  }
  SetIfAny(body, "delete_props", change.delete_props);
  return body;
}

Json EncodeNetInterface(const NetInterface& netif) {
  Json body{{"name", netif.name}, {"address", netif.address}};
  if (netif.satellite_port) {
    body["satellite_port"] = *netif.satellite_port;
    body["satellite_encryption_type"] = netif.satellite_encryption_type;
  }
  return body;
}

Json EncodeNode(const Node& node) {
  Json body{{"name", node.name}, {"type", node.type}, {"net_interfaces", Json::array()}};
  for (const NetInterface& netif : node.net_interfaces) {
    body["net_interfaces"].push_back(EncodeNetInterface(netif));
  }
  if (!node.props.empty()) {
    body["props"] = node.props;
  }
  return body;
}

Json EncodeStoragePool(const StoragePool& pool) {
  Json body{{"storage_pool_name", pool.name}, {"provider_kind", pool.provider_kind}};
  if (!pool.props.empty()) {
    body["props"] = pool.props;
  }
  SetSharing(body, pool.shared_space, pool.external_locking);
  return body;
}

Json EncodePhysicalStorage(const PhysicalStorage& storage) {
  Json with_pool{{"name", storage.storage_pool}};
  if (!storage.storage_pool_props.empty()) {
    with_pool["props"] = storage.storage_pool_props;
  }
  SetSharing(with_pool, storage.shared_space, storage.external_locking);
  Json body{{"provider_kind", storage.provider_kind},
            {"device_paths", storage.device_paths},
            {"pool_name", storage.pool_name},
            {"with_storage_pool", std::move(with_pool)}};
  SetIfAny(body, "pv_create_arguments", storage.pv_create_arguments);
  SetIfAny(body, "vg_create_arguments", storage.vg_create_arguments);
  SetIfAny(body, "lv_create_arguments", storage.lv_create_arguments);
  SetIfAny(body, "zpool_create_arguments", storage.zpool_create_arguments);
  return body;
}

}  // namespace breakwater::linstor
