#pragma once

/// Merging of LinstorSatelliteConfigurations into the spec of one LinstorSatellite.

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "operator/api/linstor_satellite.h"
#include "operator/core/render/render.h"

namespace breakwater::core {

/// internalTLS of several configurations. Those that say nothing about a part leave it as it is:
/// there are three parts, the source of the certificate (secretName with certManager, because
/// cert-manager overwrites the Secret), caReference and tlsHandshakeDaemon. Of two that contradict
/// each other the later wins. The Piraeus Operator lets the last block replace the others as a
/// whole, which takes the handshake daemon away without a word.
class TlsMerge {
 public:
  /// In the order of names.
  void Add(const std::string& configuration, const api::TlsConfig& tls);

  const std::optional<api::TlsConfig>& merged() const { return merged_; }

  /// What does not count because a later configuration says something else.
  struct Overridden {
    std::string loser{};
    std::string winner{};
    std::string field{};  ///< "internalTLS.caReference"

    std::string ToString() const {
      return field + " of LinstorSatelliteConfiguration " + loser + " does not count: " + winner +
             " says something else, and its name comes later";
    }
  };

  const std::vector<Overridden>& overridden() const { return overridden_; }

 private:
  void Note(const std::string& loser, const std::string& winner, const char* field);

  std::optional<api::TlsConfig> merged_{};
  std::string source_{};  // the configuration that a part is from; "": nobody's
  std::string ca_{};
  std::string daemon_{};
  std::vector<Overridden> overridden_{};
};

struct MergedConfiguration {
  /// Without cluster_ref and repository, which come from the cluster.
  api::LinstorSatelliteSpec spec{};
  std::vector<std::string> applied{};  ///< names, sorted
  /// How many of spec.patches are of each of them, in the same order.
  std::vector<std::size_t> patches{};
  std::vector<TlsMerge::Overridden> overridden{};
};

/// The configurations that match `node`, merged in the order of their names: patches are
/// concatenated (a podTemplate becomes a patch before the patches of its own configuration);
/// properties and pools by name, the later whole entry wins, sorted by name; internalTLS: see
/// TlsMerge; ipFamilies, deletionPolicy, evacuationStrategy and separator: the last one that is set
/// wins as a whole. But for internalTLS these are the rules of the Piraeus Operator v2.11.
MergedConfiguration MergeConfigurations(const api::Object& node,
                                        std::vector<NamedConfiguration> configurations);

/// Whether the selectors of a configuration match the node.
bool MatchesNode(const api::LinstorSatelliteConfigurationSpec& spec, const api::Object& node);

/// Names of the configurations that were merged into a LinstorSatellite, from its annotation.
std::vector<std::string> AppliedConfigurations(const api::Object& satellite);

/// The properties that every satellite has (topology); user entries of the same name replace them.
std::vector<api::LinstorNodeProperty> DefaultSatelliteProperties();

}  // namespace breakwater::core
