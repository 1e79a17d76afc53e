#include "operator/controllers/replication/node_reconciler.h"

#include <algorithm>
#include <array>
#include <utility>

#include "operator/api/object.h"
#include "operator/controllers/common/replication_secret.h"
#include "operator/controllers/replication/tls_secret.h"
#include "operator/core/render/render.h"
#include "operator/core/replication/node/text.h"

namespace breakwater::controllers {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr seconds kExecTimeout{20};
// A changed Secret reaches the pods' files when the kubelet gets to it: often at once, at the
// latest after its sync period and the life of its cache, about a minute and a half.
constexpr std::array<seconds, 4> kLooksAfterSecret{seconds(5), seconds(30), seconds(60),
                                                   seconds(120)};
// Without a token: the bucket has one again by then.
constexpr seconds kNoToken{5};

// Another one when the pod is another, or the container was restarted in it.
std::string ContainerIdentity(const api::Object& pod, const std::string& container) {
  std::string restarts = "0";
  for (const char* statuses : {"containerStatuses", "initContainerStatuses"}) {
    const api::Json* list = api::FindPath(pod.raw(), {"status", statuses});
    for (const api::Json& item : list != nullptr && list->is_array() ? *list : api::Json::array()) {
      const api::Json* count = api::FindMember(item, "restartCount");
      if (api::StringAt(item, "name") == container && count != nullptr) {
        restarts = count->dump();
      }
    }
  }
  return pod.uid() + "/" + restarts;
}

// The one that the container of tlshd mounts.
std::string SecretOf(const SatelliteStores& stores, const std::string& node) {
  if (MountsReplicationSecret(FindSatellitePod(stores, node).pod)) {
    return core::ReplicationTlsSecretName(node);
  }
  const api::ObjectPtr satellite = stores.satellites.Get({.ns = "", .name = node});
  return satellite == nullptr ? ""
                              : core::SatelliteTlsSecretName(
                                    node, api::DecodeLinstorSatellite(satellite->raw()).value);
}

bool LooksBad(const NodeCertificate& certificate, SystemTime now) {
  const replication::CertificateFacts& facts = certificate.facts;
  return !facts.present || !facts.parsed || !facts.key_fits.value_or(true) || !facts.name_matches ||
         !facts.trusted_here || now < facts.not_before || now >= facts.not_after ||
         replication::ClockDiffers(facts);
}

std::optional<SteadyTime> Earlier(std::optional<SteadyTime> x, std::optional<SteadyTime> y) {
  return x && y ? std::min(*x, *y) : x ? x : y;
}

}  // namespace

NodeReconciler::NodeReconciler(NodeReconcilerDeps deps, NodeReconcilerOptions options)
    : deps_(std::move(deps)),
      options_(std::move(options)),
      observer_(deps_.shell,
                deps_.services.log,
                {.satellite_container = options_.satellite_container,
                 .tlshd_container = options_.tlshd_container}),
      tokens_(options_.burst) {}

bool NodeReconciler::TakeToken(SteadyTime now) {
  const std::lock_guard lock(mutex_);
  if (tokens_at_ != SteadyTime{}) {
    const double minutes = std::chrono::duration<double>(now - tokens_at_).count() / 60;
    tokens_ = std::min(options_.burst, tokens_ + minutes * options_.per_minute);
  }
  tokens_at_ = now;
  if (tokens_ < 1) {
    return false;
  }
  tokens_ -= 1;
  return true;
}

SteadyTime NodeReconciler::NextRetry(Pace* pace, SteadyTime now) const {
  const milliseconds wait =
      std::min(options_.max_retry, options_.first_retry * (1 << std::min(pace->failures, 8)));
  ++pace->failures;
  return now + wait;
}

