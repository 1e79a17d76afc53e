#include "operator/controllers/common/missing_mounts.h"

#include "operator/api/resources.h"

namespace breakwater::controllers {
namespace {

using api::Json;

bool IsOptional(const Json& source) {
  const Json* optional = api::FindMember(source, "optional");
  return optional != nullptr && optional->is_boolean() && optional->get<bool>();
}

void Add(const Json* source, const char* kind, const char* field, std::set<std::string>* needed) {
  if (source != nullptr && source->is_object() && !IsOptional(*source)) {
    if (const std::string name = api::StringAt(*source, field); !name.empty()) {
      needed->insert(std::string(kind) + " " + name);
    }
  }
}

const Json& List(const Json* parent, const char* key) {
  static const Json kEmpty = Json::array();
  const Json* list = parent == nullptr ? nullptr : api::FindMember(*parent, key);
  return list != nullptr && list->is_array() ? *list : kEmpty;
}

void AddContainers(const Json& containers, std::set<std::string>* needed) {
  for (const Json& container : containers) {
    for (const Json& variable : List(&container, "env")) {
      Add(api::FindPath(variable, {"valueFrom", "secretKeyRef"}), "Secret", "name", needed);
      Add(api::FindPath(variable, {"valueFrom", "configMapKeyRef"}), "ConfigMap", "name", needed);
    }
    for (const Json& source : List(&container, "envFrom")) {
      Add(api::FindMember(source, "secretRef"), "Secret", "name", needed);
      Add(api::FindMember(source, "configMapRef"), "ConfigMap", "name", needed);
    }
  }
}

/// The store of Secrets leaves out types that are none of ours (OperatorStores), which a patch may
/// mount all the same: what is not in it is asked for. Without an answer nothing is missing.
bool Exists(const Context& ctx, const Writers& writers, const std::string& needed) {
  const std::size_t space = needed.find(' ');
  const std::string kind = needed.substr(0, space);
  const api::ObjectKey key{writers.operator_namespace, needed.substr(space + 1)};
  const runtime::Store* store = writers.stores.Find("", kind);
  if (store == nullptr || store->Get(key) != nullptr) {
    return true;
  }
  if (kind != api::kSecret.kind) {
    return false;
  }
  const kube::KubeResult<Json> found = writers.client.Get(ctx, api::kSecret, key);
  return found || !found.error().IsNotFound();
}

}  // namespace

std::set<std::string> NeededByPods(const Json& workload) {
  std::set<std::string> needed;
  const Json* pod = api::FindPath(workload, {"spec", "template", "spec"});
  for (const Json& volume : List(pod, "volumes")) {
    Add(api::FindMember(volume, "secret"), "Secret", "secretName", &needed);
    Add(api::FindMember(volume, "configMap"), "ConfigMap", "name", &needed);
    for (const Json& source : List(api::FindMember(volume, "projected"), "sources")) {
      Add(api::FindMember(source, "secret"), "Secret", "name", &needed);
      Add(api::FindMember(source, "configMap"), "ConfigMap", "name", &needed);
    }
  }
  AddContainers(List(pod, "initContainers"), &needed);
  AddContainers(List(pod, "containers"), &needed);
  return needed;
}

std::vector<std::string> MissingMounts(const Context& ctx,
                                       const Writers& writers,
                                       const std::vector<Json>& objects) {
  std::set<std::string> coming;
  for (const Json& object : objects) {
    coming.insert(api::StringAt(object, "kind") + " " + api::Object(object).name());
  }
  std::vector<std::string> missing;
  for (const Json& object : objects) {
    for (const std::string& needed : NeededByPods(object)) {
      if (!coming.contains(needed) && !Exists(ctx, writers, needed)) {
        missing.push_back(needed + " (" + api::StringAt(object, "kind") + " " +
                          api::Object(object).name() + ")");
      }
    }
  }
  return missing;
}

}  // namespace breakwater::controllers
