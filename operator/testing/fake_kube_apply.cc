// Server-side apply of FakeKube.

#include <utility>

#include "operator/api/object.h"
#include "operator/testing/fake_kube.h"
#include "operator/testing/fake_kube_rules.h"

namespace breakwater::testing {
namespace {

std::string PathText(const FieldPath& path) {
  std::string text;
  for (const std::string& step : path) {
    text += step[0] == 'f' ? "." + step.substr(2) : "[" + step.substr(2) + "]";
  }
  return text;
}

/// The first field on which another manager insists with another value; "" when there is none.
std::string FindConflict(const std::map<std::string, FieldSet>& owned,
                         const std::string& manager,
                         const FieldSet& wanted,
                         const Json& live,
                         const Json& config) {
  for (const FieldPath& path : wanted) {
    const Json* is = FieldAt(live, path);
    const Json* want = FieldAt(config, path);
    if (is == nullptr || want == nullptr || *is == *want) {
      continue;
    }
    for (const auto& [other, fields] : owned) {
      if (other != manager && fields.count(path) != 0) {
        return "conflict with \"" + other + "\": " + PathText(path);
      }
    }
  }
  return {};
}

bool OwnedByOther(const std::map<std::string, FieldSet>& owned,
                  const std::string& manager,
                  const FieldPath& path) {
  for (const auto& [other, fields] : owned) {
    if (other != manager && fields.count(path) != 0) {
      return true;
    }
  }
  return false;
}

}  // namespace

KubeResult<Json> FakeKube::ApplyLocked(const ResourceInfo& resource,
                                       const ObjectKey& key,
                                       const Json& object,
                                       const kube::ApplyOptions& options) {
  if (options.field_manager.empty()) {
    return Unexpected{MakeError(422, "Invalid", "fieldManager: Required value for apply patch")};
  }
  Table& table = TableOf(resource);
  const auto found = table.objects.find(key);
  const bool exists = found != table.objects.end();
  if (!exists && !options.subresource.empty()) {
    return Unexpected{NotFound(resource, key)};
  }
  const api::Object given(object);
  const api::Object live(exists ? found->second.object : Json::object());
  if ((!given.uid().empty() && given.uid() != live.uid()) ||
      (!given.resource_version().empty() && given.resource_version() != live.resource_version())) {
    return Unexpected{Modified(resource, key)};
  }
  const Json config = ConfigurationOf(object, options.subresource);
  const FieldSet wanted = FieldsOf(config);
  const std::string manager =
      options.field_manager + (options.subresource.empty() ? "" : "/" + options.subresource);
  std::map<std::string, FieldSet> owned =
      exists ? found->second.owned : std::map<std::string, FieldSet>();
  if (const std::string conflict = FindConflict(owned, manager, wanted, live.raw(), config);
      !conflict.empty() && !options.force) {
    return Unexpected{MakeError(409, "Conflict", "Apply failed with 1 conflict: " + conflict)};
  }
  Json next = live.raw();
  for (const FieldPath& path : owned[manager]) {
    if (wanted.count(path) == 0 && !OwnedByOther(owned, manager, path)) {
      RemoveField(next, path);
    }
  }
  for (const FieldPath& path : wanted) {
    const Json* is = FieldAt(live.raw(), path);
    const Json* want = FieldAt(config, path);
    for (auto& [other, fields] : owned) {
      if (other != manager && is != nullptr && want != nullptr && *is != *want) {
        fields.erase(path);  // forced: the other manager loses the field
      }
    }
  }
  MergeFields(next, config);
  owned[manager] = wanted;
  if (!exists) {
    InitMeta(resource, key, next);
  } else {
    KeepImmutableMeta(live.raw(), next);
  }
  if (options.dry_run) {
    return next;
  }
  Json result = Commit(table, key, GoneWhenReleased(std::move(next)));
  if (const auto stored = table.objects.find(key); stored != table.objects.end()) {
    stored->second.owned = std::move(owned);
  }
  return result;
}

}  // namespace breakwater::testing
