#include "operator/core/render/patch_guard.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "operator/core/render/patches.h"

namespace breakwater::core {
namespace {

using api::Json;

constexpr std::string_view kRbacGroup = "rbac.authorization.k8s.io";

Unexpected<Error> Refuse(const Json& object, const std::string& why) {
  const api::Object named(object);
  return Unexpected{Error{ErrorClass::kInvalid, "refused for " + api::StringAt(object, "kind") +
                                                    " \"" + named.name() + "\": " + why}};
}

/// By either word: a patch may change the kind and keep the version, as kustomize has it.
bool IsRbac(const Json& object) {
  static const std::set<std::string> kKinds{"Role", "RoleBinding", "ClusterRole",
                                            "ClusterRoleBinding"};
  return api::StringAt(object, "apiVersion").starts_with(kRbacGroup) ||
         kKinds.contains(api::StringAt(object, "kind"));
}

Json WithoutLabels(Json object) {
  if (const auto metadata = object.find("metadata");
      metadata != object.end() && metadata->is_object()) {
    metadata->erase("labels");
    metadata->erase("annotations");
  }
  return object;
}

const Json* PodSpec(const Json& object) {
  return api::FindPath(object, {"spec", "template", "spec"});
}

/// Names of Secrets wherever a pod can refer to them: volumes, projected volumes, environment.
void CollectSecrets(const Json& value, std::set<std::string>* names) {
  if (!value.is_structured()) {
    return;
  }
  for (const auto& [key, member] : value.items()) {
    if (value.is_object() && member.is_object() &&
        (key == "secret" || key == "secretKeyRef" || key == "secretRef" ||
         key == "nodePublishSecretRef")) {
      names->insert(api::StringAt(member, "name"));
      names->insert(api::StringAt(member, "secretName"));
    }
    CollectSecrets(member, names);
  }
}

std::set<std::string> SecretsOf(const Json* pod_spec) {
  std::set<std::string> names;
  if (pod_spec != nullptr) {
    CollectSecrets(*pod_spec, &names);
  }
  return names;
}

/// Accounts that have rights of their own.
bool IsForeignAccount(const std::string& account) {
  static const std::set<std::string> kAccounts{"piraeus-operator-controller-manager",
                                               "piraeus-operator-gencert",
                                               "linstor-controller",
                                               "linstor-csi-controller",
                                               "linstor-csi-node",
                                               "ha-controller",
                                               "linstor-affinity-controller",
                                               "linstor-csi-nfs-server"};
  return kAccounts.contains(account);
}

std::set<std::string> AccountsOf(const Json* pod_spec) {
  if (pod_spec == nullptr) {
    return {};
  }
  // The second is the old name of the first, still obeyed by the API server.
  return {api::StringAt(*pod_spec, "serviceAccountName"),
          api::StringAt(*pod_spec, "serviceAccount")};
}

Result<void, Error> CheckPod(const Json* before,
                             const Json& after,
                             const std::set<std::string>& keys) {
  const Json* was = before == nullptr ? nullptr : PodSpec(*before);
  const std::set<std::string> had = SecretsOf(was);
  for (const std::string& name : SecretsOf(PodSpec(after))) {
    if (keys.contains(name) && !had.contains(name)) {
      return Refuse(after, "Secret \"" + name + "\" is the key of another component");
    }
  }
  const std::set<std::string> ran_as = AccountsOf(was);
  for (const std::string& account : AccountsOf(PodSpec(after))) {
    if (IsForeignAccount(account) && !ran_as.contains(account)) {
      return Refuse(after, "ServiceAccount \"" + account + "\" is that of another component");
    }
  }
  return {};
}

bool IsTrue(const Json& value) {
  return value.is_boolean() && value.get<bool>();
}

/// One member of a patch, or the last name in the path of an operation with its value.
void LookAt(const std::string& key, const Json& value, std::set<std::string>* dangers) {
  static const std::set<std::string> kSwitches{"privileged",
                                               "hostNetwork",
                                               "hostPID",
                                               "hostIPC",
                                               "allowPrivilegeEscalation",
                                               "automountServiceAccountToken"};
  static const std::set<std::string> kAlways{"hostPath", "image", "command", "serviceAccountName",
                                             "serviceAccount"};
  const bool deletes = value.is_null();
  if ((kSwitches.contains(key) && IsTrue(value)) || (kAlways.contains(key) && !deletes)) {
    dangers->insert(key);
  }
  if (key == "capabilities" && value.is_object() && value.contains("add")) {
    dangers->insert("capabilities");
  }
  if (value.is_structured()) {
    for (const auto& [name, member] : value.items()) {
      LookAt(value.is_object() ? name : std::string(), member, dangers);
    }
  }
}

void LookAtOperation(const Json& operation, std::set<std::string>* dangers) {
  const std::string path = api::StringAt(operation, "path");
  const Json* value = api::FindMember(operation, "value");
  if (value == nullptr) {
    return;  // removes, or moves what is there
  }
  for (const std::string_view inside : {"/hostPath/", "/capabilities/add/", "/command/"}) {
    if (path.find(inside) != std::string::npos) {
      dangers->insert(inside == "/hostPath/"  ? "hostPath"
                      : inside == "/command/" ? "command"
                                              : "capabilities");
    }
  }
  if (path.ends_with("/capabilities/add")) {
    dangers->insert("capabilities");
  }
  LookAt(path.substr(path.rfind('/') + 1), *value, dangers);
}

std::set<std::string> DangersIn(const Json& patch, bool is_json_patch) {
  std::set<std::string> dangers;
  if (!is_json_patch) {
    LookAt("", patch, &dangers);
    return dangers;
  }
  for (const Json& operation : patch) {
    LookAtOperation(operation, &dangers);
  }
  return dangers;
}

void AddLine(const std::string& path,
             const std::set<std::string>& dangers,
             std::vector<std::string>* lines) {
  if (dangers.empty()) {
    return;
  }
  std::string line = path + ": ";
  for (const std::string& danger : dangers) {
    line += (line.ends_with(": ") ? "" : ", ") + danger;
  }
  lines->push_back(std::move(line));
}

}  // namespace

std::set<std::string> KeySecrets() {
  return {
      "linstor-controller-internal-tls", "linstor-api-tls",      "linstor-client-tls",
      "linstor-csi-controller-tls",      "linstor-csi-node-tls", "linstor-affinity-controller-tls",
      "linstor-csi-nfs-server-tls",      "webhook-server-cert",  "breakwater-replication-ca"};
}

Result<void, Error> CheckRights(const ResourceSet& before,
                                const ResourceSet& after,
                                const std::set<std::string>& keys) {
  for (const RenderedResource& resource : after) {
    // A patch that renames keeps the original identity.
    const auto old =
        std::find_if(before.begin(), before.end(), [&](const RenderedResource& candidate) {
          return candidate.original.kind == resource.original.kind &&
                 candidate.original.name == resource.original.name &&
                 candidate.original.group == resource.original.group;
        });
    const Json* was = old == before.end() ? nullptr : &old->object;
    const bool rbac = IsRbac(resource.object) || (was != nullptr && IsRbac(*was));
    if (rbac && (was == nullptr || WithoutLabels(*was) != WithoutLabels(resource.object))) {
      return Refuse(resource.object,
                    "patches do not change objects of " + std::string(kRbacGroup) +
                        ", but for labels and annotations: bind roles of your own instead");
    }
    BREAKWATER_RETURN_IF_ERROR(CheckPod(was, resource.object, keys));
  }
  return {};
}

std::vector<std::string> DangerousPatches(const std::vector<api::Patch>& patches,
                                          const Json& pod_template,
                                          const std::string& template_path) {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < patches.size(); ++i) {
    if (const auto parsed = ParsePatch(patches[i])) {
      AddLine("spec.patches[" + std::to_string(i) + "]",
              DangersIn(parsed->content, parsed->is_json_patch), &lines);
    }
  }
  AddLine(template_path, DangersIn(pod_template, false), &lines);
  return lines;
}

}  // namespace breakwater::core
