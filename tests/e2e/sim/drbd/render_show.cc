// drbdsetup show, as text and as JSON. Defaults and their order are those of the recorded samples.
#include <algorithm>
#include <span>

#include "tests/e2e/sim/drbd/render.h"

namespace breakwater::sim {
namespace {

struct Default {
  const char* key;
  const char* value;
  bool boolean;
};

constexpr Default kResource[] = {
    {"cpu-mask", "", false},
    {"on-no-data-accessible", "io-error", false},
    {"auto-promote", "yes", true},
    {"peer-ack-window", "4096s", false},
    {"peer-ack-delay", "100", false},
    {"twopc-timeout", "300", false},
    {"twopc-retry-timeout", "1", false},
    {"auto-promote-timeout", "20", false},
    {"max-io-depth", "8000", false},
    {"quorum", "off", false},
    {"on-no-quorum", "suspend-io", false},
    {"quorum-minimum-redundancy", "off", false},
    {"on-suspended-primary-outdated", "disconnect", false},
    {"drbd8-api-compatibility", "no", true},
};

constexpr Default kNet[] = {
    {"transport", "", false},
    {"load-balance-paths", "no", true},
    {"protocol", "C", false},
    {"timeout", "60", false},
    {"max-epoch-size", "2048", false},
    {"connect-int", "10", false},
    {"ping-int", "10", false},
    {"sndbuf-size", "0", false},
    {"rcvbuf-size", "0", false},
    {"ko-count", "7", false},
    {"allow-two-primaries", "no", true},
    {"cram-hmac-alg", "", false},
    {"shared-secret", "", false},
    {"after-sb-0pri", "disconnect", false},
    {"after-sb-1pri", "disconnect", false},
    {"after-sb-2pri", "disconnect", false},
    {"always-asbp", "no", true},
    {"rr-conflict", "disconnect", false},
    {"ping-timeout", "5", false},
    {"data-integrity-alg", "", false},
    {"tcp-cork", "yes", true},
    {"on-congestion", "block", false},
    {"congestion-fill", "0s", false},
    {"congestion-extents", "1237", false},
    {"csums-alg", "", false},
    {"csums-after-crash-only", "no", true},
    {"verify-alg", "", false},
    {"use-rle", "yes", true},
    {"socket-check-timeout", "0", false},
    {"fencing", "dont-care", false},
    {"max-buffers", "2048", false},
    {"allow-remote-read", "yes", true},
    {"tls", "no", true},
    {"tls-keyring", "(null)", false},
    {"tls-privkey", "(null)", false},
    {"tls-certificate", "(null)", false},
    {"rdma-ctrl-rcvbuf-size", "0", false},
    {"rdma-ctrl-sndbuf-size", "0", false},
};

constexpr Default kDisk[] = {
    {"size", "0s", false},
    {"on-io-error", "detach", false},
    {"disk-barrier", "no", true},
    {"disk-flushes", "yes", true},
    {"disk-drain", "yes", true},
    {"md-flushes", "yes", true},
    {"resync-after", "-1", false},
    {"al-extents", "1237", false},
    {"al-updates", "yes", true},
    {"discard-zeroes-if-aligned", "yes", true},
    {"disable-write-same", "no", true},
    {"disk-timeout", "0", false},
    {"read-balancing", "prefer-local", false},
    {"rs-discard-granularity", "0", false},
    {"bitmap", "yes", true},
    {"max-bio-size", "1048576", false},
    {"diskless", "no", false},
    {"block-size", "512", false},
    {"discard-granularity", "4294967295", false},
};

constexpr Default kPeerDevice[] = {
    {"resync-rate", "250k", false},   {"c-plan-ahead", "20", false},
    {"c-delay-target", "10", false},  {"c-fill-target", "100s", false},
    {"c-max-rate", "102400k", false}, {"c-min-rate", "250k", false},
    {"bitmap", "yes", true},          {"resync-without-replication", "yes", true},
    {"peer-tiebreaker", "yes", true},
};

// drbdsetup prints these values in quotes.
bool IsText(std::string_view key) {
  return key == "verify-alg" || key == "cram-hmac-alg" || key == "shared-secret" ||
         key == "csums-alg" || key == "data-integrity-alg" || key == "cpu-mask" ||
         key == "transport";
}

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
    }
    out += c;
  }
  return out + "\"";
}

class Json {
 public:
  // Opens "key": { or, without a key, {.
  void Open(std::string_view key, char bracket) {
    Comma();
    Indent();
    out_ += (key.empty() ? std::string() : Quoted(key) + ": ") + bracket + "\n";
    depth_ += 1;
    first_ = true;
  }

  void Close(char bracket) {
    depth_ -= 1;
    out_ += first_ ? "" : "\n";
    Indent();
    out_ += bracket;
    first_ = false;
  }

  void Value(std::string_view key, const std::string& raw) {
    Comma();
    Indent();
    out_ += Quoted(key) + ": " + raw;
    first_ = false;
  }

  void Text(std::string_view key, std::string_view text) { Value(key, Quoted(text)); }

  void Settings(std::span<const Default> table, const Options& set, bool defaults) {
    for (const Default& entry : table) {
      const auto it = set.find(entry.key);
      const std::string value = it == set.end() ? entry.value : it->second;
      if (!defaults && value == entry.value) {
        continue;
      }
      if (entry.boolean) {
        Value(entry.key, value == "yes" ? "true" : "false");
      } else {
        Text(entry.key, value);
      }
    }
  }

  [[nodiscard]] std::string Take() { return std::move(out_); }

