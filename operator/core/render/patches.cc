#include "operator/core/render/patches.h"

#include <set>
#include <utility>

#include "operator/base/json_depth.h"
#include "operator/core/render/json_patch.h"
#include "operator/core/render/shape.h"
#include "operator/core/render/strategic_merge.h"
#include "operator/core/render/yaml.h"

namespace breakwater::core {
namespace {

using api::Json;

Error Invalid(std::string message) {
  return {ErrorClass::kInvalid, std::move(message)};
}

/// A value of `$patch` that nobody knows, or "".
std::string UnknownDirective(const Json& patch) {
  if (patch.is_object() && patch.contains("$patch")) {
    const std::string directive = api::StringAt(patch, "$patch");
    if (directive != "merge" && directive != "replace" && directive != "delete") {
      return patch["$patch"].dump();
    }
  }
  if (!patch.is_structured()) {
    return {};
  }
  for (const Json& member : patch) {
    if (std::string found = UnknownDirective(member); !found.empty()) {
      return found;
    }
  }
  return {};
}

/// As kustomize: a strategic merge patch is a resource, also where `target` says which ones it is
/// for. An empty one, and an empty list of operations, change nothing.
Result<void, Error> CheckContent(const ParsedPatch& patch) {
  const Json& content = patch.content;
  if (patch.is_json_patch) {
    return {};
  }
  if (!content.is_object()) {
    return Unexpected{Invalid("a patch must be an object or a list of JSON6902 operations")};
  }
  if (content.empty()) {
    return {};
  }
  const ResourceIdentity own = IdentityOf(content);
  if (own.kind.empty() || own.name.empty()) {
    std::string members;
    for (const auto& [key, value] : content.items()) {
      if (members.size() < 60) {
        members += (members.empty() ? "" : ", ") + key.substr(0, 60);
      }
    }
    return Unexpected{
        Invalid("a patch that is no list of operations must be a resource: kind and "
                "metadata.name are missing, there is: " +
                members)};
  }
  if (const std::string unknown = UnknownDirective(content); !unknown.empty()) {
    return Unexpected{Invalid("$patch is merge, replace or delete, not " + unknown)};
  }
  return {};
}

/// Annotations are texts; kustomize writes `5` and `true` as such.
void StringifyAnnotations(Json* object) {
  if (!object->is_object() || !object->contains("metadata") || !(*object)["metadata"].is_object() ||
      !(*object)["metadata"].contains("annotations")) {
    return;
  }
  for (Json& value : (*object)["metadata"]["annotations"]) {
    if (value.is_number() || value.is_boolean()) {
      value = value.dump();
    }
  }
}

/// An object that is there twice after a patch that renames; "" = none. All of a component come
/// into one namespace.
std::string Twice(const ResourceSet& resources) {
  std::set<std::string> seen;
  for (const RenderedResource& resource : resources) {
    const ResourceIdentity own = resource.Current();
    if (!seen.insert(own.group + "/" + own.kind + "/" + own.name).second) {
      return own.kind + " " + own.name;
    }
  }
  return {};
}

bool SameIdentity(const ResourceIdentity& a, const ResourceIdentity& b) {
  return a.group == b.group && a.version == b.version && a.kind == b.kind && a.name == b.name;
}

/// A strategic merge patch on one object; nullopt: the object is deleted.
std::optional<Json> Merge(const ParsedPatch& patch, const Json& object) {
  std::optional<Json> merged = StrategicMerge(object, patch.content);
  if (!merged) {
    return std::nullopt;
  }
  const auto restore = [&](const char* key) {
    if (object.contains(key)) {
      (*merged)[key] = object[key];
    } else {
      merged->erase(key);
    }
  };
  restore("apiVersion");  // also where the kind may change, as kustomize has it
  if (!patch.allow_kind_change) {
    restore("kind");
  }
  const ResourceIdentity before = IdentityOf(object);
  Json& metadata = (*merged)["metadata"];
  if (!metadata.is_object() && !metadata.is_null()) {
    return merged;  // CheckShape refuses it
  }
  if (!patch.allow_name_change) {
    metadata["name"] = before.name;
  }
  if (before.ns.empty()) {
    metadata.erase("namespace");
  } else {
    metadata["namespace"] = before.ns;
  }
  return merged;
}

std::map<std::string, std::string> LabelsOf(const Json& object) {
  return api::Object(object).labels();
}

std::map<std::string, std::string> AnnotationsOf(const Json& object) {
  return api::Object(object).annotations();
}

Result<std::vector<std::size_t>, Error> Select(const ParsedPatch& patch,
                                               const ResourceSet& resources) {
  std::vector<std::size_t> selected;
  std::optional<TargetMatcher> matcher;
  if (patch.target) {
    BREAKWATER_ASSIGN_OR_RETURN(matcher, TargetMatcher::Compile(*patch.target));
  }
  const ResourceIdentity own = IdentityOf(patch.content);
  for (std::size_t i = 0; i < resources.size(); ++i) {
    const RenderedResource& resource = resources[i];
    const bool match =
        matcher ? matcher->Matches({resource.original, resource.Current()},
                                   LabelsOf(resource.object), AnnotationsOf(resource.object))
                : SameIdentity(own, resource.original) || SameIdentity(own, resource.Current());
    if (match) {
      selected.push_back(i);
    }
  }
  return selected;
}

}  // namespace

std::string Describe(const ParsedPatch& patch) {
  if (patch.target) {
    return "patch for " + (patch.target->kind.empty() ? "any kind" : patch.target->kind) + " " +
           (patch.target->name.empty() ? "with any name" : "\"" + patch.target->name + "\"");
  }
  const ResourceIdentity identity = IdentityOf(patch.content);
  return "patch for " + identity.kind + " \"" + identity.name + "\"";
}

std::size_t CountMatches(const ParsedPatch& patch, const ResourceSet& resources) {
  const auto selected = Select(patch, resources);
  return selected ? selected->size() : 0;
}

namespace {

/// JSON is read as JSON: a YAML parser takes not all of it, as characters outside of the basic
/// plane.
Result<std::vector<Json>, Error> ReadDocuments(const std::string& text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  const bool may_be_json = first != std::string::npos && (text[first] == '[' || text[first] == '{');
  if (may_be_json && !NestsDeeperThan(text, kMaxJsonDepth)) {
    if (Json json = Json::parse(text, nullptr, false); !json.is_discarded()) {
      return std::vector<Json>{std::move(json)};
    }
  }
  return ParseYaml(text, YamlBooleans::kOldInLists);
}

}  // namespace

Result<ParsedPatch, Error> ParsePatch(const api::Patch& patch) {
  auto documents = ReadDocuments(patch.patch);
  if (!documents) {
    return Unexpected{documents.error().WithContext("patch is not YAML")};
  }
  if (documents->empty() && patch.target) {
    documents->push_back(Json::object());  // a comment changes nothing
  }
  if (documents->size() != 1) {
    return Unexpected{Invalid("a patch must be exactly one object or one list of operations, not " +
                              std::to_string(documents->size()) + " documents")};
  }
  ParsedPatch result{.content = std::move((*documents)[0]),
                     .target = patch.target,
                     .is_json_patch = false,
                     .allow_name_change = patch.allow_name_change,
                     .allow_kind_change = patch.allow_kind_change};
  result.is_json_patch = IsJsonPatch(result.content);
  BREAKWATER_RETURN_IF_ERROR(CheckContent(result));
  if (!result.target) {
    const ResourceIdentity own = IdentityOf(result.content);
    if (result.is_json_patch || own.kind.empty() || own.name.empty() || own.version.empty()) {
      return Unexpected{
          Invalid("a patch without `target` must have apiVersion, kind and metadata.name")};
    }
  }
  return result;
}

Result<int, Error> ApplyPatch(const ParsedPatch& patch,
                              MissingObject missing,
                              ResourceSet* resources) {
  auto selected = Select(patch, *resources);
  if (!selected) {
    return Unexpected{selected.error().WithContext(Describe(patch))};
  }
  if (selected->empty() && !patch.target && missing == MissingObject::kError) {
    return Unexpected{Invalid(Describe(patch) + ": there is no such object here")};
  }
  // Backwards, because a patch may delete its object.
  for (auto index = selected->rbegin(); index != selected->rend(); ++index) {
    RenderedResource& resource = (*resources)[*index];
    const std::string misfit = patch.is_json_patch ? "" : Misfit(resource.object, patch.content);
    if (patch.is_json_patch) {
      auto patched = ApplyJsonPatch(resource.object, patch.content);
      if (!patched) {
        return Unexpected{patched.error().WithContext(Describe(patch))};
      }
      resource.object = std::move(*patched);
    } else if (auto merged = Merge(patch, resource.object)) {
      resource.object = std::move(*merged);
    } else {
      resources->erase(resources->begin() + static_cast<std::ptrdiff_t>(*index));
      continue;
    }
    StringifyAnnotations(&resource.object);
    if (auto shape = CheckShape(resource.object); !shape) {
      return Unexpected{shape.error().WithContext(Describe(patch))};
    }
    if (!misfit.empty()) {
      return Unexpected{Invalid(Describe(patch) + ": " + misfit +
                                " is of another kind in the object: a map, a list or a value")};
    }
  }
  if (const std::string twice = Twice(*resources); !twice.empty()) {
    return Unexpected{Invalid(Describe(patch) + ": there are two objects " + twice + " now")};
  }
  return static_cast<int>(selected->size());
}

bool IsBarePodPatch(const ParsedPatch& patch) {
  const auto unset_or = [](const std::string& field, std::string_view value) {
    return field.empty() || field == value;
  };
  if (patch.target) {
    return patch.target->kind == "Pod" && patch.target->name == "satellite" &&
           patch.target->group.empty() && unset_or(patch.target->version, "v1");
  }
  const ResourceIdentity own = IdentityOf(patch.content);
  return own.group.empty() && own.kind == "Pod" && own.name == "satellite";
}

ParsedPatch ConvertBarePodPatch(ParsedPatch patch) {
  if (!IsBarePodPatch(patch)) {
    return patch;
  }
  if (patch.is_json_patch) {
    for (Json& operation : patch.content) {
      for (const char* key : {"path", "from"}) {
        if (operation.contains(key) && operation[key].is_string()) {
          operation[key] = "/spec/template" + operation[key].get<std::string>();
        }
      }
    }
  } else {
    Json pod_template = Json::object();
    if (const Json* metadata = api::FindMember(patch.content, "metadata")) {
      pod_template["metadata"] = *metadata;
      if (metadata->is_object()) {
        pod_template["metadata"].erase("name");
      }
    }
    if (const Json* spec = api::FindMember(patch.content, "spec")) {
      pod_template["spec"] = *spec;
    }
    const bool deletes = api::StringAt(patch.content, "$patch") == "delete";
    patch.content = PodTemplatePatch("DaemonSet", "linstor-satellite", pod_template).content;
    if (deletes) {
      patch.content["$patch"] = "delete";
    }
  }
  if (patch.target || patch.is_json_patch) {
    const std::string labels = patch.target ? patch.target->label_selector : "";
    const std::string annotations = patch.target ? patch.target->annotation_selector : "";
    patch.target = api::PatchTarget{.group = "apps",
                                    .version = "v1",
                                    .kind = "DaemonSet",
                                    .name = "linstor-satellite",
                                    .label_selector = labels,
                                    .annotation_selector = annotations};
  }
  return patch;
}

ParsedPatch PodTemplatePatch(const std::string& kind,
                             const std::string& name,
                             const Json& pod_template) {
  return MergePatchFor("apps/v1", kind, name, {{"spec", {{"template", pod_template}}}});
}

ParsedPatch MergePatchFor(const std::string& api_version,
                          const std::string& kind,
                          const std::string& name,
                          Json content) {
  content["apiVersion"] = api_version;
  content["kind"] = kind;
  content["metadata"]["name"] = name;
  return ParsedPatch{.content = std::move(content)};
}

}  // namespace breakwater::core
