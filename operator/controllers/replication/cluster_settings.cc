#include "operator/controllers/replication/cluster_settings.h"

#include <cstddef>

#include "operator/controllers/common/status_tools.h"
#include "operator/core/replication/plan/properties.h"

namespace breakwater::controllers {

namespace {

constexpr std::size_t kShownLength = 40;  // of a value, in a message

}  // namespace

ClusterSettings ReadSettings(const api::Object& cluster) {
  ClusterSettings settings;
  const api::Decoded<api::LinstorClusterSpec> spec = api::DecodeLinstorCluster(cluster.raw());
  for (const api::Property& property : spec.value.properties) {
    if (property.name == replication::kTlsProperty) {
      settings.tls = replication::ParseTlsValue(property.value);
      if (!settings.tls) {
        settings.invalid = "the value '" + property.value.substr(0, kShownLength) +
                           "' of property " + std::string(property.name) + " is neither yes nor no";
      }
    }
  }
  for (const api::FieldError& error : spec.errors) {
    if (api::AnyErrorAt({error}, {"spec.properties", "spec.replicationTLS"})) {
      settings.invalid = error.ToString();
    }
  }
  settings.migration = spec.value.replication_tls.migration;
  settings.enforce = spec.value.replication_tls.enforce;
  settings.floor = spec.value.replication_tls.floor;
  settings.minimum.minor =
      spec.value.replication_tls.minimum_version == api::TlsVersion::k12 ? 2 : 3;
  settings.minimum.ciphers = spec.value.replication_tls.ciphers;
  settings.rekey = spec.value.replication_tls.rekey;
  for (const api::TlsExemption& exemption : spec.value.replication_tls.exemptions) {
    settings.exemptions.push_back(
        {exemption.resource, exemption.claim, exemption.storage_class, exemption.reason});
  }
  settings.released = NamesIn(cluster.annotation(kMigrateAnnotation));
  settings.release_all = settings.released.erase("*") > 0;
  settings.hold = NamesIn(cluster.annotation(kHoldAnnotation));
  settings.hold_all = settings.hold.erase("*") > 0;
  settings.resynced = NamesIn(cluster.annotation(kResyncedAnnotation));
  return settings;
}

}  // namespace breakwater::controllers
