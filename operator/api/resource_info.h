#pragma once

/// ResourceInfo: how a kind is addressed in the API server. ObjectKey: how an object is.

#include <compare>
#include <string>

namespace breakwater::api {

struct ResourceInfo {
  std::string group{};  ///< "" for the core group
  std::string version = "v1";
  std::string kind{};
  std::string plural{};
  bool namespaced = true;

  /// "apps/v1" or "v1".
  std::string ApiVersion() const { return group.empty() ? version : group + "/" + version; }

  auto operator<=>(const ResourceInfo&) const = default;
};

struct ObjectKey {
  std::string ns{};  ///< "" for cluster-scoped kinds
  std::string name{};

  std::string ToString() const { return ns.empty() ? name : ns + "/" + name; }

  auto operator<=>(const ObjectKey&) const = default;
};

}  // namespace breakwater::api
