// What a person reads of the certificates of replication.

#include <algorithm>

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

}  // namespace

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
