#pragma once

/// The base manifests, compiled in from render/manifests/*.yaml.

#include <string_view>
#include <vector>

#include "operator/api/object.h"

namespace breakwater::core {

/// Objects of the manifest with that file name without ".yaml". Aborts for an unknown name or a
/// manifest that is not YAML: both are errors of the build, found by the tests.
const std::vector<api::Json>& Manifest(std::string_view name);

}  // namespace breakwater::core
