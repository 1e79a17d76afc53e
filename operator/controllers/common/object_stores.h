#pragma once

/// ObjectStores: the stores of the kinds that a controller writes, found by kind.

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "operator/runtime/store.h"

namespace breakwater::controllers {

/// Borrows the stores. Filled before the controllers start, then only read: safe to share.
class ObjectStores {
 public:
  void Add(const runtime::Store& store) {
    stores_[{store.resource().group, store.resource().kind}] = &store;
  }

  /// Null for a kind that is not watched, e.g. Certificate where cert-manager is not installed.
  const runtime::Store* Find(std::string_view group, std::string_view kind) const {
    const auto found = stores_.find({std::string(group), std::string(kind)});
    return found == stores_.end() ? nullptr : found->second;
  }

  /// The stores of the listed kinds that are watched.
  std::vector<const runtime::Store*> Select(const std::vector<api::ResourceInfo>& resources) const {
    std::vector<const runtime::Store*> selected;
    for (const api::ResourceInfo& resource : resources) {
      if (const runtime::Store* store = Find(resource.group, resource.kind)) {
        selected.push_back(store);
      }
    }
    return selected;
  }

 private:
  std::map<std::pair<std::string, std::string>, const runtime::Store*> stores_;
};

}  // namespace breakwater::controllers
