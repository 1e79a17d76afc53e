#include "operator/api/linstor_satellite_configuration.h"

namespace breakwater::api {

Decoded<LinstorSatelliteConfigurationSpec> DecodeLinstorSatelliteConfiguration(const Json& object) {
  Decoded<LinstorSatelliteConfigurationSpec> result;
  static const Json kNothing;
  const Json* json = FindMember(object, "spec");
  const FieldReader reader(json == nullptr ? kNothing : *json, "spec", &result.errors);
  LinstorSatelliteConfigurationSpec& spec = result.value;
  spec.node_selector = reader.StringMap("nodeSelector");
  spec.node_affinity = ReadNodeSelector(reader, "nodeAffinity");
  spec.patches = ReadPatches(reader);
  if (reader.Child("podTemplate")) {
    spec.pod_template = *reader.Raw("podTemplate");
  }
  spec.properties = ReadNodeProperties(reader);
  spec.storage_pools = ReadStoragePools(reader);
  spec.internal_tls = ReadTlsConfig(reader, "internalTLS");
  if (reader.Raw("ipFamilies") != nullptr) {
    spec.ip_families = reader.Strings("ipFamilies");
  }
  spec.deletion_policy = ReadDeletionPolicy(reader, "deletionPolicy");
  spec.evacuation_strategy = ReadEvacuationStrategy(reader, "evacuationStrategy");
  if (reader.Raw("resourceNameSuffixSeparator") != nullptr) {
    spec.resource_name_suffix_separator =
        reader.OneOf("resourceNameSuffixSeparator", {".", "-"}, ".");
  }
  return result;
}

Json ToJson(const LinstorSatelliteConfigurationStatus& status) {
  return {{"conditions", ToJson(status.conditions)},
          {"appliedTo", status.applied_to},
          {"matched", status.applied_to.size()}};
}

}  // namespace breakwater::api
