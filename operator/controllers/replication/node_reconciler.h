#pragma once

/// NodeReconciler: everything that is still asked of a node by exec: what DRBD shows, on nodes
/// without an agent, at a slow pace; and the certificate files, when there is a reason to look.
/// One key per node. All execs together stay within a budget, whatever fails.

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "operator/controllers/node_shell/satellite_pods.h"
#include "operator/controllers/replication/node_feed.h"
#include "operator/controllers/replication/node_observer.h"
#include "operator/controllers/replication/served_cluster.h"
#include "operator/controllers/replication/volume_reconciler.h"
#include "operator/runtime/controller.h"
#include "operator/runtime/store.h"

namespace breakwater::controllers {

struct NodeReconcilerOptions {
  std::string satellite_container{};
  std::string tlshd_container{};
  /// How often a node with volumes and without an agent is looked at.
  std::chrono::milliseconds observe_interval{60000};
  /// The same for one without volumes: what appears there is named by LINSTOR or by its peer.
  std::chrono::milliseconds quiet_interval{std::chrono::minutes{10}};
  std::chrono::milliseconds certificates_interval{std::chrono::hours{24}};
  /// After a look that failed, or that found a bad certificate; doubles up to the last one.
  std::chrono::milliseconds first_retry{60000};
  std::chrono::milliseconds max_retry{std::chrono::minutes{15}};
  /// Execs at once, and how many more a minute: with the retries of the agents' links
  /// (AgentLinksOptions) fewer than 60, whatever fails.
  double burst = 60;
  double per_minute = 20;
};

/// References must outlive the reconciler.
struct NodeReconcilerDeps {
  runtime::Services services;
  PlanBoard& board;
  NodeFeed& feed;
  NodeShell& shell;
  SatelliteStores satellites;
  const runtime::Store& secrets;  ///< of the operator's namespace
};

class NodeReconciler final : public runtime::Reconciler {
 public:
  NodeReconciler(NodeReconcilerDeps deps, NodeReconcilerOptions options);

  /// Before the first reconcile.
  void SetWakers(Wakers wakers) { wake_ = std::move(wakers); }

  /// `key.name` is a node.
  Result<runtime::Requeue, Error> Reconcile(const Context& ctx, const api::ObjectKey& key) override;

  /// A volume appeared on the node: a quiet one is looked at now. Any thread.
  void WantObservation(const std::string& node);
  /// The certificate files are to be looked at: something may have changed, or they may explain
  /// something. Any thread.
  void WantCertificates(const std::string& node);
  /// A Secret with certificates changed: the files of the nodes that use it are looked at a few
  /// times until the kubelet must have brought it there. Returns those nodes. Any thread.
  std::set<std::string> NoteSecret(const std::string& secret);

  /// The certificates as last read, trust between the nodes included, and a number that changes
  /// when they do.
  std::map<std::string, NodeCertificate> Certificates() const;
  /// Its files were read since then, whatever was in them.
  bool CertificatesReadSince(const std::string& node, SteadyTime time) const;
  std::uint64_t certificates_version() const;

 private:
  /// One kind of look at one node.
  struct Pace {
    std::optional<SteadyTime> due{};  ///< nothing: never looked
    int failures = 0;
  };

  struct Node {
    Pace observe{};
    Pace certificates{};
    std::optional<SteadyTime> certificates_read{};
    std::string container{};  ///< identity of the tlshd container that was read
    std::string satellite{};  ///< of the satellite's container, and whether it runs
    std::optional<SteadyTime> secret_changed{};
  };

  bool TakeToken(SteadyTime now);
  SteadyTime NextRetry(Pace* pace, SteadyTime now) const;
  SteadyTime NextSecretLook(const Node& node, SteadyTime now) const;
  void NoteSatellite(const std::string& node, const api::Object& pod);
  std::optional<SteadyTime> Observe(const Context& ctx,
                                    const PublishedPlan& plan,
                                    const std::string& node);
  std::optional<SteadyTime> ReadCertificates(const Context& ctx,
                                             const std::string& node,
                                             const api::ObjectPtr& pod);
  /// Somebody changed something there: what failed because of the node may be tried again.
  void Forgive(const std::string& node);
  void Keep(const std::string& node, std::optional<NodeCertificate> certificate);

  const NodeReconcilerDeps deps_;
  const NodeReconcilerOptions options_;
  NodeObserver observer_;
  Wakers wake_;  // constant after SetWakers

  mutable std::mutex mutex_;
  std::map<std::string, Node> nodes_;                    // guarded by mutex_
  std::map<std::string, NodeCertificate> certificates_;  // guarded by mutex_
  std::uint64_t version_ = 0;                            // guarded by mutex_
  double tokens_ = 0;                                    // guarded by mutex_
  SteadyTime tokens_at_{};                               // guarded by mutex_
};

}  // namespace breakwater::controllers
