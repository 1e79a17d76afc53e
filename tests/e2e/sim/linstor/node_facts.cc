#include "tests/e2e/sim/linstor/node_facts.h"

#include <algorithm>

#include <arpa/inet.h>

#include <fmt/format.h>

namespace breakwater::sim {
namespace {

constexpr const char* kOnline = R"json({
"storage_providers": ["DISKLESS", "LVM", "LVM_THIN", "FILE", "FILE_THIN", "REMOTE_SPDK", "EBS_INIT",
  "EBS_TARGET"],
"resource_layers": ["DRBD", "STORAGE"],
"unsupported_providers": {
  "SPDK": ["IO exception occurred when running 'rpc.py spdk_get_version': Cannot run program \"rpc.py\": Exec failed, error: 2 (No such file or directory) "],
  "STORAGE_SPACES": ["This tool does not exist on the Linux platform."],
  "STORAGE_SPACES_THIN": ["This tool does not exist on the Linux platform."],
  "ZFS": ["'cat /sys/module/zfs/version' returned with exit code 1"],
  "ZFS_THIN": ["'cat /sys/module/zfs/version' returned with exit code 1"]},
"unsupported_layers": {
  "LUKS": ["IO exception occurred when running 'cryptsetup --version': Cannot run program \"cryptsetup\": Exec failed, error: 2 (No such file or directory) "],
  "NVME": ["IO exception occurred when running 'modprobe nvmet_rdma': Cannot run program \"modprobe\": Exec failed, error: 2 (No such file or directory) "],
  "WRITECACHE": ["IO exception occurred when running 'modprobe dm-writecache': Cannot run program \"modprobe\": Exec failed, error: 2 (No such file or directory) "],
  "CACHE": ["IO exception occurred when running 'modprobe dm-cache': Cannot run program \"modprobe\": Exec failed, error: 2 (No such file or directory) "],
  "BCACHE": ["IO exception occurred when running 'modprobe bcache': Cannot run program \"modprobe\": Exec failed, error: 2 (No such file or directory) "]},
"platform": "LINUX", "os_variant": "Debian GNU/Linux 12 (bookworm)"})json";

}  // namespace

const nlohmann::json& OnlineFacts() {
  static const auto kFacts = nlohmann::json::parse(kOnline);
  return kFacts;
}

const nlohmann::json& OfflineFacts() {
  static const auto kFacts = [] {
    const nlohmann::json unknown = {"No information from satellite yet"};
    nlohmann::json out{{"storage_providers", {"DISKLESS", "REMOTE_SPDK", "EBS_INIT", "EBS_TARGET"}},
                       {"resource_layers", nlohmann::json::array({"STORAGE"})}};
    for (const char* kind : {"LVM", "SPDK", "STORAGE_SPACES", "ZFS_THIN", "ZFS",
                             "STORAGE_SPACES_THIN", "FILE_THIN", "FILE", "LVM_THIN"}) {
      out["unsupported_providers"][kind] = nlohmann::json::array({unknown[0]});
    }
    for (const char* layer : {"DRBD", "LUKS", "NVME", "WRITECACHE", "CACHE", "BCACHE"}) {
      out["unsupported_layers"][layer] = nlohmann::json::array({unknown[0]});
    }
    return out;
  }();
  return kFacts;
}

Entry Authenticated(const std::string& node, std::uint64_t op) {
  return {.code = rc::Make(op | rc::kNode | rc::kAuthenticated),
          .message = fmt::format("Node '{}' authenticated", node),
          .details =
              "Supported storage providers: [diskless, lvm, lvm_thin, file, file_thin, "
              "remote_spdk, ebs_init, ebs_target]\nSupported resource layers  : [drbd, storage]\n",
          .refs = {{"Node", node}}};
}

nlohmann::json NetIfJson(const NetIf& net) {
  nlohmann::json out{
      {"name", net.name}, {"address", net.address}, {"is_active", net.active}, {"uuid", net.uuid}};
  if (net.port != 0) {
    out["satellite_port"] = net.port;
    out["satellite_encryption_type"] = net.encryption;
  }
  return out;
}

NetIf ParseNetIf(const nlohmann::json& body) {
  NetIf net;
  net.name = body.value("name", "");
  net.address = body.value("address", "");
  net.port = body.value("satellite_port", 0);
  net.encryption = body.value("satellite_encryption_type", "");
  std::transform(net.encryption.begin(), net.encryption.end(), net.encryption.begin(),
                 [](unsigned char c) { return std::toupper(c); });
  net.uuid = NewUuid();
  return net;
}

bool IsIpAddress(const std::string& text) {
  unsigned char buffer[sizeof(in6_addr)];
  return inet_pton(AF_INET, text.c_str(), buffer) == 1 ||
         inet_pton(AF_INET6, text.c_str(), buffer) == 1;
}

bool HasActive(const Node& node) {
  return std::any_of(node.nets.begin(), node.nets.end(),
                     [](const NetIf& net) { return net.active; });
}

bool UsesSsl(const Node& node) {
  return std::any_of(node.nets.begin(), node.nets.end(),
                     [](const NetIf& net) { return net.active && net.encryption == "SSL"; });
}

const NetIf* FindNet(const Node& node, const std::string& name) {
  for (const NetIf& net : node.nets) {
    if (Key(net.name) == Key(name)) {
      return &net;
    }
  }
  return nullptr;
}

}  // namespace breakwater::sim
