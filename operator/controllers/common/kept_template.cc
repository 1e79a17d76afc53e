#include "operator/controllers/common/kept_template.h"

#include <map>

#include "operator/api/resources.h"
#include "operator/controllers/common/status_tools.h"
#include "operator/runtime/apply.h"

namespace breakwater::controllers {
namespace {

using api::Json;

constexpr std::string_view kVersionLabel = "app.kubernetes.io/version";

/// Image by list and name ("containers/linstor-csi").
std::map<std::string, std::string> Images(const Json& pod_template) {
  std::map<std::string, std::string> images;
  for (const char* list : {"initContainers", "containers"}) {
    const Json* containers = api::FindPath(pod_template, {"spec", list});
    if (containers == nullptr || !containers->is_array()) {
      continue;
    }
    for (const Json& container : *containers) {
      images[std::string(list) + "/" + api::StringAt(container, "name")] =
          api::StringAt(container, "image");
    }
  }
  return images;
}

std::string HashOf(const Json& pod_template) {
  return runtime::DesiredHash(runtime::NormalizeDesired(pod_template));
}

/// Made by an operator of another version that left no trace of this one.
bool IsForeign(const api::Object& live, const api::Object& rendered) {
  const std::string version = live.label(kVersionLabel);
  return live.annotation(runtime::kAppliedHash).empty() && !version.empty() &&
         version != rendered.label(kVersionLabel);
}

bool IsWorkload(const Json& object) {
  const std::string kind = api::StringAt(object, "kind");
  return kind == api::kDeployment.kind || kind == api::kDaemonSet.kind;
}

}  // namespace

bool KeepPodTemplate(const api::Object& live, Json* rendered) {
  if (!IsWorkload(*rendered)) {
    return false;
  }
  const Json unpacked = runtime::UnpackSpec(live.raw());
  const Json* has = api::FindPath(unpacked, {"spec", "template"});
  const Json* wanted = api::FindPath(*rendered, {"spec", "template"});
  if (has == nullptr || wanted == nullptr || Images(*has) != Images(*wanted)) {
    return false;
  }
  const std::string mark = HashOf(*wanted) + "/" + HashOf(*has);
  const std::string known = live.annotation(kKeptPodTemplate);
  if (known.empty() ? !IsForeign(live, api::Object(*rendered)) : known != mark) {
    return false;
  }
  Json kept = *has;
  // Not even the time of a template, which is null, may be sent.
  (*rendered)["spec"]["template"] = runtime::NormalizeDesired(std::move(kept));
  (*rendered)["metadata"]["annotations"][std::string(kKeptPodTemplate)] = mark;
  return true;
}

std::vector<std::string> KeepPodTemplates(const Writers& writers,
                                          const api::Object& owner,
                                          std::vector<Json>* rendered) {
  std::vector<std::string> names;
  for (Json& object : *rendered) {
    if (!IsWorkload(object)) {
      continue;
    }
    const runtime::ObjectId id = IdOf(object);
    const runtime::Store* store = writers.stores.Find(id.group, id.kind);
    const api::ObjectPtr live = store == nullptr ? nullptr : store->Get(id.key);
    if (live && live->controller_uid() == owner.uid() && KeepPodTemplate(*live, &object)) {
      names.push_back(id.kind + " " + id.key.name);
    }
  }
  return names;
}

std::vector<std::string> KeptTemplateWarnings(const std::vector<std::string>& names) {
  if (names.empty()) {
    return {};
  }
  return {
      "So that nothing restarts, the pods stay as another operator made them until their "
      "settings or images change (then let older images be this version's first): " +
      JoinBounded(names)};
}

}  // namespace breakwater::controllers
