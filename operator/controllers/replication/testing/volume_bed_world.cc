// The world around the controllers: pods, volumes, LINSTOR's satellites, the nodes' programs.

#include <utility>

#include "operator/api/resources.h"
#include "operator/controllers/replication/testing/volume_bed.h"
#include "operator/core/replication/node/node_scripts.h"
#include "operator/core/replication/node/parse.h"
#include "operator/core/replication/plan/properties.h"

namespace breakwater::controllers {

using api::Json;

namespace {

const sim::testing::TestCa& Authority() {
  static const sim::testing::TestCa kCa("bed");
  return kCa;
}

Json FindCondition(const std::optional<Json>& object, const std::string& type) {
  const Json* list = object ? api::FindPath(*object, {"status", "conditions"}) : nullptr;
  for (const Json& condition : list == nullptr ? Json::array() : *list) {
    if (condition.value("type", "") == type) {
      return condition;
    }
  }
  return Json::object();
}

}  // namespace

void VolumeBed::MakePods(bool agents) {
  for (const std::string& node : nodes_) {
    GiveCertificates(node);
    agents_.Start(node);
    const auto owned_by = [](const Json& owner, const char* kind) {
      return Json::array({{{"apiVersion", "v1"},
                           {"kind", kind},
                           {"name", owner["metadata"]["name"]},
                           {"uid", owner["metadata"]["uid"]},
                           {"controller", true}}});
    };
    const Json satellite = kube_.Put(api::kLinstorSatellite,
                                     {{"metadata", {{"name", node}}}, {"spec", Json::object()}});
    const Json set = kube_.Put(api::kDaemonSet,
                               {{"metadata",
                                 {{"name", "satellite-" + node},
                                  {"namespace", "ns"},
                                  {"ownerReferences", owned_by(satellite, "LinstorSatellite")}}},
                                {"spec", Json::object()}});
    Json containers = Json::array();
    for (const char* name : {"linstor-satellite", "ktls-utils", "breakwater-agent"}) {
      if (agents || std::string(name) != "breakwater-agent") {
        containers.push_back(
            {{"name", name}, {"ready", true}, {"state", {{"running", Json::object()}}}});
      }
    }
    kube_.Put(api::kPod, {{"metadata",
                           {{"name", "satellite-" + node},
                            {"namespace", "ns"},
                            {"labels", {{"app.kubernetes.io/component", "linstor-satellite"}}},
                            {"ownerReferences", owned_by(set, "DaemonSet")}}},
                          {"spec", {{"nodeName", node}}},
                          {"status", {{"phase", "Running"}, {"containerStatuses", containers}}}});
  }
}

void VolumeBed::MakeVolumes(const BedOptions& options) {
  int port = 7000;
  for (const std::string& name : options.resources) {
    sim::testing::ResourceSpec spec;
    spec.name = name;
    spec.port = port;
    spec.minor = port++ - 6000;
    const auto own = options.replicas_of.find(name);
    const std::size_t replicas = own == options.replicas_of.end() ? options.replicas : own->second;
    spec.nodes.assign(nodes_.begin(), nodes_.begin() + static_cast<std::ptrdiff_t>(replicas));
    spec.diskless = options.diskless;
    spec.quorum = replicas < 3 ? "off" : spec.quorum;
    for (std::size_t a = 0; a < replicas; ++a) {
      for (std::size_t b = a + 1; b < replicas; ++b) {
        spec.pair_tls[{nodes_[a], nodes_[b]}] = false;
      }
    }
    specs_[name] = spec;
    sim::testing::BringUp(cluster_, spec);
    (void)cluster_.StartWriter(name, "node1", sim::Millis(20));
    linstor_->With([&](auto& state) {
      linstor::ResourceDefinition definition;
      definition.name = name;
      definition.resource_group = "group";
      definition.layers = {"DRBD", "STORAGE"};
      state.definitions[name] = definition;
      for (const std::string& node : spec.nodes) {
        linstor::Resource replica;
        replica.name = name;
        replica.node = node;
        replica.has_drbd = true;
        state.resources.push_back(replica);
      }
      return 0;
    });
  }
  linstor_->With([&](auto& state) {
    state.groups.push_back({"group", {}});
    for (const std::string& node : nodes_) {
      linstor::Node entry;
      entry.name = node;
      entry.connection_status = "ONLINE";
      state.nodes[node] = entry;
    }
    return 0;
  });
}

// LINSTOR's satellites: new values reach the .res files and are adjusted (L16).
void VolumeBed::SyncRes() {
  for (auto& [name, spec] : specs_) {
    replication::ResourceLevels levels;
    linstor_->With([&, resource = name](auto& state) {
      levels.controller = replication::ReadLevel(state.controller_props, "").value;
      levels.definition =
          replication::ReadLevel(state.definitions[resource].props, replication::kPinMarker);
      for (const linstor::Connection& connection : state.resource_connections[resource]) {
        levels.pairs[replication::Pair::Of(connection.node_a, connection.node_b).ToString()] =
            replication::ReadLevel(connection.props, replication::kPairMarker);
      }
      return 0;
    });
    bool changed = false;
    for (auto& [pair, tls] : spec.pair_tls) {
      const bool now = replication::Effective(levels, pair.first + "/" + pair.second);
      changed = changed || tls != now;
      tls = now;
    }
    if (changed) {
      sim::testing::PutRes(cluster_, spec);
      for (const std::string& node : spec.nodes) {
        cluster_.Start(node, sim::kSatelliteContainer, {"drbdadm", "-vvv", "adjust", name},
                       [](const sim::ExecResult&) {});
      }
    }
  }
}

Result<kube::ExecResult, Error> VolumeBed::Run(const Context&,
                                               const std::string& node,
                                               const std::string& container,
                                               const std::vector<std::string>& argv) {
  ++execs;
  agents_.Advance(exec_takes);
  if (silent_nodes.contains(node)) {
    return Unexpected{Error{ErrorClass::kTransient, "no answer"}};
  }
  kube::ExecResult result;
  const auto section = [&](const std::string& name, const std::vector<std::string>& command) {
    result.out += "\n@@ " + name + "\n" + cluster_.Run(node, command, container).out;
  };
  if (argv.at(2) == replication::kObserveScript) {
    section("status", {"drbdsetup", "status", "--json"});
    section("show", {"drbdsetup", "show", "--json", "--show-defaults"});
    section("ss", {"ss", "-tni"});
    section("tls_stat", {"cat", "/proc/net/tls_stat"});
    section("proc_drbd", {"head", "-n", "8", "/proc/drbd"});
    section("drbdadm", {"drbdadm", "--version"});
    result.out += "\n@@ modules\n/sys/module/tls\n\n@@ end\n";
  } else if (argv.at(2) == replication::kCertificateScript) {
    section("crt", {"cat", "/etc/tlshd.d/tls.crt"});
    section("ca", {"cat", "/etc/tlshd.d/ca.crt"});
    const bool key = cluster_.Run(node, {"cat", "/etc/tlshd.d/tls.key"}, container).exit == 0;
    const auto now =
        clock_.SystemNow() + std::chrono::seconds(cluster_.world().GetNode(node).clock_ahead_s);
    result.out +=
        std::string("\n@@ mode\n") + (key ? "600" : "") + "\n@@ clock\n" +
        std::to_string(
            std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count()) +
        "\n@@ end\n";
  } else if (argv.size() == 8 && argv.at(3) == "breakwater-heal" && refuse_heals) {
    result.exit_code = 75;
  } else if (argv.size() == 8 && argv.at(3) == "breakwater-heal") {
    result.exit_code = cluster_
                           .Run(node, {"drbdsetup", "invalidate-remote", argv.at(4), argv.at(6),
                                       argv.at(7), "--reset-bitmap=no"})
                           .exit;
  }
  return result;
}

void VolumeBed::SetClusterTls(const std::string& value, const Json& replication_tls) {
  Json spec = {{"replicationTLS", replication_tls.is_null() ? Json::object() : replication_tls}};
  if (!value.empty()) {
    spec["properties"] = Json::array({{{"name", "DrbdOptions/Net/tls"}, {"value", value}}});
  }
  if (!kube_.Mutate(api::kLinstorCluster, {.ns = "", .name = "cluster"},
                    [&](Json& object) { object["spec"] = spec; })) {
    kube_.Put(api::kLinstorCluster, {{"metadata", {{"name", "cluster"}}}, {"spec", spec}});
  }
  cluster_keys_["all"] = clock_.SteadyNow();
}

void VolumeBed::Annotate(const std::string& key, const std::string& value) {
  kube_.Mutate(api::kLinstorCluster, {.ns = "", .name = "cluster"},
               [&](Json& object) { object["metadata"]["annotations"][key] = value; });
  cluster_keys_["all"] = clock_.SteadyNow();
}

int VolumeBed::Shell(const std::string& node, const std::vector<std::string>& command) {
  return cluster_.Run(node, command).exit;
}

std::string VolumeBed::StateOf(const std::string& node,
                               const std::string& peer,
                               const std::string& resource) {
  const auto status =
      replication::ParseStatus(cluster_.Run(node, {"drbdsetup", "status", "--json"}).out);
  for (const replication::DrbdConnection& connection : status->at(resource).connections) {
    if (connection.peer == peer) {
      return connection.state;
    }
  }
  return "";
}

bool VolumeBed::InjectStale(const std::string& resource,
                            const std::string& primary,
                            const std::string& peer) {
  return cluster_.InjectStale(resource, primary, peer);
}

void VolumeBed::RemoveCertificates(const std::string& node) {
  cluster_.world().GetNode(node).tlshd.files.clear();
}

void VolumeBed::RestartDaemon(const std::string& node) {
  cluster_.SetTlshd(node, true);
  const api::ObjectKey key{.ns = "ns", .name = "satellite-" + node};
  kube_.Mutate(api::kPod, key, [](Json& pod) {
    for (Json& status : pod["status"]["containerStatuses"]) {
      if (status["name"] == "ktls-utils") {
        status["restartCount"] = status.value("restartCount", 0) + 1;
      }
    }
  });
  SyncStores();
  controllers_->NotePod(*pods_.Get(key));
}

void VolumeBed::GiveCertificates(const std::string& node) {
  sim::testing::GiveFiles(cluster_, node, Authority().Issue(node, node));
}

void VolumeBed::BreakByCertificate(const std::string& node, const std::string& peer) {
  RemoveCertificates(node);
  (void)Shell(node, {"drbdadm", "disconnect", "r0:" + peer});
  (void)Shell(node, {"drbdadm", "connect", "r0:" + peer});
  for (int i = 0; i < 20 && StateOf(node, peer) != "StandAlone"; ++i) {
    agents_.Advance(sim::Millis(1000));
  }
}

Json VolumeBed::Status() {
  const std::optional<Json> object =
      kube_.Find(api::kLinstorCluster, {.ns = "", .name = "cluster"});
  const Json* status = object ? api::FindPath(*object, {"status", "replicationTLS"}) : nullptr;
  return status == nullptr ? Json::object() : *status;
}

Json VolumeBed::ConditionOf(const std::string& type) {
  return FindCondition(kube_.Find(api::kLinstorCluster, {.ns = "", .name = "cluster"}), type);
}

Json VolumeBed::SatelliteCondition(const std::string& node) {
  return FindCondition(kube_.Find(api::kLinstorSatellite, {.ns = "", .name = node}),
                       "ReplicationTLSReady");
}

}  // namespace breakwater::controllers
