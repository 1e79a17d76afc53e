#include "operator/runtime/trigger.h"

#include <initializer_list>
#include <string_view>

namespace breakwater::runtime {
namespace {

using Path = std::initializer_list<std::string_view>;

bool SameAt(const ChangeEvent& change, Path path) {
  const api::Json* before = api::FindPath(change.before->raw(), path);
  const api::Json* after = api::FindPath(change.after->raw(), path);
  if (before == nullptr || after == nullptr) {
    return before == after;
  }
  return *before == *after;
}

bool SameAtAll(const ChangeEvent& change, std::initializer_list<Path> paths) {
  for (const Path& path : paths) {
    if (!SameAt(change, path)) {
      return false;
    }
  }
  return true;
}

/// Whether the node's Ready condition is the same but for its heartbeat.
bool SameReadiness(const ChangeEvent& change) {
  const auto status = [](const api::Object& node) {
    const api::Json* conditions = api::FindPath(node.raw(), {"status", "conditions"});
    if (conditions != nullptr && conditions->is_array()) {
      for (const api::Json& condition : *conditions) {
        if (api::StringAt(condition, "type") == "Ready") {
          return api::StringAt(condition, "status");
        }
      }
    }
    return std::string();
  };
  return status(*change.before) == status(*change.after);
}

}  // namespace

bool SpecOrMetadataChanged(const ChangeEvent& change) {
  if (!change.before || !change.after) {
    return true;
  }
  // No generation: a kind without one (Secret, ConfigMap); then only the whole object tells.
  if (change.after->generation() == 0) {
    return true;
  }
  return !SameAtAll(change, {{"metadata", "generation"},
                             {"metadata", "labels"},
                             {"metadata", "annotations"},
                             {"metadata", "finalizers"},
                             {"metadata", "ownerReferences"},
                             {"metadata", "deletionTimestamp"}});
}

bool IgnoringHeartbeats(const ChangeEvent& change) {
  if (!change.before || !change.after) {
    return true;
  }
  return !SameReadiness(change) || !SameAtAll(change, {{"metadata", "labels"},
                                                       {"metadata", "annotations"},
                                                       {"metadata", "deletionTimestamp"},
                                                       {"spec"},
                                                       {"status", "addresses"},
                                                       {"status", "nodeInfo"}});
}

std::vector<api::ObjectKey> ControllerOwners(const ChangeEvent& change, const Store& owners) {
  std::vector<api::ObjectKey> keys;
  for (const api::ObjectPtr& object : {change.before, change.after}) {
    const std::string uid = object ? object->controller_uid() : std::string();
    const api::ObjectPtr owner = uid.empty() ? nullptr : owners.FindByUid(uid);
    if (owner && (keys.empty() || keys.back() != owner->key())) {
      keys.push_back(owner->key());
    }
  }
  return keys;
}

std::vector<api::ObjectKey> AllKeys(const Store& store) {
  std::vector<api::ObjectKey> keys;
  for (const api::ObjectPtr& object : store.List()) {
    keys.push_back(object->key());
  }
  return keys;
}

}  // namespace breakwater::runtime
