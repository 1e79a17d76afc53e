#include "tests/e2e/sim/drbd/protocol.h"

#include <map>
#include <stdexcept>

#include <nlohmann/json.hpp>

#include "tests/e2e/sim/drbd/protocol_json.h"
#include "tests/e2e/sim/drbd/snapshots.h"

namespace breakwater::sim {
namespace {

using nlohmann::json;

std::string Text(const json& request, const char* key, const std::string& fallback = "") {
  return request.value(key, fallback);
}

std::string Needed(const json& request, const char* key) {
  if (!request.contains(key)) {
    throw std::invalid_argument(std::string("missing '") + key + "'");
  }
  return request.at(key).get<std::string>();
}

json Ok() {
  return {{"ok", true}};
}

json SetNode(Cluster& cluster, const json& request) {
  Node& node = cluster.world().GetNode(Needed(request, "node"));
  node.address = Text(request, "address", node.address);
  node.drbd_version = Text(request, "drbd_version", node.drbd_version);
  node.utils_version = Text(request, "utils_version", node.utils_version);
  node.transport = Text(request, "transport", node.transport);
  node.usermode_helper = Text(request, "usermode_helper", node.usermode_helper);
  node.kernel_tls = request.value("kernel_tls", node.kernel_tls);
  node.tcp_diag = request.value("tcp_diag", node.tcp_diag);
  node.clock_ahead_s = request.value("clock_ahead_s", node.clock_ahead_s);
  return Ok();
}

// What the sockets of a resource that are there now are said to have carried.
json Traffic(Cluster& cluster, const json& request) {
  const std::string wanted = Needed(request, "resource");
  for (auto& [name, node] : cluster.world().nodes) {
    if (const auto resource = node.resources.find(wanted); resource != node.resources.end()) {
      for (auto& [id, connection] : resource->second.connections) {
        connection.sent_gib = connection.out_port != 0 ? request.value("gib", 0U) : 0;
      }
    }
  }
  return Ok();
}

json PutFile(Cluster& cluster, const json& request) {
  cluster.PutFile(Needed(request, "node"), Needed(request, "path"), Needed(request, "content"));
  return Ok();
}

json GetFile(Cluster& cluster, const json& request) {
  const Node& node = cluster.world().GetNode(Needed(request, "node"));
  const auto it = node.files.find(Needed(request, "path"));
  if (it == node.files.end()) {
    return {{"error", "no such file"}};
  }
  return {{"content", it->second}};
}

json RemoveFile(Cluster& cluster, const json& request) {
  cluster.world().GetNode(Needed(request, "node")).files.erase(Needed(request, "path"));
  return Ok();
}

json SetSatellite(Cluster& cluster, const json& request) {
  Satellite& satellite = cluster.world().GetNode(Needed(request, "node")).satellite;
  const bool was_running = satellite.running;
  satellite.running = request.value("running", was_running);
  satellite.epoch += satellite.running && !was_running ? 1 : 0;
  satellite.address = Text(request, "address", satellite.address);
  satellite.log += Text(request, "log");
  return Ok();
}

json ListSatellites(Cluster& cluster, const json& request) {
  (void)request;
  json list = json::array();
  for (const auto& [name, node] : cluster.world().nodes) {
    list.push_back({{"node", name},
                    {"running", node.up && node.satellite.running},
                    {"address", node.satellite.address},
                    {"epoch", node.satellite.epoch}});
  }
  return {{"satellites", list}};
}

std::string TlshdPath(const std::string& name) {
  return name.starts_with("/") ? name : "/etc/tlshd.d/" + name;
}

json SetTlshd(Cluster& cluster, const json& request) {
  const std::string node = Needed(request, "node");
  Tlshd& daemon = cluster.world().GetNode(node).tlshd;
  cluster.SetTlshd(node, request.value("running", daemon.running),
                   request.value("hung", daemon.hung));
  if (request.contains("files")) {
    daemon.files_given = true;
    daemon.files.clear();
    for (const auto& [path, content] : request.at("files").items()) {
      daemon.files[TlshdPath(path)] = content.get<std::string>();
    }
  }
  if (request.contains("modes")) {
    for (const auto& [path, mode] : request.at("modes").items()) {
      daemon.modes[TlshdPath(path)] = mode.get<std::string>();
    }
  }
  return Ok();
}

json SetVolume(Cluster& cluster, const json& request) {
  Volume& volume =
      cluster.world().GetVolume(Needed(request, "resource"), request.value("volume", 0));
  volume.size_kib = request.value("size_kib", volume.size_kib);
  return Ok();
}

SnapshotName ReadSnapshot(const json& request) {
  return {Needed(request, "node"), Needed(request, "resource"), request.value("volume", 0),
          Needed(request, "name")};
}

json MakeSnapshot(Cluster& cluster, const json& request) {
  TakeSnapshot(cluster.world(), ReadSnapshot(request));
  return Ok();
}

json RestoreDisk(Cluster& cluster, const json& request) {
  return RestoreSnapshot(cluster.world(), ReadSnapshot(request), Needed(request, "to_resource"))
             ? Ok()
             : json{{"error", "no such snapshot"}};
}

json ForgetDisks(Cluster& cluster, const json& request) {
  RemoveDisks(cluster.world(), Needed(request, "node"), Needed(request, "resource"));
  return Ok();
}

json ForgetSnapshot(Cluster& cluster, const json& request) {
  DropSnapshot(cluster.world(), Needed(request, "node"), Needed(request, "resource"),
               Needed(request, "name"));
  return Ok();
}

json Writer(Cluster& cluster, const json& request) {
  const std::string resource = Needed(request, "resource");
  const std::string node = Needed(request, "node");
  if (Text(request, "action", "start") == "stop") {
    cluster.StopWriter(resource, node);
    return Ok();
  }
  const KernelResult error =
      cluster.StartWriter(resource, node, Millis(request.value("interval_ms", 20)));
  return error ? json{{"error", error->text}} : Ok();
}

json Report(Cluster& cluster, const json& request) {
  json reply{{"resources", json::array()}};
  const std::string only = Text(request, "resource");
  for (const ResourceReport& report :
       only.empty() ? cluster.ReportAll() : std::vector{cluster.Report(only)}) {
    reply["resources"].push_back(ReportJson(report));
  }
  if (request.value("reset", false)) {
    cluster.ResetStatistics();
  }
  return reply;
}

json AddFault(Cluster& cluster, const json& request, const std::string& kind) {
  CommandFault fault;
  fault.node = Text(request, "node");
  fault.pattern = Text(request, "pattern");
  fault.exit = request.value("exit", 1);
  fault.err = Text(request, "stderr");
  fault.times = request.value("times", 1);
  fault.delay = Millis(request.value("delay_ms", 0));
  fault.hang = kind == "command-hang";
  fault.fail = kind == "command-fail";
  cluster.shell().AddFault(fault);
  return Ok();
}

json Inject(Cluster& cluster, const json& request) {
  const std::string kind = Needed(request, "kind");
  if (kind.starts_with("command-")) {
    if (kind == "command-clear") {
      cluster.shell().ClearFaults();
      return Ok();
    }
    return AddFault(cluster, request, kind);
  }
  bool done = true;
  if (kind == "stale-outdated") {
    done = cluster.InjectStale(Needed(request, "resource"), Needed(request, "primary"),
                               Needed(request, "peer"));
  } else if (kind == "stuck-wfbitmap") {
    done = cluster.InjectStuck(Needed(request, "resource"), Needed(request, "a"),
                               Needed(request, "b"));
  } else if (kind == "node-crash") {
    cluster.CrashNode(Needed(request, "node"));
  } else if (kind == "node-boot") {
    cluster.BootNode(Needed(request, "node"));
  } else if (kind == "broken-res") {
    cluster.BreakConfig(Needed(request, "node"), request.value("on", true));
  } else if (kind == "corrupt-blocks") {
    const std::size_t blocks =
        cluster.CorruptBlocks(Needed(request, "resource"), Needed(request, "node"),
                              request.value("volume", 0), request.value("count", std::size_t{1}));
    return {{"ok", true}, {"blocks", blocks}};
  } else if (kind == "network-cut") {
    cluster.CutLink(Needed(request, "a"), Needed(request, "b"), request.value("on", true));
  } else {
    return {{"error", "unknown kind '" + kind + "'"}};
  }
  return done ? Ok() : json{{"error", "no such pair of this resource"}};
}

json Config(Cluster& cluster, const json& request) {
  return ApplyConfig(cluster.world(), request);
}

json Dump(Cluster& cluster, const json& request) {
  (void)request;
  return DumpJson(cluster);
}

json TraceJson(const TraceEntry& entry) {
  return {{"startMs", entry.start.count() / 1000},
          {"endMs", entry.end.count() / 1000},
          {"node", entry.node},
          {"argv", entry.argv},
          {"exit", entry.exit}};
}

json Trace(Cluster& cluster, const json& request) {
  json reply{{"commands", json::array()}};
  for (const TraceEntry& entry : cluster.shell().trace()) {
    reply["commands"].push_back(TraceJson(entry));
  }
  if (request.value("reset", false)) {
    cluster.shell().ClearTrace();
  }
  return reply;
}

json Check(Cluster& cluster, const json& request) {
  json reply{{"violations", json::array()}};
  for (const Violation& violation : cluster.Check()) {
    reply["violations"].push_back({{"timeMs", violation.time.count() / 1000},
                                   {"kind", violation.kind},
                                   {"resource", violation.resource},
                                   {"node", violation.node},
                                   {"detail", violation.detail}});
  }
  if (request.value("reset", false)) {
    cluster.world().violations.clear();
  }
  return reply;
}

json Ping(Cluster& cluster, const json& request) {
  (void)request;
  return {{"ok", true}, {"nowMs", cluster.now().count() / 1000}};
}

using Handler = json (*)(Cluster&, const json&);

const std::map<std::string, Handler>& Handlers() {
  static const std::map<std::string, Handler> kHandlers = {{"node", SetNode},
                                                           {"put-file", PutFile},
                                                           {"get-file", GetFile},
                                                           {"remove-file", RemoveFile},
                                                           {"satellite", SetSatellite},
                                                           {"satellites", ListSatellites},
                                                           {"tlshd", SetTlshd},
                                                           {"volume", SetVolume},
                                                           {"snapshot", MakeSnapshot},
                                                           {"restore", RestoreDisk},
                                                           {"drop-snapshot", ForgetSnapshot},
                                                           {"remove-disks", ForgetDisks},
                                                           {"writer", Writer},
                                                           {"traffic", Traffic},
                                                           {"report", Report},
                                                           {"inject", Inject},
                                                           {"config", Config},
                                                           {"dump", Dump},
                                                           {"trace", Trace},
                                                           {"check", Check},
                                                           {"ping", Ping}};
  return kHandlers;
}

void Await(Cluster& cluster, const json& request, const Protocol::Reply& reply) {
  cluster.shell().AddWatch({.node = Text(request, "node"),
                            .pattern = Needed(request, "pattern"),
                            .begun = [reply](const TraceEntry& entry) {
                              reply(json{{"command", TraceJson(entry)}}.dump(
                                  -1, ' ', false, json::error_handler_t::replace));
                            }});
}

void RunCommand(Cluster& cluster,
                const json& request,
                const Protocol::Reply& reply,
                const std::function<bool()>& gone) {
  const auto argv = request.at("argv").get<std::vector<std::string>>();
  // Kept in each reply so that a client may have several commands under way on one connection.
  const json id = request.contains("id") ? request.at("id") : json();
  const auto send = [reply, id](json answer) {
    if (!id.is_null()) {
      answer["id"] = id;
    }
    reply(answer.dump(-1, ' ', false, json::error_handler_t::replace));
  };
  cluster.Start(
      Needed(request, "node"), Text(request, "container", kSatelliteContainer), argv,
      [send](const ExecResult& result) {
        json answer{{"exit", result.exit}, {"stdout", result.out}, {"stderr", result.err}};
        if (result.passthrough) {
          answer["passthrough"] = true;
        }
        send(std::move(answer));
      },
      {.detached = request.value("detached", false),
       .abandoned = gone,
       .stream = [send](const std::string& text) {
         send({{"stream", text}});
       }});
}

}  // namespace

void Protocol::Handle(const std::string& line,
                      const Reply& reply,
                      const std::function<bool()>& gone) {
  json answer;
  try {
    const json request = json::parse(line);
    const std::string op = Needed(request, "op");
    if (op == "run") {
      RunCommand(cluster_, request, reply, gone);
      return;
    }
    if (op == "await") {
      Await(cluster_, request, reply);
      return;
    }
    const auto it = Handlers().find(op);
    answer = it == Handlers().end() ? json{{"error", "unknown op '" + op + "'"}}
                                    : it->second(cluster_, request);
    if (request.contains("id")) {
      answer["id"] = request.at("id");
    }
  } catch (const std::exception& error) {
    answer = {{"error", error.what()}};
  }
  reply(answer.dump(-1, ' ', false, json::error_handler_t::replace));
}

}  // namespace breakwater::sim
