#include "operator/core/cluster/controller_properties.h"

#include "operator/api/resources.h"

namespace breakwater::core {

const std::map<std::string, std::string>& DefaultControllerProperties() {
  // Suspend I/O instead of failing it, reconnect instead of staying apart, and never evict a node
  // for being away: a node that is restarted must find its volumes as they were.
  static const std::map<std::string, std::string> kDefaults{
      {"DrbdOptions/AutoEvictAllowEviction", "false"},
      {"DrbdOptions/Net/rr-conflict", "retry-connect"},
      {"DrbdOptions/Resource/on-no-data-accessible", "suspend-io"},
      {"DrbdOptions/Resource/on-no-quorum", "suspend-io"},
      {"DrbdOptions/Resource/on-suspended-primary-outdated", "force-secondary"},
  };
  return kDefaults;
}

std::map<std::string, std::string> DesiredControllerProperties(
    const std::vector<api::Property>& properties) {
  std::map<std::string, std::string> result = DefaultControllerProperties();
  for (const api::Property& property : properties) {
    result[property.name] = property.value;
  }
  result[std::string(api::kPropertyManagedBy)] = api::kPropertyManagedByValue;
  return result;
}

}  // namespace breakwater::core
