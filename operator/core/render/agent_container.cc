#include "operator/core/render/agent_container.h"

#include <utility>

namespace breakwater::core {
namespace {

using api::Json;

constexpr const char* kBinaryVolume = "breakwater-bin";
constexpr const char* kStateVolume = "breakwater-run";

Json AgentSecurity() {
  return {
      {"allowPrivilegeEscalation", false},
      // NET_ADMIN: the kernel asks for it for every change over generic netlink, and shows the TLS
      // state of sockets only with it. SYS_ADMIN: DRBD asks for that too, for every command that
      // changes something (drbd_adm_prepare() of DRBD 9); without it only status and events work.
      // Read in the sources, not yet tried in a pod that is not privileged. No device is opened:
      // commands name minors, and a suspension happens in the kernel.
      {"capabilities", {{"drop", {"ALL"}}, {"add", {"NET_ADMIN", "SYS_ADMIN"}}}},
      {"readOnlyRootFilesystem", true},
      // Added capabilities are effective for root only.
      {"runAsUser", 0},
      // As the module loader: the usual type may neither read LINSTOR's files on the host nor use
      // SYS_ADMIN. Ignored where there is no SELinux.
      {"seLinuxOptions", {{"type", "spc_t"}, {"level", "s0"}}},
      {"seccompProfile", {{"type", "RuntimeDefault"}}},
  };
}

Json AgentContainer(const std::string& satellite) {
  return {
      {"name", kAgentContainer},
      {"image", satellite},
      {"command", {"/breakwater/bin/breakwater-agent", "run"}},
      {"env", Json::array({{{"name", "NODE_NAME"},
                            {"valueFrom", {{"fieldRef", {{"fieldPath", "spec.nodeName"}}}}}}})},
      // No limits. A CPU limit stops the process for parts of each period, that is, also between a
      // suspension and its end. A container that runs out of memory is killed as a whole (cgroup
      // v2), with the guardian that would resume a volume.
      {"resources", {{"requests", {{"cpu", "10m"}, {"memory", "16Mi"}}}}},
      {"securityContext", AgentSecurity()},
      {"volumeMounts",
       Json::array({{{"name", kBinaryVolume}, {"mountPath", "/breakwater/bin"}, {"readOnly", true}},
                    {{"name", kStateVolume}, {"mountPath", "/run/breakwater"}},
                    // drbdsetup fails for suspend-io and resume-io when it cannot lock the minor
                    // here, and the satellite's drbdsetup and drbdmeta must meet the same lock.
                    {{"name", "run-lock"}, {"mountPath", "/run/lock"}},
                    {{"name", "var-lib-linstor-d"},
                     {"mountPath", "/var/lib/linstor.d"},
                     {"readOnly", true}}})},
  };
}

/// Needs no rights at all: it copies one file into a volume.
Json InitContainer() {
  constexpr int kNobody = 65532;
  return {
      {"name", std::string(kAgentContainer) + "-init"},
      {"image", kAgentContainer},
      {"command", {"/breakwater-agent", "install", "/breakwater/bin"}},
      {"securityContext",
       {{"allowPrivilegeEscalation", false},
        {"capabilities", {{"drop", {"ALL"}}}},
        {"readOnlyRootFilesystem", true},
        {"runAsNonRoot", true},
        {"runAsUser", kNobody},
        {"seccompProfile", {{"type", "RuntimeDefault"}}}}},
      {"volumeMounts", Json::array({{{"name", kBinaryVolume}, {"mountPath", "/breakwater/bin"}}})},
  };
}

Json Append(const char* list, Json value) {
  return {{"op", "add"},
          {"path", std::string("/spec/template/spec/") + list + "/-"},
          {"value", std::move(value)}};
}

Json* PodSpec(RenderedResource* resource) {
  if (resource->original.kind != "DaemonSet") {
    return nullptr;
  }
  const Json::json_pointer path("/spec/template/spec");
  return resource->object.contains(path) ? &resource->object[path] : nullptr;
}

Json* FindContainer(Json* pod_spec, const std::string& name) {
  const auto list = pod_spec->find("containers");
  if (list == pod_spec->end() || !list->is_array()) {
    return nullptr;
  }
  for (Json& container : *list) {
    if (api::StringAt(container, "name") == name) {
      return &container;
    }
  }
  return nullptr;
}

}  // namespace

void AddAgent(const std::string& satellite,
              const std::map<std::string, std::string>& images,
              Component* component) {
  if (!images.contains(kAgentContainer)) {
    return;
  }
  // What the agent remembers of a transaction is worth nothing after a reboot, and must not wait
  // for a disk that may be behind the suspended volume.
  const Json state{{"name", kStateVolume},
                   {"emptyDir", {{"medium", "Memory"}, {"sizeLimit", "16Mi"}}}};
  const Json binary{{"name", kBinaryVolume}, {"emptyDir", {{"sizeLimit", "32Mi"}}}};
  component->patches.push_back(ParsedPatch{
      // A strategic merge would put new items first.
      .content = Json::array({Append("containers", AgentContainer(satellite)),
                              Append("initContainers", InitContainer()), Append("volumes", binary),
                              Append("volumes", state)}),
      .target =
          api::PatchTarget{
              .group = "apps", .version = "v1", .kind = "DaemonSet", .name = satellite},
      .is_json_patch = true});
}

void FollowSatelliteImage(const std::string& satellite,
                          const std::string& rendered,
                          ResourceSet* resources) {
  for (RenderedResource& resource : *resources) {
    Json* pod_spec = PodSpec(&resource);
    Json* agent = pod_spec == nullptr ? nullptr : FindContainer(pod_spec, kAgentContainer);
    const Json* model = pod_spec == nullptr ? nullptr : FindContainer(pod_spec, satellite);
    if (agent == nullptr || model == nullptr) {
      continue;
    }
    if (const Json* policy = api::FindMember(*model, "imagePullPolicy");
        policy != nullptr && !agent->contains("imagePullPolicy")) {
      (*agent)["imagePullPolicy"] = *policy;
    }
    if (const Json* image = api::FindMember(*model, "image");
        image != nullptr && api::StringAt(*agent, "image") == rendered) {
      (*agent)["image"] = *image;
    }
  }
}

}  // namespace breakwater::core
