#include "operator/core/admission/validate.h"

#include <algorithm>
#include <cstddef>
#include <set>

#include <re2/re2.h>

#include "operator/api/error_limit.h"
#include "operator/core/admission/storage_pool_rules.h"
#include "operator/core/render/patches.h"

namespace breakwater::core {
namespace {

bool ValidLabelKey(const std::string& key) {
  static const re2::RE2 kKey(
      R"(([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?)"
      R"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)");
  return re2::RE2::FullMatch(key, kKey);
}

void CheckNodeSelector(const std::string& path,
                       const std::map<std::string, std::string>& selector,
                       api::FieldErrors* errors) {
  static const re2::RE2 kValue(R"(([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?)");
  for (const auto& [key, value] : selector) {
    if (!ValidLabelKey(key)) {
      errors->push_back({path, "\"" + key + "\" is not a valid label key"});
    }
    if (!re2::RE2::FullMatch(value, kValue)) {
      errors->push_back({path + "." + key, "\"" + value + "\" is not a valid label value"});
    }
  }
}

/// The scheduler's rules: a requirement that it would refuse matches nothing here.
void CheckValues(const std::string& where,
                 const api::NodeSelectorRequirement& requirement,
                 api::FieldErrors* errors) {
  static const re2::RE2 kInteger(R"([-+]?\d+)");
  const bool list = requirement.op == "In" || requirement.op == "NotIn";
  const bool number = requirement.op == "Gt" || requirement.op == "Lt";
  if (list && requirement.values.empty()) {
    errors->push_back({where, requirement.op + " needs values"});
  }
  if (number &&
      (requirement.values.size() != 1 || !re2::RE2::FullMatch(requirement.values[0], kInteger))) {
    errors->push_back({where, requirement.op + " needs exactly one whole number"});
  }
  if (!list && !number && !requirement.op.empty() && !requirement.values.empty()) {
    errors->push_back({where, requirement.op + " takes no values"});
  }
}

void CheckNodeAffinity(const std::string& path,
                       const std::optional<api::NodeSelector>& affinity,
                       api::FieldErrors* errors) {
  if (!affinity) {
    return;
  }
  if (affinity->terms.empty()) {
    errors->push_back({path + ".nodeSelectorTerms", "must have at least one term"});
  }
  for (std::size_t i = 0; i < affinity->terms.size(); ++i) {
    const std::string where = path + ".nodeSelectorTerms[" + std::to_string(i) + "]";
    for (const api::NodeSelectorRequirement& field : affinity->terms[i].match_fields) {
      if (field.key != "metadata.name") {
        errors->push_back({where + ".matchFields", "only metadata.name can be matched"});
      }
    }
    for (const api::NodeSelectorRequirement& expression : affinity->terms[i].match_expressions) {
      if (!ValidLabelKey(expression.key)) {
        errors->push_back(
            {where + ".matchExpressions", "\"" + expression.key + "\" is not a valid label key"});
      }
    }
    for (const auto* list :
         {&affinity->terms[i].match_expressions, &affinity->terms[i].match_fields}) {
      for (const api::NodeSelectorRequirement& requirement : *list) {
        CheckValues(where, requirement, errors);
      }
    }
  }
}

void CheckPatches(const std::string& path,
                  const std::vector<api::Patch>& patches,
                  api::FieldErrors* errors) {
  for (std::size_t i = 0; i < patches.size(); ++i) {
    const std::string where = path + "[" + std::to_string(i) + "]";
    auto parsed = ParsePatch(patches[i]);
    if (!parsed) {
      errors->push_back({where + ".patch", parsed.error().message});
      continue;
    }
    if (parsed->target) {
      if (auto matcher = TargetMatcher::Compile(*parsed->target); !matcher) {
        errors->push_back({where + ".target", matcher.error().message});
      }
    }
  }
}

/// Not the whole pod schema: what the API server would refuse anyway, it refuses when the workload
/// is applied.
void CheckPodTemplate(const std::string& path,
                      const api::Json& pod_template,
                      api::FieldErrors* errors) {
  if (!pod_template.is_object()) {
    return;
  }
  for (const auto& [key, value] : pod_template.items()) {
    if (key != "metadata" && key != "spec") {
      errors->push_back({path + "." + key, "a pod template has only metadata and spec"});
    } else if (!value.is_object() && !value.is_null()) {
      errors->push_back({path + "." + key, "must be an object"});
    }
  }
  for (const char* list : {"containers", "initContainers", "volumes"}) {
    const api::Json* items = api::FindPath(pod_template, {"spec", list});
    if (items == nullptr || items->is_null()) {
      continue;
    }
    if (!items->is_array()) {
      errors->push_back({path + ".spec." + list, "must be a list"});
      continue;
    }
    for (std::size_t i = 0; i < items->size(); ++i) {
      const bool directive = (*items)[i].is_object() && (*items)[i].contains("$patch");
      if (api::StringAt((*items)[i], "name").empty() && !directive) {
        errors->push_back(
            {path + ".spec." + list + "[" + std::to_string(i) + "]", "must have a name"});
      }
    }
  }
}

void CheckUrl(const std::string& path,
              const std::optional<std::string>& urls,
              api::FieldErrors* errors) {
  if (!urls) {
    return;
  }
  static const re2::RE2 kUrl(
      R"((?:(?:https?|linstor(?:\+https?|\+ssl)?)://)?[A-Za-z0-9_.-]+(?::\d{1,5})?/?)");
  static const re2::RE2 kIpv6Url(R"([a-z+]+://\[.*)");
  std::size_t start = 0;
  while (start <= urls->size()) {
    const std::size_t end = std::min(urls->find(',', start), urls->size());
    std::string url = urls->substr(start, end - start);
    url.erase(0, url.find_first_not_of(' '));
    if (re2::RE2::FullMatch(url, kIpv6Url)) {  // see net/cpprest_transport.h
      errors->push_back({path, "\"" + url + "\": IPv6 literals are not supported, use a name"});
    } else if (!re2::RE2::FullMatch(url, kUrl)) {
      errors->push_back(
          {path, "\"" + url + "\" is not a URL such as http://linstor.example.com:3370"});
    }
    start = end + 1;
  }
}

/// Any other word would be read as "not set" by somebody on the way.
void CheckTlsValue(const std::string& path,
                   const std::vector<api::Property>& properties,
                   api::FieldErrors* errors) {
  static const re2::RE2 kYesOrNo("(?i)yes|no");
  for (const api::Property& property : properties) {
    if (property.name == "DrbdOptions/Net/tls" && !re2::RE2::FullMatch(property.value, kYesOrNo)) {
      errors->push_back(
          {path, "\"" + property.value + "\" is no value of " + property.name + "; use yes or no"});
    }
  }
}

}  // namespace

api::FieldErrors AllErrors(api::FieldErrors unreadable, const api::FieldErrors& invalid) {
  const std::size_t read_errors = unreadable.size();
  for (const api::FieldError& error : invalid) {
    const auto begin = unreadable.begin();
    const auto end = begin + static_cast<std::ptrdiff_t>(read_errors);
    const bool inside = std::any_of(begin, end, [&](const api::FieldError& unread) {
      return api::AnyErrorAt({error}, {unread.path});
    });
    if (!inside) {
      api::AddLimited(error, &unreadable);
    }
    if (api::IsCut(unreadable)) {
      break;
    }
  }
  return unreadable;
}

api::FieldErrors ValidateCluster(const api::LinstorClusterSpec& spec) {
  api::FieldErrors errors;
  CheckUrl("spec.externalController.url", spec.external_controller_url, &errors);
  CheckNodeSelector("spec.nodeSelector", spec.node_selector, &errors);
  CheckNodeAffinity("spec.nodeAffinity", spec.node_affinity, &errors);
  CheckPatches("spec.patches", spec.patches, &errors);
  const std::pair<const char*, const api::ComponentSpec*> components[] = {
      {"controller", &spec.controller},
      {"csiController", &spec.csi_controller},
      {"csiNode", &spec.csi_node},
      {"highAvailabilityController", &spec.high_availability_controller},
      {"affinityController", &spec.affinity_controller},
      {"nfsServer", &spec.nfs_server},
  };
  for (const auto& [name, component] : components) {
    CheckPodTemplate("spec." + std::string(name) + ".podTemplate", component->pod_template,
                     &errors);
  }
  CheckTlsValue("spec.properties", spec.properties, &errors);
  return errors;
}

api::FieldErrors ValidateSatelliteConfiguration(
    const api::LinstorSatelliteConfigurationSpec& spec) {
  api::FieldErrors errors;
  CheckNodeSelector("spec.nodeSelector", spec.node_selector, &errors);
  CheckNodeAffinity("spec.nodeAffinity", spec.node_affinity, &errors);
  CheckPatches("spec.patches", spec.patches, &errors);
  CheckPodTemplate("spec.podTemplate", spec.pod_template, &errors);
  CheckNodeProperties("spec.properties", spec.properties, &errors);
  CheckStoragePools("spec.storagePools", spec.storage_pools, &errors);
  return errors;
}

api::FieldErrors ValidateSatellite(const api::LinstorSatelliteSpec& spec) {
  api::FieldErrors errors;
  if (spec.cluster_ref.name.empty()) {
    errors.push_back({"spec.clusterRef.name", "must name the LinstorCluster"});
  }
  CheckUrl("spec.clusterRef.externalController.url", spec.cluster_ref.external_controller_url,
           &errors);
  CheckPatches("spec.patches", spec.patches, &errors);
  CheckNodeProperties("spec.properties", spec.properties, &errors);
  CheckStoragePools("spec.storagePools", spec.storage_pools, &errors);
  return errors;
}

api::FieldErrors ValidateNodeConnection(const api::LinstorNodeConnectionSpec& spec) {
  api::FieldErrors errors;
  for (std::size_t i = 0; i < spec.selector.size(); ++i) {
    const std::string where = "spec.selector[" + std::to_string(i) + "]";
    for (std::size_t j = 0; j < spec.selector[i].match_labels.size(); ++j) {
      const api::NodeConnectionMatch& match = spec.selector[i].match_labels[j];
      const std::string path = where + ".matchLabels[" + std::to_string(j) + "]";
      const bool takes_values =
          match.op == api::NodeConnectionOp::kIn || match.op == api::NodeConnectionOp::kNotIn;
      if (!takes_values && !match.values.empty()) {
        errors.push_back({path + ".values", "is not used by " + std::string(ToString(match.op))});
      }
      if (!ValidLabelKey(match.key)) {
        errors.push_back({path + ".key", "\"" + match.key + "\" is not a valid label key"});
      }
    }
  }
  return errors;
}

}  // namespace breakwater::core
