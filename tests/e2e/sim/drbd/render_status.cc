// drbdsetup status and events2. Layout and order follow the recorded samples in testdata/.
#include <cstdarg>
#include <cstdio>

#include "tests/e2e/sim/drbd/render.h"

namespace breakwater::sim {
namespace {

[[gnu::format(printf, 1, 2)]] std::string Format(const char* format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  std::vsnprintf(text, sizeof(text), format, args);
  va_end(args);
  return text;
}

const char* Bool(bool value) {
  return value ? "true" : "false";
}

const char* YesNo(bool value) {
  return value ? "yes" : "no";
}

using Ull = unsigned long long;

bool TlsSet(const Connection& connection) {
  const auto it = connection.net.find("tls");
  return it != connection.net.end() && it->second == "yes";
}

// drbd-utils knows the field from 9.28 on, the module the option from 9.2.6 on (F10).
bool ShowsTls(const Node& node) {
  return AtLeast(node.utils_version, "9.28.0") && AtLeast(node.drbd_version, "9.2.6");
}

bool Blocked(const Kernel& kernel, const Resource& resource) {
  if (resource.suspended_user || kernel.SuspendedQuorum(resource)) {
    return true;
  }
  for (const auto& [id, connection] : resource.connections) {
    if (connection.stuck) {
      return true;
    }
  }
  return false;
}

std::string PeerDeviceJson(const PeerView& view, int volume) {
  std::string out = Format(
      "        {\n"
      "          \"volume\": %d,\n"
      "          \"replication-state\": \"%s\",\n"
      "          \"peer-disk-state\": \"%s\",\n"
      "          \"peer-client\": %s,\n",
      volume, std::string(Name(view.repl)).c_str(), std::string(Name(view.disk)).c_str(),
      Bool(view.client));
  out += Format(
      "          \"resync-suspended\": \"%s\",\n"
      "          \"received\": %llu,\n"
      "          \"sent\": %llu,\n"
      "          \"out-of-sync\": %llu,\n"
      "          \"pending\": 0,\n"
      "          \"unacked\": 0,\n",
      view.resync_suspended.c_str(), static_cast<Ull>(view.received), static_cast<Ull>(view.sent),
      static_cast<Ull>(view.out_of_sync));
  out += Format(
      "          \"has-sync-details\": %s,\n"
      "          \"has-online-verify-details\": %s,\n"
      "          \"percent-in-sync\": %.2f",
      Bool(view.syncing || view.verifying), Bool(view.verifying), view.in_sync_percent());
  if (view.syncing || view.verifying) {
    const double rate = view.mib_per_second();
    const auto ms = static_cast<long long>(view.rs_ms);
    const auto done = static_cast<Ull>(view.rs_done);
    const double left =
        static_cast<double>(view.rs_total - view.rs_done) / 2048.0;  // sectors to MiB
    out += Format(
        ",\n"
        "          \"rs-total\": %llu,\n"
        "          \"rs-dt-start-ms\": %lld,\n"
        "          \"rs-paused-ms\": 0,\n"
        "          \"rs-dt0-ms\": %lld,\n"
        "          \"rs-db0-sectors\": %llu,\n"
        "          \"rs-dt1-ms\": %lld,\n"
        "          \"rs-db1-sectors\": %llu,\n",
        static_cast<Ull>(view.rs_total), ms, ms, done, ms, done);
    out += view.syncing ? "          \"rs-failed\": 0,\n"
                          "          \"rs-same-csum\": 0,\n"
                          "          \"want\": 0.00,\n"
                        : Format(
                              "          \"ov-start-sector\": 0,\n"
                              "          \"ov-stop-sector\": -1,\n"
                              "          \"ov-position\": %llu,\n"
                              "          \"ov-left\": %llu,\n"
                              "          \"ov-skipped\": 0,\n"
                              "          \"want\": 3.98,\n",
                              done, static_cast<Ull>(view.rs_total - view.rs_done));
    out += Format(
        "          \"db0/dt0 [MiB/s]\": %.2f,\n"
        "          \"db1/dt1 [MiB/s]\": %.2f,\n"
        "          \"estimated-seconds-to-finish\": %d,\n"
        "          \"db/dt [MiB/s]\": %.2f,\n"
        "          \"percent-resync-done\": %.2f",
        rate, rate, rate > 0 ? static_cast<int>(left / rate) : 0, rate, view.done_percent());
  }
  return out + "\n        }";
}

std::string ConnectionJson(World& world, Kernel& kernel, const End& end) {
  const Connection& connection = *end.connection;
  const bool up = connection.state == ConnState::kConnected;
  std::string out = Format(
      "    {\n"
      "      \"peer-node-id\": %d,\n"
      "      \"name\": \"%s\",\n"
      "      \"connection-state\": \"%s\", \n"
      "      \"congested\": false,\n"
      "      \"peer-role\": \"%s\",\n",
      connection.peer_id, connection.peer.c_str(), std::string(Name(connection.state)).c_str(),
      std::string(Name(connection.peer_role)).c_str());
  if (ShowsTls(*end.node)) {
    out += Format("      \"tls\": %s,\n", Bool(TlsSet(connection)));
  }
  const auto host = [](const char* name, const Address& address) {
    return Format(
        "          \"%s\": {\n"
        "            \"address\": \"%s\",\n"
        "            \"port\": %d,\n"
        "            \"family\": \"ipv4\"\n"
        "          },\n",
        name, address.ip.c_str(), address.port);
  };
  out +=
      "      \"ap-in-flight\": 0,\n"
      "      \"rs-in-flight\": 0,\n"
      "      \"paths\": [\n"
      "        {\n" +
      host("this_host", connection.local) + host("remote_host", connection.remote) +
      Format("          \"established\": %s\n        } ],\n      \"peer_devices\": [\n", Bool(up));
  bool first = true;
  for (const auto& [volume, device] : connection.volumes) {
    out += (first ? "" : ",\n") + PeerDeviceJson(ViewPeer(world, kernel, end, volume), volume);
    first = false;
  }
  return out + " ]\n    }";
}

std::string DeviceJson(World& world, Node& node, const Resource& resource, int volume) {
  const Device& device = resource.devices.at(volume);
  return Format(
             "    {\n"
             "      \"volume\": %d,\n"
             "      \"minor\": %d,\n"
             "      \"disk-state\": \"%s\",\n"
             "      \"client\": %s,\n"
             "      \"open\": %s,\n"
             "      \"quorum\": %s,\n",
             volume, device.minor, std::string(Name(device.disk)).c_str(), Bool(device.client()),
             Bool(resource.openers > 0), Bool(device.quorum)) +
         Format(
             "      \"size\": %llu,\n"
             "      \"read\": %llu,\n"
             "      \"written\": %llu,\n"
             "      \"al-writes\": %llu,\n"
             "      \"bm-writes\": %llu,\n"
             "      \"upper-pending\": 0,\n"
             "      \"lower-pending\": 0\n"
             "    }",
             static_cast<Ull>(SizeKib(world, node, resource, volume)),
             static_cast<Ull>(device.read_kib), static_cast<Ull>(device.written_kib),
             static_cast<Ull>(device.al_writes), static_cast<Ull>(device.bm_writes));
}

std::string ResourceJson(World& world, Kernel& kernel, Node& node, Resource& resource) {
  const bool quorum = kernel.SuspendedQuorum(resource);
  const bool no_data = kernel.SuspendedNoData(resource);
  std::string out = Format(
      "{\n"
      "  \"name\": \"%s\",\n"
      "  \"node-id\": %d,\n"
      "  \"role\": \"%s\",\n"
      "  \"suspended\": %s,\n"
      "  \"suspended-user\": %s,\n"
      "  \"suspended-no-data\": %s,\n"
      "  \"suspended-fencing\": false,\n"
      "  \"suspended-quorum\": %s,\n"
      "  \"force-io-failures\": false,\n"
      "  \"write-ordering\": \"%s\",\n"
      "  \"devices\": [\n",
      resource.name.c_str(), resource.node_id, std::string(Name(resource.role)).c_str(),
      Bool(resource.suspended_user || quorum || no_data), Bool(resource.suspended_user),
      Bool(no_data), Bool(quorum), WriteOrdering(resource).c_str());
  bool first = true;
  for (const auto& [volume, device] : resource.devices) {
    out += (first ? "" : ",\n") + DeviceJson(world, node, resource, volume);
    first = false;
  }
  out += " ],\n  \"connections\": [\n";
  first = true;
  for (auto& [id, connection] : resource.connections) {
    out += (first ? "" : ",\n") + ConnectionJson(world, kernel, {&node, &resource, &connection});
    first = false;
  }
  return out + " ]\n}\n";
}

// Fields of one line of text output; drbdsetup wraps long lines with a deeper indent. The samples
// have lines of 81 characters, not counting the indent, and none of 85.
constexpr std::size_t kWrapAt = 82;

class Line {
 public:
  explicit Line(std::size_t indent) : indent_(indent), text_(indent, ' ') {}

