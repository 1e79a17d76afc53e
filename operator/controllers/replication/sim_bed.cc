#include "operator/controllers/replication/sim_bed.h"

#include <utility>

#include "operator/api/resources.h"
#include "operator/core/replication/node/node_scripts.h"
#include "operator/core/replication/node/parse.h"
#include "operator/core/replication/plan/properties.h"

namespace breakwater::controllers {

using api::Json;

SystemTime SimClock::SystemNow() const {
  const std::lock_guard lock(mutex_);
  // The certificates of the test authority are made for today.
  static const SystemTime kStart = RealClock().SystemNow();
  return kStart + std::chrono::duration_cast<SystemTime::duration>(cluster_.now());
}

SteadyTime SimClock::SteadyNow() const {
  const std::lock_guard lock(mutex_);
  return SteadyTime(std::chrono::hours(1)) + cluster_.now();
}

bool SimClock::SleepUntil(std::stop_token stop, SteadyTime time) const {
  const std::lock_guard lock(mutex_);
  const auto target =
      std::chrono::duration_cast<sim::Time>(time - SteadyTime(std::chrono::hours(1)));
  if (target > cluster_.now() && !stop.stop_requested()) {
    cluster_.AdvanceTo(target);
  }
  return !stop.stop_requested();
}

namespace {

const sim::testing::TestCa& Authority() {
  static const sim::testing::TestCa kCa("bed");
  return kCa;
}

}  // namespace

SimBed::SimBed(const std::vector<std::string>& resources, std::size_t replicas)
    : clock_(cluster_, mutex_),
      log_(
          [this](std::string_view line) {
            const std::lock_guard lock(events_mutex_);
            log_text_ += std::string(line) + "\n";
          },
          LogLevel::kInfo),
      clusters_(api::kLinstorCluster),
      satellites_(api::kLinstorSatellite),
      pods_(api::kPod) {
  for (const std::string& node : nodes_) {
    GiveCertificates(node);
    kube_.Put(api::kLinstorSatellite, {{"metadata", {{"name", node}}}, {"spec", Json::object()}});
    kube_.Put(
        api::kPod,
        {{"metadata",
          {{"name", "satellite-" + node},
           {"namespace", "ns"},
           {"labels", {{"app.kubernetes.io/component", "linstor-satellite"}}}}},
         {"spec", {{"nodeName", node}}},
         {"status",
          {{"containerStatuses", Json::array({{{"name", "linstor-satellite"}, {"ready", true}},
                                              {{"name", "ktls-utils"}, {"ready", true}}})}}}});
  }
  int port = 7000;
  for (const std::string& name : resources) {
    sim::testing::ResourceSpec spec;
    spec.name = name;
    spec.port = port;
    spec.minor = port++ - 6000;
    spec.nodes.assign(nodes_.begin(), nodes_.begin() + static_cast<std::ptrdiff_t>(replicas));
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
  SetClusterTls("");
  MakeEngine();
}

SimBed::~SimBed() {
  engine_.reset();
}

void SimBed::MakeEngine() {
  engine_ = std::make_unique<Engine>(EngineDeps{.services = {clock_, log_, metrics_, health_},
                                                .client = kube_,
                                                .shell = *this,
                                                .linstor = *this,
                                                .clusters = clusters_,
                                                .satellites = satellites_,
                                                .pods = pods_,
                                                .secrets = secrets_,
                                                .events =
                                                    [this](const kube::Event& event) {
                                                      const std::lock_guard lock(events_mutex_);
                                                      events_.push_back(event.reason);
                                                    },
                                                .options = {.operator_namespace = "ns"}});
}

void SimBed::SetClusterTls(const std::string& value, const Json& replication_tls) {
  Json spec = {{"replicationTLS", replication_tls.is_null() ? Json::object() : replication_tls}};
  if (!value.empty()) {
    spec["properties"] = Json::array({{{"name", "DrbdOptions/Net/tls"}, {"value", value}}});
  }
  if (!kube_.Mutate(api::kLinstorCluster, {.ns = "", .name = "cluster"},
                    [&](Json& object) { object["spec"] = spec; })) {
    kube_.Put(api::kLinstorCluster, {{"metadata", {{"name", "cluster"}}}, {"spec", spec}});
  }
}

void SimBed::Annotate(const std::string& key, const std::string& value) {
  kube_.Mutate(api::kLinstorCluster, {.ns = "", .name = "cluster"},
               [&](Json& object) { object["metadata"]["annotations"][key] = value; });
}

void SimBed::SyncStores() {
  clusters_.Replace(kube_.All(api::kLinstorCluster), "1");
  satellites_.Replace(kube_.All(api::kLinstorSatellite), "1");
  pods_.Replace(kube_.All(api::kPod), "1");
}

void SimBed::Round(const std::stop_token& leading) {
  SyncStores();
  (void)engine_->Round(std::stop_token{}, leading);
  engine_->JoinDrivers();
  const std::lock_guard lock(mutex_);
  cluster_.Advance(sim::Millis(15000));
}

void SimBed::RoundsWithoutWaiting(int count) {
  for (int i = 0; i < count; ++i) {
    SyncStores();
    (void)engine_->Round(std::stop_token{});
  }
}

bool SimBed::RunUntilPhase(const std::string& phase, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    Round();
    if (Status().value("phase", "") == phase) {
      return true;
    }
  }
  return false;
}

void SimBed::RunUntilDead() {
  RoundsWithoutWaiting(3);  // pins, the cluster's value, the first driver
  dead_.wait(false);
}

void SimBed::NewLeader() {
  engine_->Stop();
  dead_ = false;
  operations_left_ = -1;
  MakeEngine();
}

void SimBed::Suspend(const std::string& resource) {
  const std::lock_guard lock(mutex_);
  (void)cluster_.Run("node1", {"drbdadm", "suspend-io", resource});
}

void SimBed::AddReplica() {
  const std::lock_guard lock(mutex_);
  sim::testing::ResourceSpec& spec = specs_.at("r0");
  spec.nodes = nodes_;
  for (const std::string& node : {nodes_[0], nodes_[1]}) {
    spec.pair_tls[{node, nodes_[2]}] = false;
  }
  linstor_->With([&](auto& state) {
    linstor::Resource replica;
    replica.name = "r0";
    replica.node = nodes_[2];
    replica.has_drbd = true;
    state.resources.push_back(replica);
    return 0;
  });
  sim::testing::PutRes(cluster_, spec);
  cluster_.SetTlshd(nodes_[2], true);
  (void)cluster_.Run(nodes_[2], {"drbdadm", "create-md", "--force", "r0"});
  (void)sim::testing::Parallel(cluster_, nodes_, {"drbdadm", "-vvv", "adjust", "r0"});
}

void SimBed::SetUnreachable(const std::string& node, bool unreachable) {
  const std::lock_guard lock(mutex_);
  if (unreachable) {
    unreachable_.insert(node);
  } else {
    unreachable_.erase(node);
  }
}

void SimBed::Advance(std::chrono::milliseconds time) {
  const std::lock_guard lock(mutex_);
  cluster_.Advance(sim::Millis(time.count()));
}

int SimBed::Shell(const std::string& node, const std::vector<std::string>& command) {
  const std::lock_guard lock(mutex_);
  return cluster_.Run(node, command).exit;
}

std::string SimBed::StateOf(const std::string& node, const std::string& peer) {
  const std::lock_guard lock(mutex_);
  const auto status =
      replication::ParseStatus(cluster_.Run(node, {"drbdsetup", "status", "--json"}).out);
  for (const replication::DrbdConnection& connection : status->at("r0").connections) {
    if (connection.peer == peer) {
      return connection.state;
    }
  }
  return "";
}

void SimBed::BreakByCertificate(const std::string& node, const std::string& peer) {
  RemoveCertificates(node);
  (void)Shell(node, {"drbdadm", "disconnect", "r0:" + peer});
  (void)Shell(node, {"drbdadm", "connect", "r0:" + peer});
  for (int i = 0; i < 20 && StateOf(node, peer) != "StandAlone"; ++i) {
    Advance(std::chrono::seconds(1));
  }
}

std::vector<std::string> SimBed::operation_kinds() {
  const std::lock_guard lock(mutex_);
  return kinds_;
}

bool SimBed::InjectStale(const std::string& resource,
                         const std::string& primary,
                         const std::string& peer) {
  const std::lock_guard lock(mutex_);
  return cluster_.InjectStale(resource, primary, peer);
}

void SimBed::RemoveHandshakeDaemons() {
  for (const std::string& node : nodes_) {
    kube_.Mutate(api::kPod, {.ns = "ns", .name = "satellite-" + node}, [](Json& pod) {
      pod["status"]["containerStatuses"] =
          Json::array({{{"name", "linstor-satellite"}, {"ready", true}}});
    });
  }
}

void SimBed::RemoveCertificates(const std::string& node) {
  const std::lock_guard lock(mutex_);
  cluster_.world().GetNode(node).tlshd.files.clear();
}

void SimBed::GiveCertificates(const std::string& node) {
  const std::lock_guard lock(mutex_);
  sim::testing::GiveFiles(cluster_, node, Authority().Issue(node, node));
}

Json SimBed::Status() {
  const std::optional<Json> object =
      kube_.Find(api::kLinstorCluster, {.ns = "", .name = "cluster"});
  const Json* status = object ? api::FindPath(*object, {"status", "replicationTLS"}) : nullptr;
  return status == nullptr ? Json::object() : *status;
}

namespace {

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

Json SimBed::ConditionOf(const std::string& type) {
  return FindCondition(kube_.Find(api::kLinstorCluster, {.ns = "", .name = "cluster"}), type);
}

Json SimBed::SatelliteCondition(const std::string& node) {
  return FindCondition(kube_.Find(api::kLinstorSatellite, {.ns = "", .name = node}),
                       "ReplicationTLSReady");
}

sim::ResourceReport SimBed::Report(const std::string& resource) {
  const std::lock_guard lock(mutex_);
  return cluster_.Report(resource);
}

std::vector<std::string> SimBed::EventReasons() {
  const std::lock_guard lock(events_mutex_);
  return events_;
}

std::string SimBed::log() {
  const std::lock_guard lock(events_mutex_);
  return log_text_;
}

// LINSTOR's satellites: new values reach the .res files and are adjusted, some time after the
// reply.
void SimBed::SyncRes() {
  if (frozen_res_) {
    return;
  }
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
      (void)sim::testing::Parallel(cluster_, nodes_, {"drbdadm", "-vvv", "adjust", name});
    }
  }
}

