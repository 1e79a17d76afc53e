#include "operator/core/render/manifests.h"

#include <cstdlib>
#include <map>
#include <string>
#include <utility>

#include "operator/core/render/embedded_manifests.h"
#include "operator/core/render/yaml.h"

namespace breakwater::core {

const std::vector<api::Json>& Manifest(std::string_view name) {
  static const auto kParsed = [] {
    std::map<std::string, std::vector<api::Json>, std::less<>> parsed;
    for (const EmbeddedManifest& manifest : EmbeddedManifests()) {
      auto documents = ParseYaml(manifest.text);
      if (!documents) {
        std::abort();
      }
      parsed.emplace(manifest.name, std::move(*documents));
    }
    return parsed;
  }();
  const auto found = kParsed.find(name);
  if (found == kParsed.end()) {
    std::abort();
  }
  return found->second;
}

}  // namespace breakwater::core
