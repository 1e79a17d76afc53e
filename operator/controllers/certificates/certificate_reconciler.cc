#include "operator/controllers/certificates/certificate_reconciler.h"

#include <algorithm>
#include <utility>

#include "operator/api/linstor_cluster.h"
#include "operator/api/resources.h"
#include "operator/base/rfc3339.h"
#include "operator/controllers/common/own_status.h"
#include "operator/controllers/common/replication_secret.h"
#include "operator/controllers/common/status_tools.h"
#include "operator/controllers/common/write_secret.h"
#include "operator/core/render/render.h"
#include "operator/core/status/conditions.h"

namespace breakwater::controllers {
namespace {

using api::CertificateMode;
using api::Json;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// While something is under way: what was read in the containers wakes nobody here.
constexpr seconds kBusyPass{5};
constexpr std::chrono::minutes kQuietPass{10};
/// A node that is waited for is looked at again; its kubelet brings a Secret within two minutes.
constexpr seconds kBetweenLooks{30};

api::ObjectPtr FirstThatStays(const runtime::Store& clusters) {
  for (const api::ObjectPtr& cluster : clusters.List()) {
    if (!cluster->deleting()) {
      return cluster;
    }
  }
  return nullptr;
}

/// What is written: for the log, without what is in it.
std::string WhatFor(const NodeCertificates& node, const replication::TrustStep& step) {
  if (!step.option) {
    return "bundle of " + std::to_string(step.bundle.size()) + " authorities";
  }
  const LeafOption& option = node.options[*step.option];
  return std::string(option.issuer ? "new certificate, " : "certificate, ") +
         std::string(api::ToString(option.source));
}

void CountWritten(const replication::TrustStep& step, runtime::Metrics& metrics) {
  metrics
      .Counter("breakwater_certificates_written_total",
               "Contents of nodes' replication Secrets that were written",
               {{"what", step.option ? "certificate" : "bundle"}})
      .Increment();
}

void CountAuthority(bool rotate,
                    const api::Object& cluster,
                    const CertificateReconcilerDeps& deps) {
  deps.metrics
      .Counter("breakwater_certificate_authorities_total",
               "Authorities for replication that were made, the first and by rotation",
               {{"why", rotate ? "rotation" : "first"}})
      .Increment();
  if (rotate && deps.events) {
    deps.events({.regarding = kube::RefOf(cluster),
                 .action = "RotateCertificates",
                 .reason = "CertificateRotationStarted",
                 .note = "there is a new authority for replication; the nodes learn of it first, "
                         "then they get its certificates, then the old one is forgotten"});
  }
}

}  // namespace

CertificateReconciler::CertificateReconciler(CertificateReconcilerDeps deps)
    : deps_(std::move(deps)),
      log_(deps_.log.Named("replication-certificates")),
      status_(deps_.client, {.field_manager = std::string(kCertificatesFieldManager)}) {}

Result<runtime::Requeue, Error> CertificateReconciler::Reconcile(const Context& ctx,
                                                                 const api::ObjectKey& /*key*/) {
  const api::ObjectPtr cluster = FirstThatStays(deps_.clusters);
  if (cluster == nullptr) {
    return runtime::Requeue{};
  }
  const api::Decoded<api::LinstorClusterSpec> spec = api::DecodeLinstorCluster(cluster->raw());
  Pass pass{.cluster = *cluster,
            .settings = spec.value.replication_tls.certificates,
            .now = ctx.clock().SystemNow()};
  for (const api::FieldError& error : spec.errors) {
    if (api::AnyErrorAt({error}, {"spec.replicationTLS.certificates"})) {
      pass.problem = error.ToString();
    }
  }
  if (!pass.problem.empty()) {
    Plan(KnownSecrets(), &pass);  // for the report only: everything stays
    BREAKWATER_RETURN_IF_ERROR(Report(ctx, pass));
    return runtime::Requeue{kQuietPass};
  }
  return Serve(ctx, &pass);
}

Result<runtime::Requeue, Error> CertificateReconciler::Serve(const Context& ctx, Pass* pass) {
  Plan(KnownSecrets(), pass);
  if (pass->settings.mode == CertificateMode::kManaged && !pass->nodes.empty()) {
    BREAKWATER_RETURN_IF_ERROR(KeepAuthority(ctx, pass));
    Plan(KnownSecrets(), pass);
  }
  if (pass->problem.empty()) {
    if (!pass->plan.steps.empty()) {
      BREAKWATER_ASSIGN_OR_RETURN(const auto newest, NewestSecrets(ctx));
      Plan(newest, pass);
    }
    BREAKWATER_RETURN_IF_ERROR(Act(ctx, *pass));
    BREAKWATER_RETURN_IF_ERROR(Release(ctx, *pass));
    BREAKWATER_RETURN_IF_ERROR(KeepIssued(ctx, *pass));
    BREAKWATER_RETURN_IF_ERROR(ForgetPrevious(ctx, *pass));
  }
  BREAKWATER_RETURN_IF_ERROR(Report(ctx, *pass));
  return runtime::Requeue{NextPass(ctx, *pass)};
}

Result<void, Error> CertificateReconciler::KeepAuthority(const Context& ctx, Pass* pass) const {
  const api::ObjectKey key{deps_.satellites.ns, kAuthoritySecret};
  api::ObjectPtr live = deps_.secrets.Get(key);
  const std::string asked = pass->cluster.annotation(kRotateAnnotation);
  if (live != nullptr) {
    const auto known = ReadAuthority(*live);
    if (known && !RotationDue(*known, asked, pass->now)) {
      pass->authority = *known;
      return {};
    }
  }
  // Before a write, what is there now: two authorities that replace each other help nobody.
  const auto newest = deps_.client.Get(ctx, api::kSecret, key);
  if (!newest && !newest.error().IsNotFound()) {
    return Unexpected{newest.error().ToError().WithContext("read the replication authority")};
  }
  live = newest ? std::make_shared<const api::Object>(*newest) : nullptr;
  Result<Authority, Error> authority =
      live == nullptr ? NewAuthority(pass->now, asked) : ReadAuthority(*live);
  if (!authority) {
    pass->problem = std::string("the Secret ") + kAuthoritySecret + " is broken (" +
                    authority.error().message +
                    "); mend it, or delete it: the nodes then move to a new authority";
    return {};
  }
  const bool rotate = live != nullptr && RotationDue(*authority, asked, pass->now);
  if (rotate) {
    BREAKWATER_ASSIGN_OR_RETURN(authority, Rotate(*authority, pass->now, asked));
  }
  if (live == nullptr || rotate) {
    BREAKWATER_RETURN_IF_ERROR(Write(ctx, kAuthoritySecret, live, AuthorityContent(*authority)));
    CountAuthority(rotate, pass->cluster, deps_);
    log_.Info(
        rotate ? "rotation of the replication authority begins" : "new authority for replication",
        {{"subject", authority->current.certificate.subject()}});
  }
  pass->authority = *std::move(authority);
  return {};
}

// Its key could issue what nobody trusts any more: it is of no use but to a thief.
Result<void, Error> CertificateReconciler::ForgetPrevious(const Context& ctx,
                                                          const Pass& pass) const {
  if (!pass.authority || !pass.authority->previous ||
      pass.plan.phase != replication::TrustPhase::kSettled) {
    return {};
  }
  const auto live = deps_.client.Get(ctx, api::kSecret, {deps_.satellites.ns, kAuthoritySecret});
  if (!live) {
    return Unexpected{live.error().ToError().WithContext("read the replication authority")};
  }
  const auto object = std::make_shared<const api::Object>(*live);
  auto newest = ReadAuthority(*object);
  if (!newest || newest->current.certificate != pass.authority->current.certificate) {
    return {};  // somebody changed it: the next pass sees what that means
  }
  newest->previous.reset();
  BREAKWATER_RETURN_IF_ERROR(Write(ctx, kAuthoritySecret, object, AuthorityContent(*newest)));
  log_.Info("rotation of the replication authority is complete");
  return {};
}

void CertificateReconciler::Plan(const std::map<std::string, api::ObjectPtr>& secrets,
                                 Pass* pass) const {
  const std::map<std::string, PemFiles> containers = deps_.containers();
  pass->nodes = GatherCertificates({.cluster = pass->cluster.name(),
                                    .settings = pass->settings,
                                    .satellites = deps_.satellites,
                                    .secrets = deps_.secrets,
                                    .config_maps = deps_.config_maps,
                                    .authority = pass->authority,
                                    .replication = secrets,
                                    .containers = containers},
                                   pass->now);
  std::vector<replication::TrustNode> trust;
  for (const NodeCertificates& node : pass->nodes) {
    trust.push_back(node.trust);
  }
  pass->plan = replication::PlanTrust(trust);
}

std::map<std::string, api::ObjectPtr> CertificateReconciler::KnownSecrets() const {
  std::map<std::string, api::ObjectPtr> result;
  for (const api::ObjectPtr& secret : deps_.secrets.ListByLabel(kReplicationSecretLabel, "true")) {
    result[secret->name()] = secret;
  }
  return result;
}

Result<std::map<std::string, api::ObjectPtr>, Error> CertificateReconciler::NewestSecrets(
    const Context& ctx) const {
  std::map<std::string, api::ObjectPtr> result;
  kube::ListOptions options{.ns = deps_.satellites.ns,
                            .label_selector = std::string(kReplicationSecretLabel) + "=true"};
  do {
    const auto page = deps_.client.List(ctx, api::kSecret, options);
    if (!page) {
      return Unexpected{page.error().ToError().WithContext("list the replication Secrets")};
    }
    for (const Json& item : page->items) {
      auto object = std::make_shared<const api::Object>(item);
      result[object->name()] = std::move(object);
    }
    options.continue_token = page->continue_token;
  } while (!options.continue_token.empty());
  return result;
}

Result<void, Error> CertificateReconciler::Act(const Context& ctx, const Pass& pass) const {
  for (const replication::TrustStep& step : pass.plan.steps) {
    const auto node = std::find_if(
        pass.nodes.begin(), pass.nodes.end(),
        [&](const NodeCertificates& candidate) { return candidate.trust.name == step.node; });
    BREAKWATER_ASSIGN_OR_RETURN(Json content,
                                SecretContent(*node, step, pass.settings.duration, pass.now));
    BREAKWATER_RETURN_IF_ERROR(
        Write(ctx, core::ReplicationTlsSecretName(step.node), node->secret, std::move(content)));
    CountWritten(step, deps_.metrics);
    log_.Info("replication Secret written", {{"node", step.node}, {"what", WhatFor(*node, step)}});
  }
  return {};
}

Result<void, Error> CertificateReconciler::Release(const Context& ctx, const Pass& pass) const {
  const bool back = pass.settings.mode == CertificateMode::kInternalTls;
  for (const NodeCertificates& node : pass.nodes) {
    if (!HoldsCertificate(node.secret)) {
      continue;
    }
    const bool released = node.secret->annotation(kReleased) == "true";
    const bool release = back && pass.plan.switched;
    Json content;
    if (node.trust.shares) {
      // Nobody mounts it: a key that lies about is a key that is found.
      content = {
          {"metadata", {{"annotations", {{kReleased, nullptr}, {kCertificateSource, nullptr}}}}},
          {"data", {{"tls.crt", nullptr}, {"tls.key", nullptr}, {"ca.crt", nullptr}}}};
    } else if (release != released && pass.plan.steps.empty()) {
      content = {
          {"metadata", {{"annotations", {{kReleased, release ? Json("true") : Json(nullptr)}}}}}};
    } else {
      continue;
    }
    BREAKWATER_RETURN_IF_ERROR(Write(ctx, node.secret->name(), node.secret, std::move(content)));
  }
  return {};
}

Result<void, Error> CertificateReconciler::KeepIssued(const Context& ctx, const Pass& pass) const {
  const bool used = pass.settings.mode == CertificateMode::kCertManager;
  for (const NodeCertificates& node : pass.nodes) {
    if (node.issued == nullptr) {
      continue;
    }
    Json content;
    if (used && node.issued->owners().empty()) {
      // Not as its controller: that place is cert-manager's, where it is told to own its Secrets.
      const api::Object& satellite = *node.satellite;
      content["metadata"]["ownerReferences"] =
          Json::array({{{"apiVersion", api::kLinstorSatellite.ApiVersion()},
                        {"kind", api::kLinstorSatellite.kind},
                        {"name", satellite.name()},
                        {"uid", satellite.uid()}}});
    } else if (!used && pass.plan.switched &&
               !SecretText(*node.issued, "tls.key").value_or("").empty()) {
      content["data"]["tls.key"] = "";  // the Secret's type wants the field
    } else {
      continue;
    }
    BREAKWATER_RETURN_IF_ERROR(Write(ctx, node.issued->name(), node.issued, std::move(content)));
  }
  return {};
}

Result<void, Error> CertificateReconciler::Write(const Context& ctx,
                                                 const std::string& name,
                                                 const api::ObjectPtr& live,
                                                 Json content) const {
  return WriteSecret(ctx, deps_.client, {deps_.satellites.ns, name}, live, std::move(content));
}

Result<void, Error> CertificateReconciler::Report(const Context& ctx, const Pass& pass) {
  Count(pass);
  TellWaiting(ctx, pass);
  const std::vector<std::string_view> types{api::kConditionReplicationCertificates};
  const std::vector<api::Condition> before = ConditionsOf(pass.cluster, types);
  std::optional<CertificateReport> report =
      DescribeCertificates(pass.settings, pass.nodes, pass.plan, pass.problem);
  if (!report && before.empty()) {
    return {};
  }
  if (!report) {
    report =
        CertificateReport{.reason = "NotUsed", .message = "no satellite runs the handshake daemon"};
  }
  Tell(pass, before, *report);
  core::ConditionSet conditions(types);
  switch (report->state) {
    case CertificateReport::State::kGood:
      conditions.AddSuccess(types.front(), report->message, report->reason);
      break;
    case CertificateReport::State::kPending:
      conditions.AddPending(types.front(), report->message, report->reason);
      break;
    case CertificateReport::State::kBad:
      conditions.AddError(types.front(), report->message, report->reason);
      break;
  }
  const Json status{{"conditions", api::ToJson(conditions.Build(before, pass.cluster.generation(),
                                                                FormatRfc3339(pass.now)))}};
  return ApplyOwnStatus(ctx, status_, deps_.clusters, pass.cluster, status,
                        {.conditions = types, .conditions_only = true});
}

milliseconds CertificateReconciler::NextPass(const Context& ctx, const Pass& pass) {
  const SteadyTime now = ctx.clock().SteadyNow();
  for (const std::string& node : pass.plan.waiting) {
    const auto last = looked_.find(node);
    if (last == looked_.end() || now - last->second >= kBetweenLooks) {
      looked_[node] = now;
      deps_.look(node);
    }
  }
  if (pass.nodes.empty()) {
    return kQuietPass;
  }
  const bool returning = pass.settings.mode == CertificateMode::kInternalTls &&
                         std::any_of(pass.nodes.begin(), pass.nodes.end(),
                                     [](const NodeCertificates& node) { return node.mounted; });
  const bool settled = pass.plan.phase == replication::TrustPhase::kSettled &&
                       pass.plan.steps.empty() && !returning &&
                       !(pass.authority && pass.authority->previous);
  if (!settled) {
    return kBusyPass;
  }
  if (!pass.plan.waiting.empty()) {
    return kBetweenLooks;  // a pod starts, or a node is down
  }
  milliseconds next = kQuietPass;
  for (const NodeCertificates& node : pass.nodes) {
    if (node.renewal) {
      next = std::min(next, std::chrono::duration_cast<milliseconds>(*node.renewal - pass.now));
    }
  }
  return std::max<milliseconds>(next, kBusyPass);
}

}  // namespace breakwater::controllers
