#pragma once

/// ImageSource: the image configuration in use.

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/core/render/image_config.h"
#include "operator/runtime/store.h"

namespace breakwater::controllers {

/// Looks at the operator's image ConfigMap in a store at each call, so that a change is seen at
/// once, and parses it again only then. Thread safety: all methods may be called from any thread.
class ImageSource {
 public:
  /// `overrides`: the RELATED_IMAGE_* variables of the environment.
  ImageSource(const runtime::Store& config_maps,
              api::ObjectKey config_map,
              std::map<std::string, std::string> overrides)
      : config_maps_(config_maps),
        config_map_(std::move(config_map)),
        overrides_(std::move(overrides)) {}

  /// kTransient when the ConfigMap is missing (it may appear), kInvalid when it cannot be read.
  Result<std::shared_ptr<const core::ImageConfig>, Error> Get() const {
    const api::ObjectPtr object = config_maps_.Get(config_map_);
    if (!object) {
      return Unexpected{Error{ErrorClass::kTransient,
                              "ConfigMap " + config_map_.ToString() +
                                  " with the images (--image-config-map-name) is missing"}};
    }
    const std::string version = VersionOf(*object);
    const std::lock_guard lock(mutex_);
    if (!parsed_ || parsed_version_ != version) {
      BREAKWATER_ASSIGN_OR_RETURN(core::ImageConfig config,
                                  core::ImageConfig::FromConfigMap(object->raw()));
      config.SetOverrides(overrides_);
      parsed_ = std::make_shared<const core::ImageConfig>(std::move(config));
      parsed_version_ = version;
    }
    return parsed_;
  }

  /// Changes whenever what Get returns may change.
  std::string Version() const {
    const api::ObjectPtr object = config_maps_.Get(config_map_);
    return object ? VersionOf(*object) : "";
  }

  const api::ObjectKey& config_map() const { return config_map_; }

 private:
  static std::string VersionOf(const api::Object& object) {
    return object.uid() + "/" + object.resource_version();
  }

  const runtime::Store& config_maps_;
  const api::ObjectKey config_map_;
  const std::map<std::string, std::string> overrides_;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const core::ImageConfig> parsed_;  // guarded by mutex_
  mutable std::string parsed_version_;                       // guarded by mutex_
};

}  // namespace breakwater::controllers
