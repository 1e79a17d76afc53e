#include "operator/api/linstor_cluster.h"

#include <utility>

namespace breakwater::api {
namespace {

ComponentSpec ReadComponent(const FieldReader& spec, std::string_view key) {
  ComponentSpec component;
  const auto reader = spec.Child(key);
  if (!reader) {
    return component;
  }
  component.enabled = reader->Bool("enabled", true);
  if (reader->Child("podTemplate")) {
    component.pod_template = *reader->Raw("podTemplate");
  }
  component.replicas = reader->Integer("replicas");
  if (component.replicas && *component.replicas < 0) {
    reader->AddError("replicas", "must not be negative");
    component.replicas.reset();
  }
  return component;
}

std::optional<ApiTls> ReadApiTls(const FieldReader& spec, std::string_view key) {
  const auto reader = spec.Child(key);
  if (!reader) {
    return std::nullopt;
  }
  ApiTls tls;
  const auto read = [&reader](std::string_view field, std::string* name) {
    if (std::string value = reader->String(field); !value.empty()) {
      *name = std::move(value);
    }
  };
  read("apiSecretName", &tls.api_secret_name);
  read("clientSecretName", &tls.client_secret_name);
  read("csiControllerSecretName", &tls.csi_controller_secret_name);
  read("csiNodeSecretName", &tls.csi_node_secret_name);
  read("affinityControllerSecretName", &tls.affinity_controller_secret_name);
  read("nfsServerSecretName", &tls.nfs_server_secret_name);
  tls.cert_manager = ReadIssuerReference(*reader, "certManager");
  tls.ca_reference = ReadCaReference(*reader, "caReference");
  return tls;
}

/// Rounded up to units of 10^9 bytes: what the Piraeus Operator v2.11 prints with the suffix "GiB".
std::int64_t Giga(std::int64_t bytes) {
  constexpr std::int64_t kGiga = 1'000'000'000;
  return bytes / kGiga + (bytes % kGiga > 0 ? 1 : 0);
}

void Put(Json* object, const char* key, const std::optional<std::int64_t>& value) {
  if (value) {
    (*object)[key] = *value;
  }
}

}  // namespace

Decoded<LinstorClusterSpec> DecodeLinstorCluster(const Json& object) {
  Decoded<LinstorClusterSpec> result;
  static const Json kNothing;
  const Json* json = FindMember(object, "spec");
  const FieldReader reader(json == nullptr ? kNothing : *json, "spec", &result.errors);
  LinstorClusterSpec& spec = result.value;
  spec.repository = reader.String("repository");
  if (const auto external = reader.Child("externalController")) {
    spec.external_controller_url = external->String("url");
  }
  spec.node_selector = reader.StringMap("nodeSelector");
  spec.node_affinity = ReadNodeSelector(reader, "nodeAffinity");
  spec.tolerations = ReadTolerations(reader, "tolerations");
  if (const Json* raw = reader.Raw("tolerations"); raw != nullptr && raw->is_array()) {
    spec.raw_tolerations = *raw;
  }
  spec.properties = ReadProperties(reader);
  spec.patches = ReadPatches(reader);
  spec.linstor_passphrase_secret = reader.String("linstorPassphraseSecret");
  spec.internal_tls = ReadTlsConfig(reader, "internalTLS");
  spec.api_tls = ReadApiTls(reader, "apiTLS");
  spec.controller = ReadComponent(reader, "controller");
  spec.csi_controller = ReadComponent(reader, "csiController");
  spec.csi_node = ReadComponent(reader, "csiNode");
  spec.high_availability_controller = ReadComponent(reader, "highAvailabilityController");
  spec.affinity_controller = ReadComponent(reader, "affinityController");
  spec.nfs_server = ReadComponent(reader, "nfsServer");
  spec.max_concurrent_evacuations = reader.Integer("maxConcurrentEvacuations").value_or(0);
  spec.replication_tls = ReadReplicationTls(reader, "replicationTLS");
  return result;
}

std::string FormatCapacity(std::optional<std::int64_t> total, std::optional<std::int64_t> free) {
  if (!total || !free) {
    return {};
  }
  return std::to_string(Giga(*total - *free)) + "/" + std::to_string(Giga(*total)) + "GiB";
}

Json ToJson(const LinstorClusterStatus& status) {
  Json result{{"conditions", ToJson(status.conditions)}};
  if (!status.version.empty()) {
    result["version"] = status.version;
  }
  Put(&result, "scheduledSatellites", status.scheduled_satellites);
  Put(&result, "runningSatellites", status.running_satellites);
  Put(&result, "numberOfVolumes", status.number_of_volumes);
  Put(&result, "numberOfSnapshots", status.number_of_snapshots);
  Put(&result, "availableCapacityBytes", status.total_capacity_bytes);
  Put(&result, "freeCapacityBytes", status.free_capacity_bytes);
  if (status.scheduled_satellites && status.running_satellites) {
    result["satellites"] = std::to_string(*status.running_satellites) + "/" +
                           std::to_string(*status.scheduled_satellites);
  }
  if (std::string capacity =
          FormatCapacity(status.total_capacity_bytes, status.free_capacity_bytes);
      !capacity.empty()) {
    result["capacity"] = std::move(capacity);
  }
  if (status.replication_tls) {
    result["replicationTLS"] = ToJson(*status.replication_tls);
  }
  return result;
}

}  // namespace breakwater::api
