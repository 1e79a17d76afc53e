#include "operator/controllers/replication/floor_source.h"

#include <optional>
#include <string>

#include "operator/core/replication/plan/properties.h"

namespace breakwater::controllers {
namespace {

// "property.linstor.csi.linbit.com/DrbdOptions/Net/tls" becomes a property of the resource group
// (K7).
std::optional<bool> TlsOf(const api::Json& storage_class) {
  const api::Json* parameters = api::FindPath(storage_class, {"parameters"});
  return parameters == nullptr ? std::nullopt
                               : replication::ParseTlsValue(api::StringAt(
                                     *parameters, "property." + std::string(kProvisioner) + "/" +
                                                      std::string(replication::kTlsProperty)));
}

}  // namespace

replication::FloorRules FloorSource::Read(const ClusterSettings& settings) const {
  replication::FloorRules rules{.enabled = settings.floor,
                                .cluster = settings.tls,
                                .exemptions = settings.exemptions,
                                .classes = {},
                                .origins = {}};
  for (const api::ObjectPtr& object : classes.List()) {
    const api::Json& json = object->raw();
    if (api::StringAt(json, "provisioner") == kProvisioner) {
      if (const std::optional<bool> tls = TlsOf(json)) {
        rules.classes[object->name()] = *tls;
      }
    }
  }
  for (const api::ObjectPtr& object : volumes.List()) {
    const api::Json* spec = api::FindPath(object->raw(), {"spec"});
    const api::Json* csi = spec == nullptr ? nullptr : api::FindPath(*spec, {"csi"});
    if (csi == nullptr || api::StringAt(*csi, "driver") != kProvisioner) {
      continue;
    }
    replication::VolumeOrigin& origin = rules.origins[api::StringAt(*csi, "volumeHandle")];
    origin.storage_class = api::StringAt(*spec, "storageClassName");
    if (const api::Json* claim = api::FindPath(*spec, {"claimRef"})) {
      origin.claim = api::StringAt(*claim, "namespace") + "/" + api::StringAt(*claim, "name");
    }
  }
  return rules;
}

}  // namespace breakwater::controllers
