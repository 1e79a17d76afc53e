#include "operator/api/linstor_satellite.h"

#include <utility>

#include "operator/api/duration.h"
#include "operator/api/linstor_cluster.h"

namespace breakwater::api {
namespace {

ClusterReference ReadClusterReference(const FieldReader& spec) {
  ClusterReference result;
  const auto reader = spec.Child("clusterRef");
  if (!reader) {
    spec.AddError("clusterRef", "must name the LinstorCluster");
    return result;
  }
  result.name = reader->String("name");
  result.client_secret_name = reader->String("clientSecretName");
  result.ca_reference = ReadCaReference(*reader, "caReference");
  if (const auto external = reader->Child("externalController")) {
    result.external_controller_url = external->String("url");
  }
  return result;
}

Json ToJson(const ClusterReference& reference) {
  Json result{{"name", reference.name}};
  if (!reference.client_secret_name.empty()) {
    result["clientSecretName"] = reference.client_secret_name;
  }
  if (reference.ca_reference) {
    result["caReference"] = ToJson(*reference.ca_reference);
  }
  if (reference.external_controller_url) {
    result["externalController"]["url"] = *reference.external_controller_url;
  }
  return result;
}

}  // namespace

std::string_view ToString(DeletionPolicy policy) {
  switch (policy) {
    case DeletionPolicy::kEvacuate:
      return "Evacuate";
    case DeletionPolicy::kDelete:
      return "Delete";
    case DeletionPolicy::kRetain:
      break;
  }
  return "Retain";
}

std::optional<DeletionPolicy> ReadDeletionPolicy(const FieldReader& parent, std::string_view key) {
  // An empty string is how an unset policy looks in objects of the Piraeus Operator.
  const std::string text = parent.OneOf(key, {"", "Retain", "Evacuate", "Delete"}, "");
  if (text.empty()) {
    return std::nullopt;
  }
  return text == "Evacuate" ? DeletionPolicy::kEvacuate
         : text == "Delete" ? DeletionPolicy::kDelete
                            : DeletionPolicy::kRetain;
}

std::optional<EvacuationStrategy> ReadEvacuationStrategy(const FieldReader& parent,
                                                         std::string_view key) {
  const auto reader = parent.Child(key);
  if (!reader) {
    return std::nullopt;
  }
  EvacuationStrategy strategy;
  strategy.attached_volume_reattach_timeout =
      reader->Duration("attachedVolumeReattachTimeout")
          .value_or(strategy.attached_volume_reattach_timeout);
  strategy.unattached_volume_attach_timeout =
      reader->Duration("unattachedVolumeAttachTimeout")
          .value_or(strategy.unattached_volume_attach_timeout);
  return strategy;
}

Json ToJson(const EvacuationStrategy& strategy) {
  return {
      {"attachedVolumeReattachTimeout", FormatDuration(strategy.attached_volume_reattach_timeout)},
      {"unattachedVolumeAttachTimeout", FormatDuration(strategy.unattached_volume_attach_timeout)},
  };
}

Decoded<LinstorSatelliteSpec> DecodeLinstorSatellite(const Json& object) {
  Decoded<LinstorSatelliteSpec> result;
  static const Json kNothing;
  const Json* json = FindMember(object, "spec");
  const FieldReader reader(json == nullptr ? kNothing : *json, "spec", &result.errors);
  LinstorSatelliteSpec& spec = result.value;
  spec.cluster_ref = ReadClusterReference(reader);
  spec.repository = reader.String("repository");
  spec.patches = ReadPatches(reader);
  spec.storage_pools = ReadStoragePools(reader);
  spec.properties = ReadNodeProperties(reader);
  spec.internal_tls = ReadTlsConfig(reader, "internalTLS");
  spec.ip_families = reader.Strings("ipFamilies");
  spec.deletion_policy =
      ReadDeletionPolicy(reader, "deletionPolicy").value_or(DeletionPolicy::kRetain);
  spec.evacuation_strategy = ReadEvacuationStrategy(reader, "evacuationStrategy");
  spec.resource_name_suffix_separator =
      reader.OneOf("resourceNameSuffixSeparator", {".", "-"}, ".");
  return result;
}

Json ToJson(const LinstorSatelliteSpec& spec) {
  Json result{
      {"clusterRef", ToJson(spec.cluster_ref)},
      {"deletionPolicy", ToString(spec.deletion_policy)},
  };
  if (!spec.repository.empty()) {
    result["repository"] = spec.repository;
  }
  if (!spec.patches.empty()) {
    result["patches"] = ToJson(spec.patches);
  }
  if (!spec.storage_pools.empty()) {
    result["storagePools"] = ToJson(spec.storage_pools);
  }
  if (!spec.properties.empty()) {
    result["properties"] = ToJson(spec.properties);
  }
  if (spec.internal_tls) {
    result["internalTLS"] = ToJson(*spec.internal_tls);
  }
  if (!spec.ip_families.empty()) {
    result["ipFamilies"] = spec.ip_families;
  }
  if (spec.evacuation_strategy) {
    result["evacuationStrategy"] = ToJson(*spec.evacuation_strategy);
  }
  if (spec.resource_name_suffix_separator != ".") {
    result["resourceNameSuffixSeparator"] = spec.resource_name_suffix_separator;
  }
  return result;
}

Json ToJson(const LinstorSatelliteStatus& status) {
  Json result{{"conditions", ToJson(status.conditions)}};
  const auto put = [&result](const char* key, const std::optional<std::int64_t>& value) {
    if (value) {
      result[key] = *value;
    }
  };
  put("availableCapacityBytes", status.total_capacity_bytes);
  put("freeCapacityBytes", status.free_capacity_bytes);
  put("numberOfVolumes", status.number_of_volumes);
  put("numberOfSnapshots", status.number_of_snapshots);
  if (std::string capacity =
          FormatCapacity(status.total_capacity_bytes, status.free_capacity_bytes);
      !capacity.empty()) {
    result["capacity"] = std::move(capacity);
  }
  if (!status.storage_providers.empty()) {
    result["storageProviders"] = status.storage_providers;
  }
  if (!status.device_layers.empty()) {
    result["deviceLayers"] = status.device_layers;
  }
  return result;
}

}  // namespace breakwater::api
