#pragma once

/// Merging of LinstorSatelliteConfigurations into the spec of one LinstorSatellite.

#include <string>
#include <vector>

#include "operator/api/linstor_satellite.h"
#include "operator/core/render/render.h"

namespace breakwater::core {

struct MergedConfiguration {
  /// Without cluster_ref and repository, which come from the cluster.
  api::LinstorSatelliteSpec spec{};
  std::vector<std::string> applied{};  ///< names, sorted
};

/// The configurations that match `node`, merged in the order of their names: patches are
/// concatenated (a podTemplate becomes a patch before the patches of its own configuration);
/// properties and pools by name, the later whole entry wins, sorted by name; internalTLS,
/// ipFamilies, deletionPolicy, evacuationStrategy and separator: the last one that is set wins as a
/// whole. Rules of the Piraeus Operator v2.11.
MergedConfiguration MergeConfigurations(const api::Object& node,
                                        std::vector<NamedConfiguration> configurations);

/// Whether the selectors of a configuration match the node.
bool MatchesNode(const api::LinstorSatelliteConfigurationSpec& spec, const api::Object& node);

/// Names of the configurations that were merged into a LinstorSatellite, from its annotation.
std::vector<std::string> AppliedConfigurations(const api::Object& satellite);

/// The properties that every satellite has (topology); user entries of the same name replace them.
std::vector<api::LinstorNodeProperty> DefaultSatelliteProperties();

}  // namespace breakwater::core
