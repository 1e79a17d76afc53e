#pragma once

/// ImageConfig: which container image each component runs, read from the operator's image
/// ConfigMap.
///
/// Every value of the ConfigMap is a YAML document {base, components: {<name>: {image, tag, digest,
/// match}}}. Documents are read in the order of their keys; for each component the last one wins.
/// These are the rules of the Piraeus Operator v2.11, so that its ConfigMap can be used as it is.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "operator/api/object.h"
#include "operator/base/error.h"
#include "operator/base/result.h"

namespace re2 {
class RE2;
}  // namespace re2

namespace breakwater::core {

/// An image for nodes whose osImage matches an expression.
struct ImageMatch {
  std::shared_ptr<const re2::RE2> os_image{};  ///< not anchored; compiled once
  std::string image{};
  bool precompiled = false;  ///< the image brings built modules: no kernel sources needed
};

struct ComponentImage {
  std::string base{};  ///< registry and path, without the image's name
  std::string image{};
  std::string tag{};
  std::string digest{};  ///< "sha256:…": used instead of the tag
  std::vector<ImageMatch> match{};
};

struct ResolvedImages {
  /// Placeholder name ("linstor-satellite") -> full reference.
  std::map<std::string, std::string> references{};
  /// The module loader chosen for the node brings its modules.
  bool precompiled = false;
};

class ImageConfig {
 public:
  ImageConfig() = default;

  /// Reads `data` of the ConfigMap. kInvalid with the key of the document that cannot be read.
  static Result<ImageConfig, Error> FromConfigMap(const api::Json& config_map);

  /// Environment variables RELATED_IMAGE_<component> and RELATED_IMAGE_<component>_<image>: full
  /// references that override everything. Names are compared without regard to case, '-' and '_'.
  /// Others are ignored.
  void SetOverrides(const std::map<std::string, std::string>& environment);

  /// @param repository replaces the base of every document when not empty
  /// @param os_image status.nodeInfo.osImage of the node, "" for components that do not depend on
  /// it
  /// @param tags component -> tag to use instead of the configured tag or digest
  ResolvedImages Resolve(const std::string& repository,
                         const std::string& os_image,
                         const std::map<std::string, std::string>& tags = {}) const;

  bool empty() const { return components_.empty(); }

  /// What was left out: components without an image.
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  std::map<std::string, ComponentImage> components_;
  std::map<std::string, std::string> overrides_;  ///< by normalised variable name
  std::vector<std::string> warnings_;
};

}  // namespace breakwater::core
