#include "operator/controllers/replication/node_observer.h"

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "operator/controllers/certificates/pem_files.h"
#include "operator/core/replication/node/node_scripts.h"
#include "operator/core/replication/node/parse.h"
#include "operator/core/replication/node/text.h"

namespace breakwater::controllers {

using replication::NodeReport;

NodeObserver::NodeObserver(NodeShell& shell, const Logger& log, Options options)
    : shell_(shell), log_(log.Named("node-observer")), options_(std::move(options)) {}

std::optional<NodeReport> NodeObserver::Observe(const Context& ctx, const std::string& node) {
  const Result<kube::ExecResult, Error> result =
      shell_.Run(ctx, node, options_.satellite_container,
                 {"sh", "-c", std::string(replication::kObserveScript)});
  if (!result) {
    log_.Debug("node does not answer", {{"node", node}, {"error", result.error().message}});
    return std::nullopt;
  }
  return replication::ParseReport(node, result->out, result->truncated);
}

std::optional<NodeCertificate> NodeObserver::ReadCertificate(const Context& ctx,
                                                             const std::string& node) {
  const Result<kube::ExecResult, Error> result =
      shell_.Run(ctx, node, options_.tlshd_container,
                 {"sh", "-c", std::string(replication::kCertificateScript)});
  if (!result) {
    log_.Debug("certificates cannot be read", {{"node", node}, {"error", result.error().message}});
    return std::nullopt;
  }
  return ParseCertificates(node, result->out, ctx.clock().SystemNow());
}

namespace {

std::string Section(const std::string& text, const std::string& name) {
  const std::string mark = "@@ " + name + "\n";
  const std::size_t begin = text.find(mark);
  if (begin == std::string::npos) {
    return {};
  }
  const std::size_t from = begin + mark.size();
  const std::size_t end = text.find("\n@@ ", from);
  return text.substr(from, end == std::string::npos ? std::string::npos : end - from);
}

}  // namespace

NodeCertificate ParseCertificates(const std::string& node,
                                  const std::string& text,
                                  SystemTime now) {
  NodeCertificate result;
  replication::CertificateFacts& facts = result.facts;
  const std::string chain = Section(text, "crt");
  const std::string roots = Section(text, "ca");
  facts.key_mode = std::string(replication::Trim(Section(text, "mode")));
  const std::string clock(replication::Trim(Section(text, "clock")));
  std::int64_t seconds = 0;
  if (std::from_chars(clock.data(), clock.data() + clock.size(), seconds).ec == std::errc{}) {
    const std::int64_t here =
        std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
    // Bounded: whatever the node says, it is a number of seconds that can be computed with.
    constexpr std::int64_t kYear = 365LL * 86400;
    facts.clock_ahead =
        std::chrono::seconds(std::clamp(seconds, here - kYear, here + kYear) - here);
  }
  // A missing key shows as a missing mode: the key itself is never read.
  facts.present = !replication::Trim(chain).empty() && !replication::Trim(roots).empty() &&
                  !facts.key_mode.empty();
  Result<std::vector<crypto::Certificate>, Error> leafs = crypto::Certificate::ParsePem(chain);
  Result<std::vector<crypto::Certificate>, Error> anchors = crypto::Certificate::ParsePem(roots);
  if (!leafs || !anchors) {
    facts.error = !leafs ? leafs.error().message : anchors.error().message;
    return result;
  }
  facts.parsed = true;
  result.chain = std::move(*leafs);
  result.roots = std::move(*anchors);
  result.generation = GenerationOf(roots);
  const crypto::Certificate& leaf = result.chain.front();
  facts.name_matches = crypto::MatchesNameAsTlshd(leaf, node);
  facts.server_auth = leaf.allows_server_auth();
  facts.client_auth = leaf.allows_client_auth();
  facts.not_before = leaf.not_before();
  facts.not_after = leaf.not_after();
  const auto verified = crypto::VerifyChain(result.chain, result.roots, now);
  // Expiry has its own reason; here only the signature chain counts.
  facts.trusted_here = verified || verified.error().kind == crypto::VerifyError::Kind::kExpired ||
                       verified.error().kind == crypto::VerifyError::Kind::kNotYetValid;
  return result;
}

void CheckMutualTrust(std::map<std::string, NodeCertificate>& certificates, SystemTime now) {
  // Most nodes have the same CA bundle: each certificate is verified once per bundle, not per peer.
  std::map<std::string, std::vector<std::string>> nodes_of_bundle;
  for (const auto& [node, certificate] : certificates) {
    if (certificate.facts.parsed) {
      std::string bundle;
      for (const crypto::Certificate& root : certificate.roots) {
        bundle += root.ToPem();
      }
      nodes_of_bundle[std::move(bundle)].push_back(node);
    }
  }
  for (auto& [node, certificate] : certificates) {
    for (const auto& [bundle, peers] : nodes_of_bundle) {
      if (!certificate.facts.parsed || (peers.size() == 1 && peers.front() == node)) {
        continue;
      }
      const auto verified =
          crypto::VerifyChain(certificate.chain, certificates.at(peers.front()).roots, now);
      if (verified || verified.error().kind != crypto::VerifyError::Kind::kUntrusted) {
        continue;
      }
      for (const std::string& peer : peers) {
        if (peer != node) {
          certificate.facts.untrusted_by.push_back(peer);
        }
      }
    }
    std::sort(certificate.facts.untrusted_by.begin(), certificate.facts.untrusted_by.end());
  }
}

}  // namespace breakwater::controllers
