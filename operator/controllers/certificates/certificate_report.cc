// What a person reads of the certificates of replication.

#include <algorithm>
#include <chrono>
#include <utility>

#include "operator/controllers/certificates/certificate_reconciler.h"
#include "operator/controllers/common/status_tools.h"

namespace breakwater::controllers {
namespace {

using api::CertificateMode;
using replication::TrustPhase;
using State = CertificateReport::State;

constexpr std::size_t kShownNodes = 200;  // characters

CertificateReport Shared(const std::vector<NodeCertificates>& nodes) {
  const auto clients = std::count_if(nodes.begin(), nodes.end(), [](const NodeCertificates& node) {
    return node.satellite_is_client;
  });
  std::string text = "replication uses the certificates of the satellites' internalTLS";
  if (clients > 0) {
    text += "; " + std::to_string(clients) + " of " + std::to_string(nodes.size()) +
            " are valid as a client's, so whoever has the key of one node can be LINSTOR's "
            "controller towards every satellite. certificates.mode Managed keeps them apart";
  }
  return {.reason = "SharedWithLINSTOR", .message = std::move(text)};
}

std::string Problems(const std::vector<NodeCertificates>& nodes) {
  std::vector<std::string> lines;
  for (const NodeCertificates& node : nodes) {
    if (!node.problem.empty()) {
      lines.push_back(node.trust.name + ": " + node.problem);
    }
  }
  return JoinBounded(lines);
}

constexpr const char* kRenewal = "breakwater_certificate_renewal_time_seconds";
/// A kubelet brings a Secret to its pod within two minutes.
constexpr std::chrono::minutes kPatience{3};

const char* PhaseName(TrustPhase phase) {
  switch (phase) {
    case TrustPhase::kNothing:
      return "nothing";
    case TrustPhase::kNoSource:
      return "no_source";
    case TrustPhase::kDistributing:
      return "distributing";
    case TrustPhase::kSwitching:
      return "switching";
    case TrustPhase::kWithdrawing:
      return "withdrawing";
    case TrustPhase::kSettled:
      break;
  }
  return "settled";
}

}  // namespace

void CertificateReconciler::Tell(const Pass& pass,
                                 const std::vector<api::Condition>& before,
                                 const CertificateReport& report) const {
  const bool first = before.empty() && report.state == State::kGood;
  if (!deps_.events || first || (!before.empty() && before.front().reason == report.reason)) {
    return;
  }
  const bool good = report.state == State::kGood;
  deps_.events({.regarding = kube::RefOf(pass.cluster),
                .action = "RotateCertificates",
                .reason = good ? "CertificatesSettled" : "Certificates" + report.reason,
                .note = report.message,
                .warning = report.state == State::kBad});
}

void CertificateReconciler::TellWaiting(const Context& ctx, const Pass& pass) {
  const SteadyTime now = ctx.clock().SteadyNow();
  const std::set<std::string> waiting(pass.plan.waiting.begin(), pass.plan.waiting.end());
  const auto over = [&](const auto& item) { return !waiting.contains(item.first); };
  std::erase_if(waits_since_, over);
  std::erase_if(told_, [&](const std::string& node) { return !waiting.contains(node); });
  for (const std::string& node : waiting) {
    const SteadyTime since = waits_since_.emplace(node, now).first->second;
    if (now - since < kPatience || !told_.insert(node).second || !deps_.events) {
      continue;
    }
    deps_.events({.regarding = kube::RefOf(pass.cluster),
                  .action = "RotateCertificates",
                  .reason = "CertificatesWaiting",
                  .note = std::string(PhaseName(pass.plan.phase)) + ": waits for node " + node +
                          ", whose container ktls-utils does not have what its Secret says; look "
                          "at its satellite pod and its kubelet",
                  .part = node,
                  .warning = true});
  }
}

void CertificateReconciler::Count(const Pass& pass) {
  for (const TrustPhase phase :
       {TrustPhase::kNothing, TrustPhase::kNoSource, TrustPhase::kDistributing,
        TrustPhase::kSwitching, TrustPhase::kWithdrawing, TrustPhase::kSettled}) {
    deps_.metrics
        .Gauge("breakwater_certificates_phase",
               "Where a change of the certificates for replication is: 1 for that phase",
               {{"phase", PhaseName(phase)}})
        .Set(phase == pass.plan.phase ? 1 : 0);
  }
  deps_.metrics
      .Gauge("breakwater_certificates_waiting_nodes",
             "Nodes whose container does not have what its replication Secret says")
      .Set(static_cast<double>(pass.plan.waiting.size()));
  std::set<std::string> counted;
  for (const NodeCertificates& node : pass.nodes) {
    if (node.renewal) {
      counted.insert(node.trust.name);
      deps_.metrics
          .Gauge(kRenewal, "When the certificate of a node is to be renewed",
                 {{"node", node.trust.name}})
          .Set(std::chrono::duration<double>(node.renewal->time_since_epoch()).count());
    }
  }
  for (const std::string& node : counted_) {
    if (!counted.contains(node)) {
      deps_.metrics.RemoveGauge(kRenewal, {{"node", node}});
    }
  }
  counted_ = std::move(counted);
}

std::optional<CertificateReport> DescribeCertificates(const api::CertificateSettings& settings,
                                                      const std::vector<NodeCertificates>& nodes,
                                                      const replication::TrustPlan& plan,
                                                      const std::string& problem) {
  if (nodes.empty()) {
    return std::nullopt;
  }
  if (!problem.empty()) {
    return CertificateReport{State::kBad, "Invalid", problem + "; everything stays as it is"};
  }
  const bool back = settings.mode == CertificateMode::kInternalTls;
  const bool shared = std::all_of(nodes.begin(), nodes.end(),
                                  [](const NodeCertificates& node) { return node.trust.shares; });
  if (back && shared) {
    return Shared(nodes);  // whether those certificates are any good, ReplicationTLSReady says
  }
  const std::string waiting =
      plan.waiting.empty() ? "" : "; waiting for " + JoinBounded(plan.waiting, kShownNodes);
  switch (plan.phase) {
    case TrustPhase::kNothing:
      return std::nullopt;
    case TrustPhase::kNoSource:
      return CertificateReport{State::kBad, "SourceMissing",
                               Problems(nodes) + "; the nodes keep what they have"};
    case TrustPhase::kDistributing:
      return CertificateReport{State::kPending, "Distributing",
                               "the nodes get the new authorities beside the old ones" + waiting};
    case TrustPhase::kSwitching:
      return CertificateReport{State::kPending, "Switching",
                               "the nodes get their new certificates" + waiting};
    case TrustPhase::kWithdrawing:
      return CertificateReport{State::kPending, "Withdrawing",
                               "old authorities are taken out of the bundles" + waiting};
    case TrustPhase::kSettled:
      break;
  }
  if (back) {
    return CertificateReport{State::kPending, "Returning",
                             "the satellites restart one after the other with their own Secrets"};
  }
  return CertificateReport{State::kGood, std::string(api::ToString(settings.mode)),
                           "the nodes have certificates for replication only" +
                               (plan.waiting.empty() ? ""
                                                     : "; not seen yet in the containers of " +
                                                           JoinBounded(plan.waiting, kShownNodes))};
}

}  // namespace breakwater::controllers