 private:
  void Comma() {
    if (!first_) {
      out_ += ",\n";
    }
  }

  void Indent() { out_.append(4U * depth_, ' '); }

  std::string out_;
  std::size_t depth_ = 0;
  bool first_ = true;
};

void AddressJson(Json& json, const char* key, const Address& address) {
  json.Open(key, '{');
  json.Text("address", address.ip);
  json.Value("port", std::to_string(address.port));
  json.Text("family", "ipv4");
  json.Close('}');
}

void ThisHostJson(Json& json, const Resource& resource, bool defaults) {
  json.Open("_this_host", '{');
  json.Value("node-id", std::to_string(resource.node_id));
  json.Open("volumes", '[');
  for (const auto& [volume, device] : resource.devices) {
    json.Open("", '{');
    json.Value("volume_nr", std::to_string(volume));
    json.Value("device_minor", std::to_string(device.minor));
    if (!device.client() && device.disk != DiskState::kDiskless) {
      json.Text("backing-disk", device.backing);
      json.Text("meta-disk", device.meta_disk);
      json.Open("disk", '{');
      json.Settings(kDisk, device.disk_options, defaults);
      json.Close('}');
    }
    json.Close('}');
  }
  json.Close(']');
  json.Close('}');
}

void ConnectionJson(Json& json, const Connection& connection, bool defaults) {
  json.Open("", '{');
  json.Open("paths", '[');
  json.Open("", '{');
  AddressJson(json, "this_host", connection.local);
  AddressJson(json, "remote_host", connection.remote);
  json.Close('}');
  json.Close(']');
  if (connection.state == ConnState::kStandAlone) {
    json.Value("_is_standalone", "true");
  }
  json.Text("_cstate", Name(connection.state));
  json.Open("net", '{');
  json.Settings(kNet, connection.net, defaults);
  json.Text("_name", connection.peer);
  json.Close('}');
  json.Open("volumes", '[');
  for (const auto& [volume, device] : connection.volumes) {
    json.Open("", '{');
    json.Value("volume_nr", std::to_string(volume));
    json.Open("disk", '{');
    json.Settings(kPeerDevice, device.client ? Options{{"bitmap", "no"}} : Options{}, defaults);
    json.Close('}');
    json.Close('}');
  }
  json.Close(']');
  json.Value("_peer_node_id", std::to_string(connection.peer_id));
  json.Close('}');
}

std::string SettingsText(std::span<const Default> table,
                         const Options& set,
                         const std::string& indent) {
  std::string out;
  for (const Default& entry : table) {
    const auto it = set.find(entry.key);
    if (it == set.end() || it->second == entry.value) {
      continue;
    }
    std::string key = entry.key;
    key.resize(std::max<std::size_t>(key.size(), 16), ' ');
    out += indent + key + "\t" + (IsText(entry.key) ? Quoted(it->second) : it->second) + ";\n";
  }
  return out;
}

std::string ConnectionText(const Connection& connection) {
  const auto address = [](const Address& a) {
    return "ipv4 " + a.ip + ":" + std::to_string(a.port) + ";\n";
  };
  std::string out = "    connection {\n        _peer_node_id " +
                    std::to_string(connection.peer_id) + ";\n        path {\n" +
                    "            _this_host " + address(connection.local) +
                    "            _remote_host " + address(connection.remote) +
                    "        }\n        _cstate " + std::string(Name(connection.state)) +
                    ";\n        net {\n" + SettingsText(kNet, connection.net, "            ") +
                    "            _name           \t" + Quoted(connection.peer) + ";\n        }\n";
  for (const auto& [volume, device] : connection.volumes) {
    if (device.client) {
      out += "        volume " + std::to_string(volume) +
             " {\n            disk {\n                bitmap          \tno;\n            }\n"
             "        }\n";
    }
  }
  return out + "    }\n";
}

}  // namespace

std::string ShowJson(const Node& node, const std::vector<Resource*>& resources, bool defaults) {
  (void)node;
  Json json;
  json.Open("", '[');
  for (const Resource* resource : resources) {
    json.Open("", '{');
    json.Text("resource", resource->name);
    json.Open("options", '{');
    json.Settings(kResource, resource->options, defaults);
    json.Close('}');
    ThisHostJson(json, *resource, defaults);
    json.Open("connections", '[');
    for (const auto& [id, connection] : resource->connections) {
      ConnectionJson(json, connection, defaults);
    }
    json.Close(']');
    json.Close('}');
  }
  json.Close(']');
  return json.Take() + "\n";
}

std::string ShowText(const Node& node, const Resource& resource) {
  (void)node;
  std::string out = "resource " + Quoted(resource.name) + " {\n";
  const std::string options = SettingsText(kResource, resource.options, "        ");
  if (!options.empty()) {
    out += "    options {\n" + options + "    }\n";
  }
  out += "    _this_host {\n        node-id\t\t\t" + std::to_string(resource.node_id) + ";\n";
  for (const auto& [volume, device] : resource.devices) {
    out += "        volume " + std::to_string(volume) + " {\n            device\t\t\tminor " +
           std::to_string(device.minor) + ";\n";
    if (device.client() || device.disk == DiskState::kDiskless) {
      out += "            disk\t\t\tnone;\n";
    } else {
      out += "            disk\t\t\t" + Quoted(device.backing) + ";\n            meta-disk\t\t\t" +
             device.meta_disk + ";\n";
    }
    out += "        }\n";
  }
  out += "    }\n";
  for (const auto& [id, connection] : resource.connections) {
    out += ConnectionText(connection);
  }
  return out + "}\n\n";
}

}  // namespace breakwater::sim
