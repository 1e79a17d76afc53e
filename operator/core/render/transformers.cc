#include "operator/core/render/transformers.h"

#include <set>
#include <string_view>

#include "operator/api/resources.h"

namespace breakwater::core {
namespace {

using api::Json;

/// The member at `key` when it is an object or list that can be changed; else null.
Json* Member(Json* object, std::string_view key) {
  if (object == nullptr || !object->is_object()) {
    return nullptr;
  }
  const auto it = object->find(key);
  return it == object->end() || it->is_null() ? nullptr : &*it;
}

Json* Path(Json* object, std::initializer_list<std::string_view> path) {
  for (const std::string_view step : path) {
    object = Member(object, step);
  }
  return object;
}

bool IsWorkload(const Json& object) {
  return api::StringAt(object, "apiVersion") == "apps/v1";
}

bool IsNamespaced(const ResourceIdentity& identity) {
  const api::ResourceInfo* info = api::FindResource(identity.group, identity.kind);
  return info == nullptr || info->namespaced;
}

void Merge(const Labels& labels, Json* map) {
  if (!map->is_object()) {
    *map = Json::object();
  }
  for (const auto& [key, value] : labels) {
    (*map)[key] = value;
  }
}

/// Adds labels to label selectors that are there (affinity, spread): new ones are not made.
void AddToExistingSelectors(const Labels& labels, Json* pod_spec) {
  for (const char* affinity : {"podAffinity", "podAntiAffinity"}) {
    Json* terms = Path(pod_spec, {"affinity", affinity});
    for (const char* list : {"requiredDuringSchedulingIgnoredDuringExecution",
                             "preferredDuringSchedulingIgnoredDuringExecution"}) {
      Json* entries = Member(terms, list);
      if (entries == nullptr || !entries->is_array()) {
        continue;
      }
      for (Json& entry : *entries) {
        Json* term = Member(&entry, "podAffinityTerm");
        if (Json* match = Path(term == nullptr ? &entry : term, {"labelSelector", "matchLabels"})) {
          Merge(labels, match);
        }
      }
    }
  }
  if (Json* spread = Member(pod_spec, "topologySpreadConstraints");
      spread != nullptr && spread->is_array()) {
    for (Json& constraint : *spread) {
      if (Json* match = Path(&constraint, {"labelSelector", "matchLabels"})) {
        Merge(labels, match);
      }
    }
  }
}

void RenameConfigMap(const std::set<std::string>& names,
                     const std::string& suffix,
                     Json* reference) {
  if (reference != nullptr && names.contains(api::StringAt(*reference, "name"))) {
    (*reference)["name"] = api::StringAt(*reference, "name") + suffix;
  }
}

template <typename Function>
void ForEach(Json* object, std::string_view list, Function function) {
  Json* entries = Member(object, list);
  if (entries != nullptr && entries->is_array()) {
    for (Json& entry : *entries) {
      function(&entry);
    }
  }
}

template <typename Function>
void ForEachContainer(Json* pod_spec, Function function) {
  ForEach(pod_spec, "initContainers", function);
  ForEach(pod_spec, "containers", function);
}

void RenameReferences(const std::set<std::string>& names,
                      const std::string& suffix,
                      Json* pod_spec) {
  ForEach(pod_spec, "volumes", [&](Json* volume) {
    RenameConfigMap(names, suffix, Member(volume, "configMap"));
    ForEach(Member(volume, "projected"), "sources",
            [&](Json* source) { RenameConfigMap(names, suffix, Member(source, "configMap")); });
  });
  ForEachContainer(pod_spec, [&](Json* container) {
    ForEach(container, "env", [&](Json* variable) {
      RenameConfigMap(names, suffix, Path(variable, {"valueFrom", "configMapKeyRef"}));
    });
    ForEach(container, "envFrom",
            [&](Json* source) { RenameConfigMap(names, suffix, Member(source, "configMapRef")); });
  });
}

}  // namespace

void SetNamespace(const std::string& ns, ResourceSet* resources) {
  for (RenderedResource& resource : *resources) {
    if (IsNamespaced(resource.Current())) {
      resource.object["metadata"]["namespace"] = ns;
    }
    ForEach(&resource.object, "subjects", [&](Json* subject) {
      if (api::StringAt(*subject, "kind") == "ServiceAccount") {
        (*subject)["namespace"] = ns;
      }
    });
  }
}

void AddNameSuffix(const std::string& suffix, ResourceSet* resources) {
  std::set<std::string> config_maps;
  for (const RenderedResource& resource : *resources) {
    const ResourceIdentity identity = resource.Current();
    if (identity.kind == "ConfigMap") {
      config_maps.insert(identity.name);
    }
  }
  for (RenderedResource& resource : *resources) {
    Json& name = resource.object["metadata"]["name"];
    name = resource.Current().name + suffix;
    if (IsWorkload(resource.object)) {
      RenameReferences(config_maps, suffix, Path(&resource.object, {"spec", "template", "spec"}));
    }
  }
}

void AddMetadataLabels(const Labels& labels, ResourceSet* resources) {
  for (RenderedResource& resource : *resources) {
    Merge(labels, &resource.object["metadata"]["labels"]);
  }
}

void AddSelectorLabels(const Labels& labels, ResourceSet* resources) {
  AddMetadataLabels(labels, resources);
  for (RenderedResource& resource : *resources) {
    Json& object = resource.object;
    if (IsWorkload(object)) {
      Merge(labels, &object["spec"]["selector"]["matchLabels"]);
      Merge(labels, &object["spec"]["template"]["metadata"]["labels"]);
      AddToExistingSelectors(labels, Path(&object, {"spec", "template", "spec"}));
    } else if (resource.Current().kind == "Service") {
      Merge(labels, &object["spec"]["selector"]);
    }
  }
}

void SetImages(const std::map<std::string, std::string>& references, ResourceSet* resources) {
  for (RenderedResource& resource : *resources) {
    ForEachContainer(Path(&resource.object, {"spec", "template", "spec"}), [&](Json* container) {
      const std::string image = api::StringAt(*container, "image");
      // A placeholder has no registry, so the first ':' or '@' starts its tag or digest.
      const auto found = references.find(image.substr(0, image.find_first_of(":@")));
      if (found != references.end()) {
        (*container)["image"] = found->second;
      }
    });
  }
}

}  // namespace breakwater::core
