#pragma once

/// One event of a watch.

#include <string>

#include <nlohmann/json.hpp>

namespace breakwater::kube {

struct WatchEvent {
  enum class Type { kAdded, kModified, kDeleted, kBookmark, kError };

  Type type = Type::kAdded;
  nlohmann::json object{};         ///< the object; for kError the Status
  std::string resource_version{};  ///< of the object; "" when the object could not be read
};

}  // namespace breakwater::kube