Result<kube::ExecResult, Error> SimBed::Run(const Context&,
                                            const std::string& node,
                                            const std::string& container,
                                            const std::vector<std::string>& argv) {
  if (on_operation_ && argv.size() > 4 && argv.at(3) == "breakwater-act") {
    on_operation_(argv.at(4));
  }
  const std::lock_guard lock(mutex_);
  if (dead_ || unreachable_.contains(node)) {
    return Unexpected{Error{ErrorClass::kTransient, "no answer"}};
  }
  SyncRes();
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
    return result;
  }
  if (argv.at(2) == replication::kCertificateScript) {
    section("crt", {"cat", "/etc/tlshd.d/tls.crt"});
    section("ca", {"cat", "/etc/tlshd.d/ca.crt"});
    const bool key = cluster_.Run(node, {"cat", "/etc/tlshd.d/tls.key"}, container).exit == 0;
    result.out += std::string("\n@@ mode\n") + (key ? "600" : "") + "\n@@ end\n";
    return result;
  }
  return Act(node, argv);
}

kube::ExecResult SimBed::Act(const std::string& node, const std::vector<std::string>& argv) {
  kube::ExecResult result;
  for (std::size_t i = 4; i + 3 < argv.size(); i += 4) {
    if (operations_left_ == 0) {
      dead_ = true;
      dead_.notify_all();
      result.exit_code = 137;
      return result;
    }
    operations_left_ = operations_left_ > 0 ? operations_left_ - 1 : -1;
    ++operations_;
    kinds_.push_back(argv[i]);
    result.exit_code = RunOp(node, &argv[i]);
    if (result.exit_code != 0) {
      return result;
    }
  }
  return result;
}

int SimBed::RunOp(const std::string& node, const std::string* op) {
  const std::string& kind = op[0];
  const std::string& r = op[1];
  const std::string& x = op[2];
  const auto run = [&](const std::vector<std::string>& command) {
    return cluster_.Run(node, command).exit;
  };
  if (kind == "disconnect") {
    return run({"drbdadm", "disconnect", r + ":" + x});
  }
  if (kind == "net-options") {
    int code = 1;
    for (int i = 0; i < 5 && code != 0; ++i) {
      code = run({"drbdsetup", "net-options", r, x, "--tls=" + op[3]});
      cluster_.Advance(sim::Millis(code == 0 ? 0 : 200));
    }
    return code;
  }
  if (kind == "connect") {
    return run({"drbdsetup", "connect", r, x});
  }
  if (kind == "invalidate-remote") {
    return run({"drbdadm", "invalidate-remote", r + ":" + x, "--reset-bitmap=no"});
  }
  if (kind == "suspend" || kind == "resume") {
    return run({"drbdadm", kind + "-io", r});
  }
  if (kind == "force-disconnect") {
    return run({"drbdadm", "disconnect", "--force", r});
  }
  return kind == "arm" || kind == "disarm" ? 0 : 64;
}

}  // namespace breakwater::controllers
