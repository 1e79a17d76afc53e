#include "operator/core/replication/plan/floor.h"

#include <algorithm>
#include <set>

#include "operator/core/replication/volume/gate.h"

namespace breakwater::replication {

std::string Describe(const Exemption& exemption) {
  std::string text = !exemption.resource.empty() ? "resource " + exemption.resource
                     : !exemption.claim.empty()  ? "claim " + exemption.claim
                                                 : "StorageClass " + exemption.storage_class;
  return exemption.reason.empty() ? text : text + " (" + exemption.reason + ")";
}

VolumeFloor FloorOf(const FloorRules& rules,
                    const std::string& resource,
                    std::optional<bool> cluster) {
  const auto found = rules.origins.find(resource);
  const VolumeOrigin origin = found == rules.origins.end() ? VolumeOrigin{} : found->second;
  const auto named = std::find_if(
      rules.exemptions.begin(), rules.exemptions.end(), [&](const Exemption& exemption) {
        return (!exemption.resource.empty() && exemption.resource == resource) ||
               (!exemption.claim.empty() && exemption.claim == origin.claim) ||
               (!exemption.storage_class.empty() &&
                exemption.storage_class == origin.storage_class);
      });
  if (named != rules.exemptions.end()) {
    return {.tls = false, .cluster = false, .exempt = "exemption of " + Describe(*named)};
  }
  const auto word = rules.classes.find(origin.storage_class);
  if (word != rules.classes.end() && !word->second) {
    return {.tls = false,
            .cluster = cluster,
            .exempt = "StorageClass " + origin.storage_class + " says no"};
  }
  const bool asked = (word != rules.classes.end() && word->second) || rules.cluster == true;
  return {.tls = rules.enabled && asked, .cluster = cluster, .exempt = ""};
}

bool GroupComing(const FloorRules& rules, const std::string& resource, const std::string& group) {
  if (rules.tls_groups.contains(group)) {
    return true;
  }
  const auto origin = rules.origins.find(resource);
  if (origin == rules.origins.end()) {
    return false;
  }
  const auto word = rules.classes.find(origin->second.storage_class);
  return word != rules.classes.end() && word->second;
}

std::vector<std::string> BelowFloor(const ResourceLevels& levels) {
  std::vector<std::string> below;
  if (!levels.known || !levels.floor) {
    return below;
  }
  const auto refused = [](const Level& level) { return level.value == false && !level.ours; };
  if (refused(levels.definition)) {
    below.emplace_back("resource definition");
  }
  for (const auto& [pair, level] : levels.pairs) {
    if (refused(level)) {
      below.push_back("connection " + pair);
    }
  }
  if (levels.group == false) {
    below.emplace_back("resource group");
  }
  for (const auto& [pair, value] : levels.node_connections) {
    if (!value) {
      below.push_back("node connection " + pair);
    }
  }
  return below;
}

bool CanStayCut(const ResourceObservation& seen) {
  std::map<std::string, std::set<Pair>> down;  // by node
  for (const auto& [pair, connection] : seen.connections) {
    if (!connection.BothConnected()) {
      down[pair.a].insert(pair);
      down[pair.b].insert(pair);
    }
  }
  return std::all_of(seen.nodes.begin(), seen.nodes.end(), [&](const auto& item) {
    if (!item.second.primary) {
      return true;
    }
    const AfterCut left = LookAfterCut(seen, item.first, down[item.first]);
    return left.quorum && left.copies > 1;
  });
}

bool WaitsForTls(const ResourceObservation& seen) {
  const auto encrypted = [](const auto& item) {
    return item.second.a.tls == true || item.second.b.tls == true;
  };
  return seen.levels.known && seen.levels.floor && CanStayCut(seen) &&
         std::all_of(seen.connections.begin(), seen.connections.end(), encrypted);
}

bool HoldsFloor(const ResourceObservation& seen) {
  // It follows what a connection has run: one with "no" has not been encrypted.
  const auto encrypted = [&](const auto& item) {
    return Effective(seen.levels, item.first.ToString());
  };
  return seen.levels.known && seen.levels.floor &&
         std::all_of(seen.connections.begin(), seen.connections.end(), encrypted) &&
         CanStayCut(seen);
}

}  // namespace breakwater::replication
