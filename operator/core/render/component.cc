#include "operator/core/render/component.h"

#include <utility>

#include "operator/api/resources.h"
#include "operator/core/render/manifests.h"
#include "operator/core/render/patch_guard.h"

namespace breakwater::core {
namespace {

using api::Json;

/// Every account pulls with this secret; one patch with a target, as users' patches see the result.
ParsedPatch PullSecretPatch(const std::string& secret) {
  ParsedPatch patch;
  patch.target = api::PatchTarget{.version = "v1", .kind = "ServiceAccount"};
  patch.content = {{"apiVersion", "v1"},
                   {"kind", "ServiceAccount"},
                   {"imagePullSecrets", Json::array({{{"name", secret}}})}};
  return patch;
}

/// A patch of a user: applied, and taken for an error when it raises rights.
Result<int, Error> ApplyUserPatch(const ParsedPatch& patch,
                                  MissingObject missing,
                                  const std::set<std::string>& keys,
                                  ResourceSet* resources) {
  const ResourceSet before = *resources;
  BREAKWATER_ASSIGN_OR_RETURN(const int count, ApplyPatch(patch, missing, resources));
  BREAKWATER_RETURN_IF_ERROR(CheckRights(before, *resources, keys));
  return count;
}

/// "spec.patches[2] for DaemonSet linstor-csi-node": which patch, and what it was meant for.
std::string NameOf(std::size_t index, const ParsedPatch& patch) {
  std::string text =
      patch.path.empty() ? "spec.patches[" + std::to_string(index) + "]" : patch.path;
  const ResourceIdentity own = patch.is_json_patch ? ResourceIdentity{} : IdentityOf(patch.content);
  const std::string kind = patch.target ? patch.target->kind : own.kind;
  const std::string name = patch.target ? patch.target->name : own.name;
  if (!kind.empty() || !name.empty()) {
    text += " for " + kind + (kind.empty() || name.empty() ? "" : " ") + name;
  }
  return text;
}

}  // namespace

void Component::AddManifest(std::string_view manifest) {
  for (const Json& object : Manifest(manifest)) {
    resources.emplace_back(object);
  }
}

Result<ResourceSet, Error> Build(Component component,
                                 const BuildSettings& settings,
                                 const std::vector<ParsedPatch>& user_patches,
                                 MissingObject missing,
                                 std::vector<int>* matches) {
  std::vector<ParsedPatch> built_in = std::move(component.patches);
  if (!settings.pull_secret.empty()) {
    built_in.push_back(PullSecretPatch(settings.pull_secret));
  }
  ResourceSet& resources = component.resources;
  for (const ParsedPatch& patch : built_in) {
    BREAKWATER_RETURN_IF_ERROR(ApplyPatch(patch, MissingObject::kError, &resources));
  }
  if (component.pod_template) {
    auto applied =
        ApplyUserPatch(*component.pod_template, MissingObject::kError, settings.keys, &resources);
    if (!applied) {
      return Unexpected{applied.error().WithContext(component.pod_template_path)};
    }
  }
  for (std::size_t i = 0; i < user_patches.size(); ++i) {
    auto count = ApplyUserPatch(user_patches[i], missing, settings.keys, &resources);
    if (!count) {
      return Unexpected{count.error().WithContext(NameOf(i, user_patches[i]))};
    }
    if (matches != nullptr) {
      (*matches)[i] += *count;
    }
  }
  SetNamespace(settings.ns, &resources);
  if (!settings.name_suffix.empty()) {
    AddNameSuffix(settings.name_suffix, &resources);
  }
  if (component.label_selectors) {
    AddSelectorLabels(settings.selector_labels, &resources);
  } else {
    AddMetadataLabels(settings.selector_labels, &resources);
  }
  AddMetadataLabels(settings.metadata_labels, &resources);
  SetImages(settings.images, &resources);
  return std::move(resources);
}

Labels SelectorLabels(const std::string& cluster) {
  return {{std::string(api::kLabelName), "piraeus-datastore"},
          {std::string(api::kLabelInstance), cluster}};
}

Labels ManagedByLabels() {
  return {{std::string(api::kLabelManagedBy), "piraeus-operator"}};
}

Labels MetadataLabels() {
  Labels labels = ManagedByLabels();
  labels["app.kubernetes.io/version"] = BREAKWATER_VERSION;
  return labels;
}

}  // namespace breakwater::core
