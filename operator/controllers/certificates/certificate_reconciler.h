#pragma once

/// CertificateReconciler: keeps the Secrets with what tlshd of each node presents and trusts, and
/// the operator's own authority in mode Managed.
///
/// It remembers nothing: what comes next follows from the Secrets and from what was read in the
/// containers (PlanTrust), so it may be killed at any step. Every write says which version of the
/// Secret it was planned on.

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/base/log.h"
#include "operator/controllers/certificates/node_certificates.h"
#include "operator/kube/client.h"
#include "operator/kube/event_aggregator.h"
#include "operator/runtime/apply.h"
#include "operator/runtime/controller.h"
#include "operator/runtime/metrics.h"

namespace breakwater::controllers {

inline constexpr std::string_view kCertificatesFieldManager =
    "breakwater.io/replication-certificates";

/// References must outlive the reconciler.
struct CertificateReconcilerDeps {
  kube::KubeClient& client;
  const runtime::Store& clusters;
  SatelliteStores satellites;
  const runtime::Store& secrets;      ///< of the operator's namespace
  const runtime::Store& config_maps;  ///< likewise
  /// What was read in the containers, by node.
  std::function<std::map<std::string, PemFiles>()> containers{};
  /// The files of this node are to be read again.
  std::function<void(const std::string& node)> look{};
  /// Must not block.
  std::function<void(kube::Event)> events{};
  runtime::Metrics& metrics;
  const Logger& log;
};

/// What the condition ReplicationCertificates says. Pure.
struct CertificateReport {
  enum class State { kGood, kPending, kBad };

  State state = State::kGood;
  std::string reason{};
  std::string message{};
};

/// Thread safety: one key, so one call at a time.
class CertificateReconciler final : public runtime::Reconciler {
 public:
  explicit CertificateReconciler(CertificateReconcilerDeps deps);

  /// The key plays no part: the first LinstorCluster that stays is served.
  Result<runtime::Requeue, Error> Reconcile(const Context& ctx, const api::ObjectKey& key) override;

 private:
  struct Pass {
    const api::Object& cluster;
    const api::CertificateSettings& settings;
    SystemTime now{};
    std::optional<Authority> authority{};
    std::vector<NodeCertificates> nodes{};
    replication::TrustPlan plan{};
    std::string problem{};  ///< what keeps the whole cluster from its certificates
  };

  Result<runtime::Requeue, Error> Serve(const Context& ctx, Pass* pass);
  /// Reads the authority, makes the first one, and begins a rotation that is due.
  Result<void, Error> KeepAuthority(const Context& ctx, Pass* pass) const;
  Result<void, Error> ForgetPrevious(const Context& ctx, const Pass& pass) const;
  void Plan(const std::map<std::string, api::ObjectPtr>& secrets, Pass* pass) const;
  std::map<std::string, api::ObjectPtr> KnownSecrets() const;
  /// The same from the API server: what a store shows may be older than what was written.
  Result<std::map<std::string, api::ObjectPtr>, Error> NewestSecrets(const Context& ctx) const;
  Result<void, Error> Act(const Context& ctx, const Pass& pass) const;
  /// Lets the satellites mount their own Secrets again, and empties what nobody mounts any more.
  Result<void, Error> Release(const Context& ctx, const Pass& pass) const;
  /// cert-manager leaves its Secrets where they are, with their keys, when nobody asks for them any
  /// more: they go with their node, and lose the key when another mode has taken over.
  Result<void, Error> KeepIssued(const Context& ctx, const Pass& pass) const;
  Result<void, Error> Write(const Context& ctx,
                            const std::string& name,
                            const api::ObjectPtr& live,
                            api::Json content) const;
  Result<void, Error> Report(const Context& ctx, const Pass& pass);
  /// Events of steps, told by the condition before, so that they survive a change of the leader;
  /// and of nodes that are waited for too long, which each leader counts anew.
  void Tell(const Pass& pass,
            const std::vector<api::Condition>& before,
            const CertificateReport& report) const;
  void TellWaiting(const Context& ctx, const Pass& pass);
  void Count(const Pass& pass);
  std::chrono::milliseconds NextPass(const Context& ctx, const Pass& pass);

  const CertificateReconcilerDeps deps_;
  const Logger log_;
  const runtime::Applier status_;
  // One worker.
  std::map<std::string, SteadyTime> looked_;
  std::map<std::string, SteadyTime> waits_since_;
  std::set<std::string> told_;     // nodes that are waited for
  std::set<std::string> counted_;  // nodes with a gauge
};

/// Nothing: no node needs a certificate.
std::optional<CertificateReport> DescribeCertificates(const api::CertificateSettings& settings,
                                                      const std::vector<NodeCertificates>& nodes,
                                                      const replication::TrustPlan& plan,
                                                      const std::string& problem);

}  // namespace breakwater::controllers