Result<runtime::Requeue, Error> NodeReconciler::Reconcile(const Context& ctx,
                                                          const api::ObjectKey& key) {
  const std::shared_ptr<const PublishedPlan> plan = deps_.board.Get();
  if (plan == nullptr || !replication::IsSafeName(key.name)) {
    return runtime::Requeue{};
  }
  const api::ObjectPtr pod = FindSatellitePod(deps_.satellites, key.name).pod;
  if (pod == nullptr) {
    const std::lock_guard lock(mutex_);
    nodes_.erase(key.name);
    version_ += certificates_.erase(key.name);
    return runtime::Requeue{};
  }
  NoteSatellite(key.name, *pod);
  const std::optional<SteadyTime> next =
      Earlier(deps_.feed.HasAgent(key.name) ? std::nullopt : Observe(ctx, *plan, key.name),
              ReadCertificates(ctx, key.name, pod));
  if (!next) {
    return runtime::Requeue{};
  }
  const auto wait = *next - deps_.services.clock.SteadyNow();
  return runtime::Requeue{
      std::max(milliseconds(100), std::chrono::duration_cast<milliseconds>(wait))};
}

// Its container has been started since: what failed before says nothing about it.
void NodeReconciler::NoteSatellite(const std::string& node, const api::Object& pod) {
  const ContainerState running = StateOfContainer(pod, options_.satellite_container);
  const std::string now = ContainerIdentity(pod, options_.satellite_container) +
                          (running == ContainerState::kAbsent ? "" : "/runs");
  const std::lock_guard lock(mutex_);
  Node& state = nodes_[node];
  if (state.satellite != now) {
    state.satellite = now;
    state.observe = {};
  }
}

std::optional<SteadyTime> NodeReconciler::Observe(const Context& ctx,
                                                  const PublishedPlan& plan,
                                                  const std::string& node) {
  const SteadyTime now = deps_.services.clock.SteadyNow();
  const bool used = plan.used_nodes.contains(node);
  {
    const std::lock_guard lock(mutex_);
    const Pace& pace = nodes_[node].observe;
    if (pace.due && *pace.due > now) {
      return pace.due;
    }
  }
  if (!TakeToken(now)) {
    return now + kNoToken;
  }
  const std::optional<replication::NodeReport> report =
      observer_.Observe(ctx.WithTimeout(kExecTimeout), node);
  const SteadyTime then = deps_.services.clock.SteadyNow();
  const bool good = report && report->complete;
  const bool empty = good && report->resources.empty();
  const std::set<std::string> concerned = deps_.feed.SetExecReport(node, report);
  for (const std::string& resource : concerned) {
    wake_.volume(resource);
  }
  wake_.cluster();
  const std::lock_guard lock(mutex_);
  Pace& pace = nodes_[node].observe;
  if (!good) {
    pace.due = NextRetry(&pace, then);
    return pace.due;
  }
  pace.failures = 0;
  pace.due = then + (empty && !used ? options_.quiet_interval : options_.observe_interval);
  return pace.due;
}

SteadyTime NodeReconciler::NextSecretLook(const Node& node, SteadyTime now) const {
  SteadyTime next = SteadyTime::max();
  for (const seconds after : kLooksAfterSecret) {
    if (node.secret_changed && *node.secret_changed + after > now) {
      next = std::min(next, SteadyTime(*node.secret_changed + after));
    }
  }
  return next;
}

