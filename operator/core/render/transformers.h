#pragma once

/// The transformers that run after the patches: namespace, name suffix, labels, images.

#include <map>
#include <string>

#include "operator/core/render/resource_set.h"

namespace breakwater::core {

using Labels = std::map<std::string, std::string>;

/// metadata.namespace of namespaced kinds, and of the ServiceAccounts that bindings name.
void SetNamespace(const std::string& ns, ResourceSet* resources);

/// Renames all objects, and the references to ConfigMaps of the same set in pod specs.
void AddNameSuffix(const std::string& suffix, ResourceSet* resources);

/// Labels on metadata only.
void AddMetadataLabels(const Labels& labels, ResourceSet* resources);

/// Labels on metadata, pod templates and selectors (selectors of Services and workloads are
/// immutable or decide about traffic: never change what goes in here for an existing cluster).
void AddSelectorLabels(const Labels& labels, ResourceSet* resources);

/// Replaces container images that are equal to a placeholder, alone or with a tag or digest. Images
/// that a user's patch has set to something else stay.
void SetImages(const std::map<std::string, std::string>& references, ResourceSet* resources);

}  // namespace breakwater::core
