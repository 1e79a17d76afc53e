#pragma once

/// ImageSource: the image configuration in use.

#include <map>
#include <string>

#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/core/render/image_config.h"
#include "operator/runtime/store.h"

namespace breakwater::controllers {

/// Reads the operator's image ConfigMap from a store at each call, so that a change is seen at
/// once. Thread safety: all methods may be called from any thread.
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
  Result<core::ImageConfig, Error> Get() const {
    const api::ObjectPtr object = config_maps_.Get(config_map_);
    if (!object) {
      return Unexpected{Error{ErrorClass::kTransient,
                              "ConfigMap " + config_map_.ToString() +
                                  " with the images (--image-config-map-name) is missing"}};
    }
    BREAKWATER_ASSIGN_OR_RETURN(core::ImageConfig config,
                                core::ImageConfig::FromConfigMap(object->raw()));
    config.SetOverrides(overrides_);
    return config;
  }

  const api::ObjectKey& config_map() const { return config_map_; }

 private:
  const runtime::Store& config_maps_;
  const api::ObjectKey config_map_;
  const std::map<std::string, std::string> overrides_;
};

}  // namespace breakwater::controllers