std::optional<SteadyTime> NodeReconciler::ReadCertificates(const Context& ctx,
                                                           const std::string& node,
                                                           const api::ObjectPtr& pod) {
  const SteadyTime now = deps_.services.clock.SteadyNow();
  const bool ready = StateOfContainer(*pod, options_.tlshd_container) == ContainerState::kReady;
  const std::string identity = ContainerIdentity(*pod, options_.tlshd_container);
  bool another = false;
  {
    const std::lock_guard lock(mutex_);
    Node& state = nodes_[node];
    if (!ready) {
      version_ += certificates_.erase(node);
      state.container.clear();
      return std::nullopt;  // the change of the pod brings us back
    }
    another = !state.container.empty() && state.container != identity;
    if (state.container == identity && state.certificates.due && *state.certificates.due > now) {
      return state.certificates.due;
    }
  }
  if (!TakeToken(now)) {
    return now + kNoToken;
  }
  if (another) {
    Forgive(node);
  }
  std::optional<NodeCertificate> certificate =
      observer_.ReadCertificate(ctx.WithTimeout(kExecTimeout), node);
  if (certificate) {
    const std::string name = SecretOf(deps_.satellites, node);
    const api::ObjectPtr secret =
        name.empty() ? nullptr : deps_.secrets.Get({deps_.satellites.ns, name});
    certificate->facts.key_fits = secret == nullptr ? std::nullopt : KeyFits(*secret);
  }
  const bool bad = !certificate || LooksBad(*certificate, deps_.services.clock.SystemNow());
  const bool read = certificate.has_value();
  Keep(node, std::move(certificate));
  const SteadyTime then = deps_.services.clock.SteadyNow();
  const std::lock_guard lock(mutex_);
  Node& state = nodes_[node];
  state.container = read ? identity : state.container;
  state.certificates_read = read ? std::optional(now) : state.certificates_read;
  if (bad) {
    state.certificates.due = NextRetry(&state.certificates, then);
    state.container = identity;
  } else {
    state.certificates.failures = 0;
    state.certificates.due = then + options_.certificates_interval;
  }
  state.certificates.due = std::min(*state.certificates.due, NextSecretLook(state, then));
  return state.certificates.due;
}

void NodeReconciler::Forgive(const std::string& node) {
  if (const std::shared_ptr<const PublishedPlan> plan = deps_.board.Get()) {
    plan->cluster->ledgers.With([&](LedgerParts& parts) {
      parts.handshakes.Forgive(node);
      parts.failures.RetryNode(node);
      return 0;
    });
    wake_.cluster();
  }
}

void NodeReconciler::Keep(const std::string& node, std::optional<NodeCertificate> certificate) {
  {
    const std::lock_guard lock(mutex_);
    ++version_;
    if (certificate) {
      certificates_[node] = *std::move(certificate);
    } else {
      certificates_.erase(node);
    }
    for (auto& [name, other] : certificates_) {
      other.facts.untrusted_by.clear();
    }
    CheckMutualTrust(certificates_, deps_.services.clock.SystemNow());
  }
  wake_.cluster();
}

void NodeReconciler::WantObservation(const std::string& node) {
  const std::lock_guard lock(mutex_);
  if (Pace& pace = nodes_[node].observe; pace.failures == 0) {
    pace.due.reset();
  }
}

void NodeReconciler::WantCertificates(const std::string& node) {
  const std::lock_guard lock(mutex_);
  nodes_[node].certificates.due.reset();
}

std::set<std::string> NodeReconciler::NoteSecret(const std::string& secret) {
  std::set<std::string> nodes;
  for (const std::string& node : deps_.feed.nodes()) {
    if (SecretOf(deps_.satellites, node) == secret) {
      nodes.insert(node);
      Forgive(node);
    }
  }
  const SteadyTime now = deps_.services.clock.SteadyNow();
  const std::lock_guard lock(mutex_);
  for (const std::string& node : nodes) {
    Node& state = nodes_[node];
    state.secret_changed = now;
    state.certificates.failures = 0;
    if (state.certificates.due) {
      state.certificates.due = std::min(*state.certificates.due, NextSecretLook(state, now));
    }
  }
  return nodes;
}

std::map<std::string, NodeCertificate> NodeReconciler::Certificates() const {
  const std::lock_guard lock(mutex_);
  return certificates_;
}

bool NodeReconciler::CertificatesReadSince(const std::string& node, SteadyTime time) const {
  const std::lock_guard lock(mutex_);
  const auto state = nodes_.find(node);
  return state != nodes_.end() && state->second.certificates_read.value_or(SteadyTime{}) >= time;
}

std::uint64_t NodeReconciler::certificates_version() const {
  const std::lock_guard lock(mutex_);
  return version_;
}

}  // namespace breakwater::controllers
