// What the engine knows of the nodes themselves: their reports, and whether they are fit for TLS.

#include <algorithm>
#include <array>

#include "operator/api/resources.h"
#include "operator/controllers/replication/engine.h"
#include "operator/controllers/replication/tls_secret.h"
#include "operator/core/render/render.h"
#include "operator/core/replication/volume/observation.h"

namespace breakwater::controllers {

using std::chrono::milliseconds;
using std::chrono::seconds;
using replication::NodeReport;

namespace {

// How old the picture of the certificates may be.
constexpr seconds kCertificatesAge{300};
constexpr seconds kCertificatesAgePending{60};
// A changed Secret reaches the pods' files when the kubelet gets to it: often at once, at the
// latest after its sync period and the life of its cache, about a minute and a half.
constexpr std::array<seconds, 4> kLooksAfterSecret{seconds(5), seconds(30), seconds(60),
                                                   seconds(120)};
// Somebody is mending a certificate and waits for us to see it.
constexpr seconds kCertificatesAgeTrouble{10};

}  // namespace

std::map<std::string, NodeReport> Engine::AskNodes(const Context& ctx,
                                                   const std::set<std::string>& nodes) {
  const SteadyTime now = deps_.services.clock.SteadyNow();
  const std::set<std::string> due = quiet_.Due(nodes, now);
  std::map<std::string, NodeReport> reports = observer_.Observe(ctx, due);
  quiet_.Note(due, reports, now);
  return reports;
}

// Nodes that LINSTOR or a peer names are never quiet; those that were taken for it are asked now.
void Engine::AskNamedNodes(const Context& ctx,
                           const std::set<std::string>& nodes,
                           const LevelsSnapshot& linstor,
                           std::map<std::string, NodeReport>* reports) {
  std::set<std::string> named;
  for (const auto& [name, resource] : linstor.resources) {
    named.insert(resource.nodes.begin(), resource.nodes.end());
  }
  for (const std::string& resource : replication::ResourcesIn(*reports)) {
    named.merge(replication::PeersIn(*reports, resource));
  }
  const SteadyTime now = deps_.services.clock.SteadyNow();
  std::set<std::string> missed;
  for (const std::string& node : nodes) {
    if (named.contains(node) && !quiet_.Due({node}, now).contains(node) &&
        !reports->contains(node)) {
      missed.insert(node);
    }
  }
  quiet_.Forget(named);
  if (!missed.empty()) {
    reports->merge(observer_.Observe(ctx, missed));
  }
  quiet_.AddTo(nodes, reports);
}

std::map<std::string, std::vector<replication::PreflightFailure>> Engine::Preflight(
    const Context& ctx,
    const std::set<std::string>& nodes,
    const std::map<std::string, NodeReport>& reports,
    bool wanted) {
  std::map<std::string, replication::NodeFacts> facts;
  std::set<std::string> with_daemon;
  for (const api::ObjectPtr& satellite : deps_.satellites.List()) {
    replication::NodeFacts& fact = facts[satellite->name()];
    fact.name = satellite->name();
    fact.secret = core::SatelliteTlsSecretName(fact.name,
                                               api::DecodeLinstorSatellite(satellite->raw()).value);
  }
  const auto pods = SatellitePods(deps_.pods, deps_.options.operator_namespace);
  for (const std::string& node : nodes) {
    replication::NodeFacts& fact = facts[node];
    fact.name = node;
    const auto found = pods.find(node);
    if (found == pods.end()) {
      continue;
    }
    const api::ObjectPtr& pod = found->second;
    fact.satellite_ready =
        StateOfContainer(*pod, deps_.options.satellite_container) != ContainerState::kAbsent;
    const ContainerState daemon = StateOfContainer(*pod, deps_.options.tlshd_container);
    fact.tlshd_container = daemon != ContainerState::kAbsent;
    fact.tlshd_ready = daemon == ContainerState::kReady;
    if (fact.tlshd_ready) {
      with_daemon.insert(node);
    }
    if (const auto report = reports.find(node); report != reports.end()) {
      const auto& sockets = report->second.sockets.sockets;
      fact.answered = report->second.ended;
      fact.observed = report->second.complete;
      fact.no_socket_proof =
          !report->second.sockets.reliable &&
          std::any_of(sockets.begin(), sockets.end(),
                      [](const replication::Socket& s) { return s.state == "ESTAB"; });
      fact.versions = report->second.versions;
      fact.tls_module = report->second.tls_module;
      for (const auto& [name, show] : report->second.show) {
        for (const replication::ShownConnection& connection : show.connections) {
          if (const std::string bad = connection.BadTransport(); !bad.empty()) {
            fact.bad_transports = {bad};
          }
        }
      }
    }
  }
  if (!wanted && with_daemon.empty()) {
    return {};  // a cluster without TLS needs no verdict about it
  }
  ReadCertificates(ctx, with_daemon, facts);
  std::map<std::string, std::vector<replication::PreflightFailure>> result;
  for (auto& [node, fact] : facts) {
    if (const auto it = certificates_.find(node); it != certificates_.end()) {
      fact.certificate = it->second.facts;
    }
    result[node] = CheckNode(fact, deps_.services.clock.SystemNow());
  }
  certificate_trouble_ = std::any_of(result.begin(), result.end(), [](const auto& item) {
    const auto blocker = replication::FirstBlocker(item.second);
    return blocker && blocker->reason.starts_with("Certificate");
  });
  return result;
}

void Engine::ReadCertificates(const Context& ctx,
                              const std::set<std::string>& with_daemon,
                              const std::map<std::string, replication::NodeFacts>& facts) {
  const SteadyTime now = deps_.services.clock.SteadyNow();
  std::set<std::string> known;
  for (const auto& [node, certificate] : certificates_) {
    known.insert(node);
  }
  const seconds max_age = certificate_trouble_ ? kCertificatesAgeTrouble
                          : pending_           ? kCertificatesAgePending
                                               : kCertificatesAge;
  if (certificates_read_ && known == with_daemon && now - *certificates_read_ <= max_age &&
      !SecretLookDue(now)) {
    return;
  }
  certificates_ = observer_.ReadCertificates(ctx, with_daemon);
  certificates_read_ = now;
  for (auto& [node, certificate] : certificates_) {
    const auto fact = facts.find(node);
    const api::ObjectPtr secret =
        fact == facts.end() || fact->second.secret.empty()
            ? nullptr
            : deps_.secrets.Get({deps_.options.operator_namespace, fact->second.secret});
    certificate.facts.key_fits = secret == nullptr ? std::nullopt : KeyFits(*secret);
  }
}

// Whether a look that a changed Secret asks for is still to be made. Only after the first look.
bool Engine::SecretLookDue(SteadyTime now) const {
  const SteadyTime changed{SteadyTime::duration(secret_changed_.load())};
  return changed != SteadyTime{} &&
         std::any_of(kLooksAfterSecret.begin(), kLooksAfterSecret.end(), [&](seconds after) {
           return now >= changed + after && *certificates_read_ < changed + after;
         });
}

milliseconds Engine::UntilCertificates() const {
  const SteadyTime now = deps_.services.clock.SteadyNow();
  const SteadyTime changed{SteadyTime::duration(secret_changed_.load())};
  milliseconds wait = certificate_trouble_ ? kCertificatesAgeTrouble : kCertificatesAge;
  for (const seconds after : kLooksAfterSecret) {
    if (changed != SteadyTime{} && changed + after > now) {
      const auto left = std::chrono::duration_cast<milliseconds>(changed + after - now);
      wait = std::min(wait, left + milliseconds(100));
    }
  }
  return wait;
}

void Engine::NoteSecretChange() {
  secret_changed_ = deps_.services.clock.SteadyNow().time_since_epoch().count();
  Wake();
}

}  // namespace breakwater::controllers
