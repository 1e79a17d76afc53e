#include "operator/controllers/replication/preflight.h"

#include <algorithm>
#include <utility>

#include "operator/api/linstor_satellite.h"
#include "operator/base/rfc3339.h"
#include "operator/controllers/common/replication_secret.h"
#include "operator/controllers/node_shell/node_shell.h"
#include "operator/core/render/render.h"

namespace breakwater::controllers {

using replication::NodeFacts;
using replication::PreflightFailure;

namespace {

bool IsTlsFault(const std::string& reason) {
  return reason.starts_with("HandshakeDaemon") || reason.starts_with("Certificate");
}

void AddPod(const PreflightInput& input, const api::Object& pod, NodeFacts* fact) {
  fact->satellite_ready =
      StateOfContainer(pod, input.satellite_container) != ContainerState::kAbsent;
  const ContainerState daemon = StateOfContainer(pod, input.tlshd_container);
  fact->tlshd_container = daemon != ContainerState::kAbsent;
  fact->tlshd_ready = daemon == ContainerState::kReady;
}

void AddReport(const replication::NodeReport& report, NodeFacts* fact) {
  fact->answered = report.ended;
  fact->observed = report.complete;
  fact->no_socket_proof = !report.sockets_reliable && report.any_socket;
  fact->versions = report.versions;
  fact->tls_module = report.tls_module;
  fact->handshake_family = report.handshake_family;
  fact->usermode_helper = report.usermode_helper;
  fact->broken_res = report.broken_res;
  for (const auto& [name, resource] : report.resources) {
    if (!resource->show) {
      continue;
    }
    for (const replication::ShownConnection& connection : resource->show->connections) {
      if (const std::string bad = connection.BadTransport(); !bad.empty()) {
        fact->bad_transports = {bad};
      }
    }
  }
}

void AddAgent(const PreflightInput& input, NodeFacts* fact) {
  const auto agent = input.agents.find(fact->name);
  fact->agent_needed = input.tls_wanted;
  if (agent == input.agents.end()) {
    fact->agent = replication::AgentState::kMissing;
    return;
  }
  fact->agent_version = agent->second.version;
  fact->agent = agent->second.too_old     ? replication::AgentState::kTooOld
                : agent->second.connected ? replication::AgentState::kConnected
                                          : replication::AgentState::kUnreachable;
}

NodeFacts FactsOf(const PreflightInput& input, const api::Object& satellite) {
  NodeFacts fact;
  fact.name = satellite.name();
  fact.secret =
      core::SatelliteTlsSecretName(fact.name, api::DecodeLinstorSatellite(satellite.raw()).value);
  if (const auto pod = input.pods.find(fact.name); pod != input.pods.end()) {
    AddPod(input, *pod->second, &fact);
    if (MountsReplicationSecret(pod->second)) {
      fact.secret = core::ReplicationTlsSecretName(fact.name);
    }
  }
  if (const auto report = input.reports.find(fact.name); report != input.reports.end()) {
    AddReport(report->second, &fact);
  }
  if (const auto it = input.certificates.find(fact.name); it != input.certificates.end()) {
    fact.certificate = it->second.facts;
  }
  if (input.linstor.known) {
    fact.linstor_online = input.linstor.online.contains(fact.name);
  }
  AddAgent(input, &fact);
  return fact;
}

std::vector<SystemTime> StartsOf(const api::Object& pod, const std::string& container) {
  std::vector<SystemTime> starts;
  const auto add = [&](const std::string& text) {
    if (const std::optional<SystemTime> time = ParseRfc3339(text)) {
      starts.push_back(*time);
    }
  };
  const api::Json* status = api::FindMember(pod.raw(), "status");
  if (status == nullptr) {
    return starts;
  }
  add(api::StringAt(*status, "startTime"));
  const api::Json* list = api::FindMember(*status, "containerStatuses");
  for (const api::Json& item : list != nullptr && list->is_array() ? *list : api::Json::array()) {
    const api::Json* running = api::FindPath(item, {"state", "running"});
    if (api::StringAt(item, "name") == container && running != nullptr) {
      add(api::StringAt(*running, "startedAt"));
    }
  }
  return starts;
}

}  // namespace

NodeVerdicts CheckNodes(const PreflightInput& input, SystemTime now) {
  std::vector<NodeFacts> facts;
  for (const api::ObjectPtr& satellite : input.satellites.List()) {
    facts.push_back(FactsOf(input, *satellite));
  }
  const bool any_daemon = std::any_of(facts.begin(), facts.end(),
                                      [](const NodeFacts& fact) { return fact.tlshd_ready; });
  if (!input.tls_wanted && !any_daemon) {
    return {};
  }
  NodeVerdicts verdicts;
  for (const NodeFacts& fact : facts) {
    std::vector<PreflightFailure>& failures = verdicts[fact.name];
    failures = CheckNode(fact, now);
    if (const auto bad = input.bad_handshakes.find(fact.name);
        bad != input.bad_handshakes.end() && !FirstBlocker(failures)) {
      failures.insert(failures.begin(), {"HandshakeFailed", bad->second});
    }
  }
  return verdicts;
}

std::map<std::string, std::string> UnfitNodes(const NodeVerdicts& verdicts) {
  std::map<std::string, std::string> unfit;
  for (const auto& [node, failures] : verdicts) {
    const auto blocker = replication::FirstBlocker(failures);
    if (blocker && blocker->reason != "NotObserved" && blocker->reason != "DRBDNotLoaded") {
      unfit[node] = blocker->reason;
    }
  }
  return unfit;
}

bool NoteCauses(const NodeVerdicts& verdicts,
                const std::map<std::string, api::ObjectPtr>& pods,
                const std::string& tlshd_container,
                SystemTime now,
                CauseLedger* causes) {
  bool news = false;
  for (const auto& [node, failures] : verdicts) {
    if (const auto pod = pods.find(node); pod != pods.end()) {
      for (const SystemTime start : StartsOf(*pod->second, tlshd_container)) {
        news = causes->Note(node, start, now) || news;
      }
    }
    if (const auto blocker = replication::FirstBlocker(failures);
        blocker && IsTlsFault(blocker->reason)) {
      news = causes->Note(node, now, now) || news;
    }
  }
  return news;
}

}  // namespace breakwater::controllers
