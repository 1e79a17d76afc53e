#include "operator/controllers/replication/floor_source.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <string>
#include <string_view>

#include "operator/controllers/common/status_tools.h"
#include "operator/core/replication/plan/properties.h"

namespace breakwater::controllers {
namespace {

/// The driver takes its own parameters with its name in front or without, in any case of letters.
bool IsOwn(std::string_view key, std::string_view name) {
  const std::string prefix = std::string(kProvisioner) + "/";
  if (key.starts_with(prefix)) {
    key.remove_prefix(prefix.size());
  }
  return std::equal(key.begin(), key.end(), name.begin(), name.end(), [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) == b;
  });
}

std::string GroupOf(const api::Json& parameters) {
  for (const auto& [key, value] : parameters.items()) {
    if (IsOwn(key, "resourcegroup") && value.is_string()) {
      return value.get<std::string>();
    }
  }
  return "";
}

// Both "property.linstor.csi.linbit.com/DrbdOptions/Net/tls" and the older "DrbdOptions/Net/tls"
// become a property of the resource group (K7).
std::optional<bool> TlsOf(const api::Json& parameters) {
  const std::string property(replication::kTlsProperty);
  const std::string key = "property." + std::string(kProvisioner) + "/" + property;
  const std::string value = api::StringAt(parameters, parameters.contains(key) ? key : property);
  return replication::ParseTlsValue(value);
}

}  // namespace

replication::FloorRules FloorSource::Read(const ClusterSettings& settings) const {
  replication::FloorRules rules{.enabled = settings.floor,
                                .cluster = settings.tls,
                                .exemptions = settings.exemptions,
                                .classes = {},
                                .origins = {},
                                .tls_groups = {}};
  for (const api::ObjectPtr& object : classes.List()) {
    const api::Json& json = object->raw();
    const api::Json* parameters = api::FindPath(json, {"parameters"});
    if (parameters != nullptr && parameters->is_object() &&
        api::StringAt(json, "provisioner") == kProvisioner) {
      if (const std::optional<bool> tls = TlsOf(*parameters)) {
        rules.classes[object->name()] = *tls;
        if (const std::string group = GroupOf(*parameters); *tls && !group.empty()) {
          rules.tls_groups.insert(group);
        }
      }
    }
  }
  for (const api::ObjectPtr& object : volumes.List()) {
    const std::string resource = LinstorVolumeOf(*object);
    const api::Json* spec = api::FindPath(object->raw(), {"spec"});
    if (resource.empty() || spec == nullptr) {
      continue;
    }
    replication::VolumeOrigin& origin = rules.origins[resource];
    origin.storage_class = api::StringAt(*spec, "storageClassName");
    if (const api::Json* claim = api::FindPath(*spec, {"claimRef"})) {
      origin.claim = api::StringAt(*claim, "namespace") + "/" + api::StringAt(*claim, "name");
    }
  }
  return rules;
}

}  // namespace breakwater::controllers
