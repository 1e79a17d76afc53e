#include "operator/core/cluster/csi_nodes.h"

#include <cstddef>
#include <optional>
#include <string_view>

#include "operator/api/resources.h"

namespace breakwater::core {
namespace {

using api::Json;

constexpr std::string_view kTopology = "Aux/topology/";
/// The driver reports it on every node, whatever LINSTOR's properties say.
constexpr const char* kHostName = "linbit.com/hostname";
/// Storage pools, one key each, when somebody switched that on.
constexpr std::string_view kPoolKey = "linbit.com/sp-";

/// Place of the driver in the list of drivers.
std::optional<std::size_t> PlaceOf(const api::Object& csi_node) {
  const Json* drivers = api::FindPath(csi_node.raw(), {"spec", "drivers"});
  for (std::size_t i = 0; drivers != nullptr && drivers->is_array() && i < drivers->size(); ++i) {
    if (api::StringAt((*drivers)[i], "name") == api::kCsiDriverName) {
      return i;
    }
  }
  return std::nullopt;
}

}  // namespace

std::set<std::string> WantedTopologyKeys(const std::map<std::string, std::string>& node_props) {
  std::set<std::string> keys{kHostName};
  for (auto it = node_props.lower_bound(std::string(kTopology));
       it != node_props.end() && it->first.starts_with(kTopology); ++it) {
    if (it->first.size() > kTopology.size()) {
      keys.insert(it->first.substr(kTopology.size()));
    }
  }
  return keys;
}

CsiRegistration CheckRegistration(const api::Object* csi_node,
                                  const std::set<std::string>& wanted) {
  const auto place = csi_node == nullptr ? std::nullopt : PlaceOf(*csi_node);
  if (!place) {
    return CsiRegistration::kMissing;
  }
  const Json& driver = csi_node->raw()["spec"]["drivers"][*place];
  std::set<std::string> reported;
  if (const Json* keys = api::FindMember(driver, "topologyKeys");
      keys != nullptr && keys->is_array()) {
    for (const Json& key : *keys) {
      if (key.is_string() && !key.get_ref<const std::string&>().starts_with(kPoolKey)) {
        reported.insert(key.get<std::string>());
      }
    }
  }
  return reported == wanted ? CsiRegistration::kAsWanted : CsiRegistration::kOutdated;
}

Json UnregisterPatch(const api::Object& csi_node) {
  const auto place = PlaceOf(csi_node);
  if (!place) {
    return nullptr;
  }
  const std::string path = "/spec/drivers/" + std::to_string(*place);
  return Json::array(
      {{{"op", "test"}, {"path", path + "/name"}, {"value", std::string(api::kCsiDriverName)}},
       {{"op", "remove"}, {"path", path}}});
}

}  // namespace breakwater::core