  Line& Add(const std::string& field) {
    if (column_ > 0 && column_ + 1 + field.size() > kWrapAt) {
      Wrap();
    }
    text_ += (column_ > 0 ? " " : "") + field;
    column_ += field.size() + (column_ > 0 ? 1 : 0);
    return *this;
  }

  Line& Wrap() {
    indent_ += wrapped_ ? 0 : 4;
    wrapped_ = true;
    text_ += "\n" + std::string(indent_, ' ');
    column_ = 0;
    return *this;
  }

  [[nodiscard]] std::string Text() const { return text_ + "\n"; }

 private:
  std::size_t indent_;
  std::size_t column_ = 0;
  bool wrapped_ = false;
  std::string text_;
};

std::string Field(const char* key, std::string_view value) {
  return std::string(key) + ":" + std::string(value);
}

std::string Field(const char* key, std::uint64_t value) {
  return std::string(key) + ":" + std::to_string(value);
}

std::string DeviceText(World& world,
                       const Kernel& kernel,
                       Node& node,
                       const Resource& resource,
                       int volume,
                       const StatusOptions& options) {
  const Device& device = resource.devices.at(volume);
  Line line(2);
  const bool many = resource.devices.size() > 1;
  if (options.verbose || many) {
    line.Add(Field("volume", static_cast<std::uint64_t>(volume)));
  }
  if (options.verbose) {
    line.Add(Field("minor", static_cast<std::uint64_t>(device.minor)));
  }
  line.Add(Field("disk", Name(device.disk)));
  if (device.client() && device.disk == DiskState::kDiskless) {
    line.Add("client:yes");
  }
  if (options.verbose) {
    line.Add(Field("backing_dev", device.backing));
  }
  if (options.verbose || !device.quorum) {
    line.Add(Field("quorum", YesNo(device.quorum)));
  }
  line.Add(Field("open", YesNo(resource.openers > 0)));
  const bool blocked = Blocked(kernel, resource);
  if (options.statistics) {
    line.Wrap()
        .Add(Field("size", SizeKib(world, node, resource, volume)))
        .Add(Field("read", device.read_kib))
        .Add(Field("written", device.written_kib))
        .Add(Field("al-writes", device.al_writes))
        .Add(Field("bm-writes", device.bm_writes))
        .Add("upper-pending:0")
        .Add("lower-pending:0")
        .Add("al-suspended:no");
  }
  if (options.statistics || blocked) {
    line.Add(Field("blocked", blocked ? "upper" : "no"));
  }
  return line.Text();
}

std::string PeerDeviceText(const PeerView& view,
                           int volume,
                           bool many,
                           const StatusOptions& options) {
  Line line(4);
  const bool verbose = options.verbose;
  if (verbose || many) {
    line.Add(Field("volume", static_cast<std::uint64_t>(volume)));
  }
  const bool plain = view.repl == ReplState::kOff || view.repl == ReplState::kEstablished;
  if (verbose || !plain) {
    line.Add(Field("replication", Name(view.repl)));
  }
  line.Add(Field("peer-disk", Name(view.disk)));
  if (view.client && view.disk == DiskState::kDiskless) {
    line.Add("peer-client:yes");
  }
  if (view.syncing || view.verifying) {
    line.Add(Format("done:%.2f", view.done_percent()));
  }
  if (verbose || view.resync_suspended != "no") {
    line.Add(Field("resync-suspended", view.resync_suspended));
  }
  if (options.statistics) {
    line.Wrap()
        .Add(Field("received", view.received))
        .Add(Field("sent", view.sent))
        .Add(Field("out-of-sync", view.out_of_sync))
        .Add("pending:0")
        .Add("unacked:0");
    if (view.syncing) {
      line.Add(Format("dbdt1:%.2f", view.mib_per_second())).Add("eta:0");
    }
  }
  return line.Text();
}

std::string ConnectionText(World& world,
                           Kernel& kernel,
                           const End& end,
                           const StatusOptions& options) {
  const Connection& connection = *end.connection;
  const bool up = connection.state == ConnState::kConnected;
  Line line(2);
  line.Add(connection.peer);
  if (options.verbose) {
    line.Add(Field("node-id", static_cast<std::uint64_t>(connection.peer_id)));
  }
  if (options.verbose || !up) {
    line.Add(Field("connection", Name(connection.state)));
  }
  if (options.verbose || up) {
    line.Add(Field("role", Name(connection.peer_role)));
  }
  if (ShowsTls(*end.node) && (options.verbose || (up && TlsSet(connection)))) {
    line.Add(Field("tls", YesNo(TlsSet(connection))));
  }
  if (options.verbose) {
    line.Add("congested:no");
  }
  if (options.statistics) {
    line.Wrap().Add("ap-in-flight:0").Add("rs-in-flight:0");
  }
  std::string out = line.Text();
  if (options.verbose || up) {
    for (const auto& [volume, device] : connection.volumes) {
      out += PeerDeviceText(ViewPeer(world, kernel, end, volume), volume,
                            connection.volumes.size() > 1, options);
    }
  }
  return out;
}

}  // namespace

std::string StatusJson(World& world,
                       Kernel& kernel,
                       Node& node,
                       const std::vector<Resource*>& resources) {
  std::string out = "[\n";
  bool first = true;
  for (Resource* resource : resources) {
    out += (first ? "" : ",\n") + ResourceJson(world, kernel, node, *resource);
    first = false;
  }
  return out + "]\n\n";
}

std::string StatusText(
    World& world, Kernel& kernel, Node& node, Resource& resource, const StatusOptions& options) {
  const std::string suspended = SuspendedText(kernel, resource);
  Line line(0);
  line.Add(resource.name);
  if (options.verbose) {
    line.Add(Field("node-id", static_cast<std::uint64_t>(resource.node_id)));
  }
  line.Add(Field("role", Name(resource.role)));
  if (options.verbose || suspended != "no") {
    line.Add(Field("suspended", suspended));
  }
  if (options.verbose) {
    line.Add("force-io-failures:no");
  }
  if (options.statistics) {
    line.Wrap().Add(Field("write-ordering", WriteOrdering(resource)));
  }
  std::string out = line.Text();
  for (const auto& [volume, device] : resource.devices) {
    out += DeviceText(world, kernel, node, resource, volume, options);
  }
  for (auto& [id, connection] : resource.connections) {
    out += ConnectionText(world, kernel, {&node, &resource, &connection}, options);
  }
  return out + "\n";
}

}  // namespace breakwater::sim
