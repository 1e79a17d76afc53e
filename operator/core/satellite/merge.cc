#include "operator/core/satellite/merge.h"

#include <algorithm>
#include <map>
#include <utility>

#include "operator/api/resources.h"
#include "operator/core/cluster/node_matching.h"
#include "operator/core/render/patches.h"

namespace breakwater::core {
namespace {

api::Patch AsPatch(const api::Json& pod_template) {
  return {.patch = PodTemplatePatch("DaemonSet", "linstor-satellite", pod_template).content.dump(),
          .target = api::PatchTarget{
              .group = "apps", .version = "v1", .kind = "DaemonSet", .name = "linstor-satellite"}};
}

template <typename T>
void Replace(const std::optional<T>& newer, std::optional<T>* value) {
  if (newer) {
    *value = newer;
  }
}

}  // namespace

bool MatchesNode(const api::LinstorSatelliteConfigurationSpec& spec, const api::Object& node) {
  return MatchesSelector(spec.node_selector, node) &&
         (!spec.node_affinity || MatchesAffinity(*spec.node_affinity, node));
}

std::vector<std::string> AppliedConfigurations(const api::Object& satellite) {
  std::vector<std::string> names;
  const std::string text = satellite.annotation(api::kAnnotationAppliedConfigurations);
  std::size_t start = 0;
  while (start < text.size()) {
    const std::size_t comma = std::min(text.find(',', start), text.size());
    if (comma > start) {
      names.push_back(text.substr(start, comma - start));
    }
    start = comma + 1;
  }
  return names;
}

void TlsMerge::Note(const std::string& loser, const std::string& winner, const char* field) {
  if (!loser.empty()) {
    overridden_.push_back({loser, winner, std::string("internalTLS.") + field});
  }
}

void TlsMerge::Add(const std::string& configuration, const api::TlsConfig& tls) {
  if (!merged_) {
    merged_.emplace();
  }
  if (!tls.secret_name.empty() || tls.cert_manager) {
    if (merged_->cert_manager && merged_->cert_manager != tls.cert_manager) {
      Note(source_, configuration, "certManager");
    }
    if (!merged_->secret_name.empty() && merged_->secret_name != tls.secret_name) {
      Note(source_, configuration, "secretName");
    }
    merged_->secret_name = tls.secret_name;
    merged_->cert_manager = tls.cert_manager;
    source_ = configuration;
  }
  if (tls.ca_reference) {
    if (merged_->ca_reference && merged_->ca_reference != tls.ca_reference) {
      Note(ca_, configuration, "caReference");
    }
    merged_->ca_reference = tls.ca_reference;
    ca_ = configuration;
  }
  if (tls.tls_handshake_daemon || tls.refuses_handshake_daemon) {
    if (!daemon_.empty() && merged_->tls_handshake_daemon != tls.tls_handshake_daemon) {
      Note(daemon_, configuration, "tlsHandshakeDaemon");
    }
    merged_->tls_handshake_daemon = tls.tls_handshake_daemon;
    daemon_ = configuration;
  }
}

MergedConfiguration MergeConfigurations(const api::Object& node,
                                        std::vector<NamedConfiguration> configurations) {
  std::sort(
      configurations.begin(), configurations.end(),
      [](const NamedConfiguration& a, const NamedConfiguration& b) { return a.name < b.name; });
  MergedConfiguration result;
  std::map<std::string, api::LinstorNodeProperty> properties;
  std::map<std::string, api::StoragePool> pools;
  TlsMerge tls;
  std::optional<std::vector<std::string>> ip_families;
  std::optional<api::DeletionPolicy> deletion_policy;
  std::optional<std::string> separator;
  for (const NamedConfiguration& configuration : configurations) {
    const api::LinstorSatelliteConfigurationSpec& spec = configuration.spec;
    if (!MatchesNode(spec, node)) {
      continue;
    }
    result.applied.push_back(configuration.name);
    const std::size_t before = result.spec.patches.size();
    if (spec.pod_template.is_object()) {
      result.spec.patches.push_back(AsPatch(spec.pod_template));
    }
    result.spec.patches.insert(result.spec.patches.end(), spec.patches.begin(), spec.patches.end());
    result.patches.push_back(result.spec.patches.size() - before);
    for (const api::LinstorNodeProperty& property : spec.properties) {
      properties[property.name] = property;
    }
    for (const api::StoragePool& pool : spec.storage_pools) {
      pools[pool.name] = pool;
    }
    if (spec.internal_tls) {
      tls.Add(configuration.name, *spec.internal_tls);
    }
    Replace(spec.ip_families, &ip_families);
    Replace(spec.deletion_policy, &deletion_policy);
    Replace(spec.evacuation_strategy, &result.spec.evacuation_strategy);
    Replace(spec.resource_name_suffix_separator, &separator);
  }
  // A user's entry replaces the default of the same name: two entries would make the list invalid.
  for (api::LinstorNodeProperty& property : DefaultSatelliteProperties()) {
    if (!properties.contains(property.name)) {
      result.spec.properties.push_back(std::move(property));
    }
  }
  for (auto& [name, property] : properties) {
    result.spec.properties.push_back(std::move(property));
  }
  for (auto& [name, pool] : pools) {
    result.spec.storage_pools.push_back(std::move(pool));
  }
  result.spec.internal_tls = tls.merged();
  result.overridden = tls.overridden();
  result.spec.ip_families = ip_families.value_or(std::vector<std::string>());
  result.spec.deletion_policy = deletion_policy.value_or(api::DeletionPolicy::kRetain);
  result.spec.resource_name_suffix_separator = separator.value_or(".");
  return result;
}

std::vector<api::LinstorNodeProperty> DefaultSatelliteProperties() {
  const auto property = [](const char* name, const char* field, bool optional) {
    return api::LinstorNodeProperty{.name = name, .value_from = field, .optional = optional};
  };
  return {
      property("Aux/topology/linbit.com/hostname", "metadata.name", false),
      property("Aux/topology/kubernetes.io/hostname", "metadata.labels['kubernetes.io/hostname']",
               false),
      property("Aux/topology/topology.kubernetes.io/region",
               "metadata.labels['topology.kubernetes.io/region']", true),
      property("Aux/topology/topology.kubernetes.io/zone",
               "metadata.labels['topology.kubernetes.io/zone']", true),
  };
}

}  // namespace breakwater::core
