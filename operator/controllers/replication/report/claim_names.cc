#include "operator/controllers/replication/report/claim_names.h"

#include <memory>

namespace breakwater::controllers {

std::map<std::string, std::string> ClaimsOf(const replication::FloorRules& rules) {
  std::map<std::string, std::string> claims;
  for (const auto& [resource, origin] : rules.origins) {
    if (!origin.claim.empty()) {
      claims.emplace(resource, origin.claim);
    }
  }
  return claims;
}

std::string ClaimOf(const ClaimBoard& claims, const std::string& resource) {
  const std::shared_ptr<const std::map<std::string, std::string>> known = claims.Get();
  if (known == nullptr) {
    return "";
  }
  const auto found = known->find(resource);
  return found == known->end() ? "" : found->second;
}

std::string ClaimSuffix(const ClaimBoard& claims, const std::string& resource) {
  const std::string claim = ClaimOf(claims, resource);
  return claim.empty() ? "" : " (claim " + claim + ")";
}

runtime::MetricLabels VolumeLabels(const ClaimBoard& claims, const std::string& resource) {
  const std::string claim = ClaimOf(claims, resource);
  runtime::MetricLabels labels{{"resource", resource}};
  if (const std::size_t slash = claim.find('/'); slash != std::string::npos) {
    labels.emplace("claim_namespace", claim.substr(0, slash));
    labels.emplace("persistentvolumeclaim", claim.substr(slash + 1));
  }
  return labels;
}

void NameClaims(const ClaimBoard& claims, api::ReplicationTlsStatus* status) {
  const auto name = [&](auto& entries) {
    for (auto& entry : entries) {
      entry.claim = ClaimOf(claims, entry.resource);
    }
  };
  name(status->exempt);
  name(status->in_flight);
  name(status->failures);
  name(status->stale_peers);
}

}  // namespace breakwater::controllers
