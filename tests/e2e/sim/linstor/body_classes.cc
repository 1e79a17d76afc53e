// Known fields of LINSTOR's request classes (its OpenAPI file has the same names) and which of them
// hold another such class. An unknown field is an error in LINSTOR, so a typing error of a client
// must be one here too.

#include <algorithm>
#include <map>

#include "tests/e2e/sim/linstor/router.h"

namespace breakwater::sim {
namespace {

using Fields =
    std::map<std::string, std::string>;  // field -> class of its value, "" = not looked into

// NOLINTNEXTLINE(readability-function-size): a table
const Fields& ClassFields(const std::string& java_class) {
  static const Fields kFilter = {{"place_count", ""},
                                 {"additional_place_count", ""},
                                 {"node_name_list", ""},
                                 {"storage_pool", ""},
                                 {"storage_pool_list", ""},
                                 {"storage_pool_diskless_list", ""},
                                 {"not_place_with_rsc", ""},
                                 {"not_place_with_rsc_regex", ""},
                                 {"replicas_on_same", ""},
                                 {"replicas_on_different", ""},
                                 {"x_replicas_on_different_map", ""},
                                 {"diskless_on_remaining", ""},
                                 {"diskless_type", ""},
                                 {"layer_stack", ""},
                                 {"provider_list", ""},
                                 {"overprovision", ""},
                                 {"port_count", ""}};
  static const Fields kProps = {
      {"override_props", ""}, {"delete_props", ""}, {"delete_namespaces", ""}};
  static const auto kWithProps = [](Fields more) {
    more.insert(kProps.begin(), kProps.end());
    return more;
  };
  static const std::map<std::string, Fields> kClasses = {
      {"AutoSelectFilter", kFilter},
      {"ControllerPropsModify", kProps},
      {"NodeConnectionModify", kProps},
      {"ResourceConnectionModify", kProps},
      {"StoragePoolModify", kProps},
      {"NodeModify", kWithProps({{"node_type", ""}})},
      {"ResourceModify", kWithProps({{"drbd_client", ""}, {"drbd_tiebreaker", ""}})},
      {"VolumeModify", kProps},
      {"VolumeGroupModify", kWithProps({{"flags", ""}})},
      {"VolumeDefinitionModify", kWithProps({{"flags", ""}, {"size_kib", ""}})},
      {"ResourceDefinitionModify", kWithProps({{"drbd_peer_slots", ""},
                                               {"drbd_port", ""},
                                               {"layer_stack", ""},
                                               {"resource_group", ""}})},
      {"ResourceGroupModify", kWithProps({{"description", ""},
                                          {"peer_slots", ""},
                                          {"select_filter", "AutoSelectFilter"},
                                          {"copy_all_snaps", ""},
                                          {"snap_names", ""}})},
      {"Node",
       {{"flags", ""},
        {"os_variant", ""},
        {"name", ""},
        {"unsupported_layers", ""},
        {"props", ""},
        {"connection_status", ""},
        {"eviction_timestamp", ""},
        {"unsupported_providers", ""},
        {"type", ""},
        {"uuid", ""},
        {"net_interfaces", "NetInterface"},
        {"storage_providers", ""},
        {"resource_layers", ""},
        {"platform", ""}}},
      {"Snapshot",
       {{"name", ""},
        {"resource_name", ""},
        {"nodes", ""},
        {"props", ""},
        {"snapshot_definition_props", ""},
        {"resource_definition_props", ""},
        {"flags", ""},
        {"volume_definitions", ""},
        {"uuid", ""},
        {"snapshots", ""}}},
      {"SnapshotRestore", {{"to_resource", ""}, {"nodes", ""}, {"stor_pool_rename", ""}}},
      {"ResourceDefinitionCloneRequest", kWithProps({{"name", ""},
                                                     {"external_name", ""},
                                                     {"use_zfs_clone", ""},
                                                     {"layer_list", ""},
                                                     {"volume_passphrases", ""},
                                                     {"resource_group", ""}})},
      {"ResourceMakeAvailable",
       {{"layer_list", ""},
        {"diskful", ""},
        {"drbd_tcp_ports", ""},
        {"snap_names", ""},
        {"copy_all_snaps", ""}}},
      {"KeyValueStoreModify", kProps},
      {"CreateMultiSnapshotRequest", {{"snapshots", "Snapshot"}}},
      {"NodeRestore", {{"delete_resources", ""}, {"delete_snapshots", ""}}},
      {"NodeEvacuate",
       {{"target", ""}, {"do_not_target", ""}, {"copy_all_snaps", ""}, {"snap_names", ""}}},
      {"NetInterface",
       {{"name", ""},
        {"address", ""},
        {"satellite_port", ""},
        {"satellite_encryption_type", ""},
        {"is_active", ""},
        {"uuid", ""}}},
      {"StoragePool",
       {{"storage_pool_name", ""},
        {"node_name", ""},
        {"provider_kind", ""},
        {"props", ""},
        {"static_traits", ""},
        {"free_capacity", ""},
        {"total_capacity", ""},
        {"free_space_mgr_name", ""},
        {"uuid", ""},
        {"reports", ""},
        {"supports_snapshots", ""},
        {"shared_space", ""},
        {"external_locking", ""}}},
      {"PhysicalStorageCreate",
       {{"provider_kind", ""},
        {"device_paths", ""},
        {"raid_level", ""},
        {"pool_name", ""},
        {"vdo_enable", ""},
        {"vdo_slab_size_kib", ""},
        {"vdo_logical_size_kib", ""},
        {"sed", ""},
        {"pv_create_arguments", ""},
        {"vg_create_arguments", ""},
        {"lv_create_arguments", ""},
        {"zpool_create_arguments", ""},
        {"with_storage_pool", "PhysicalStorageStoragePoolCreate"}}},
      {"PhysicalStorageStoragePoolCreate",
       {{"name", ""}, {"props", ""}, {"shared_space", ""}, {"external_locking", ""}}},
      {"ResourceGroup",
       {{"name", ""},
        {"description", ""},
        {"props", ""},
        {"select_filter", "AutoSelectFilter"},
        {"uuid", ""},
        {"peer_slots", ""}}},
      {"VolumeGroup", {{"volume_number", ""}, {"props", ""}, {"uuid", ""}, {"flags", ""}}},
      {"ResourceGroupSpawn",
       {{"resource_definition_name", ""},
        {"resource_definition_external_name", ""},
        {"volume_sizes", ""},
        {"volume_passphrases", ""},
        {"partial", ""},
        {"peer_slots", ""},
        {"definitions_only", ""},
        {"resource_definition_props", ""},
        {"select_filter", "AutoSelectFilter"}}},
      {"ResourceDefinitionCreate",
       {{"drbd_port", ""},
        {"resource_definition", "ResourceDefinition"},
        {"drbd_secret", ""},
        {"drbd_peer_slots", ""},
        {"drbd_transport_type", ""}}},
      {"ResourceDefinition",
       {{"name", ""},
        {"external_name", ""},
        {"props", ""},
        {"flags", ""},
        {"layer_data", ""},
        {"uuid", ""},
        {"resource_group_name", ""},
        {"volume_definitions", ""}}},
      {"VolumeDefinitionCreate",
       {{"volume_definition", "VolumeDefinition"}, {"drbd_minor_number", ""}, {"passphrase", ""}}},
      {"VolumeDefinition",
       {{"volume_number", ""},
        {"size_kib", ""},
        {"props", ""},
        {"flags", ""},
        {"layer_data", ""},
        {"uuid", ""}}},
      {"ResourceCreate",
       {{"resource", "Resource"},
        {"layer_list", ""},
        {"drbd_node_id", ""},
        {"drbd_client", ""},
        {"drbd_tcp_ports", ""},
        {"drbd_tcp_port_count", ""},
        {"copy_all_snaps", ""},
        {"snap_names", ""}}},
      {"Resource",
       {{"name", ""},
        {"node_name", ""},
        {"props", ""},
        {"flags", ""},
        {"layer_object", ""},
        {"state", ""},
        {"uuid", ""},
        {"create_timestamp", ""},
        {"effective_props", ""}}},
      {"AutoPlaceRequest",
       {{"diskless_on_remaining", ""},
        {"select_filter", "AutoSelectFilter"},
        {"layer_list", ""},
        {"copy_all_snaps", ""},
        {"snap_names", ""}}},
      {"PassPhraseCreate", {{"new_passphrase", ""}, {"old_passphrase", ""}}},
      {"SimFault",
       {{"kind", ""},
        {"method", ""},
        {"path", ""},
        {"node", ""},
        {"resource", ""},
        {"times", ""},
        {"delay_ms", ""},
        {"status", ""}}},
  };
  static const Fields kNone;
  const auto it = kClasses.find(java_class);
  return it == kClasses.end() ? kNone : it->second;
}

}  // namespace

bool FindUnknownField(const nlohmann::json& value,
                      const std::string& java_class,
                      UnknownField& out) {
  if (!value.is_object()) {
    return false;
  }
  const Fields& fields = ClassFields(java_class);
  for (const auto& [name, item] : value.items()) {
    const auto known = fields.find(name);
    if (known == fields.end()) {
      out = {name, java_class, {}};
      for (const auto& [field, nested] : fields) {
        out.known.push_back(field);
      }
      return true;
    }
    if (known->second.empty()) {
      continue;
    }
    if (item.is_array()) {
      for (const auto& element : item) {
        if (FindUnknownField(element, known->second, out)) {
          return true;
        }
      }
    } else if (FindUnknownField(item, known->second, out)) {
      return true;
    }
  }
  return false;
}

}  // namespace breakwater::sim
