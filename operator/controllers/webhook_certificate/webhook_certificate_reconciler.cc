#include "operator/controllers/webhook_certificate/webhook_certificate_reconciler.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "operator/api/resources.h"
#include "operator/base/base64.h"
#include "operator/base/rfc3339.h"
#include "operator/controllers/common/write_secret.h"

namespace breakwater::controllers {
namespace {

using api::Json;
using std::chrono::milliseconds;

constexpr std::string_view kCertManagerFillsIn = "cert-manager.io/inject-ca-from";
/// The clock of this machine may be set; and a day is soon enough to notice.
constexpr std::chrono::hours kLongestPass{24};
constexpr std::chrono::seconds kShortestPass{5};

/// What every webhook of the configuration trusts already.
std::vector<crypto::Certificate> TrustedBy(const Json& configuration) {
  std::optional<std::string> common;
  const Json* webhooks = api::FindMember(configuration, "webhooks");
  if (webhooks == nullptr || !webhooks->is_array()) {
    return {};
  }
  for (const Json& webhook : *webhooks) {
    const Json* config = api::FindMember(webhook, "clientConfig");
    const std::string bundle = config == nullptr ? "" : api::StringAt(*config, "caBundle");
    if (common && *common != bundle) {
      return {};
    }
    common = bundle;
  }
  const std::optional<std::string> pem = DecodeBase64(common.value_or(""));
  const auto parsed = crypto::Certificate::ParsePem(pem.value_or(""));
  return parsed ? *parsed : std::vector<crypto::Certificate>();
}

bool Same(const ServingIdentity& a, const std::optional<ServingIdentity>& b) {
  return b && ServingContent(a) == ServingContent(*b);
}

}  // namespace

WebhookCertificateReconciler::WebhookCertificateReconciler(WebhookCertificateDeps deps)
    : deps_(std::move(deps)), log_(deps_.log.Named("webhook-certificate")) {}

Result<runtime::Requeue, Error> WebhookCertificateReconciler::Reconcile(
    const Context& ctx, const api::ObjectKey& /*key*/) {
  const api::ObjectPtr configuration =
      deps_.configurations.Get({.ns = "", .name = std::string(kWebhookConfiguration)});
  if (configuration == nullptr || configuration->deleting() ||
      !configuration->annotation(kCertManagerFillsIn).empty() ||
      NamesOf(configuration->raw()) == ServingNames()) {
    return runtime::Requeue{};
  }
  BREAKWATER_ASSIGN_OR_RETURN(const ServingIdentity identity, KeepSecret(ctx, *configuration));
  BREAKWATER_RETURN_IF_ERROR(KeepBundle(ctx, *configuration, identity.Bundle()));
  const auto until = std::chrono::duration_cast<milliseconds>(NextServingChange(identity) -
                                                              ctx.clock().SystemNow());
  return runtime::Requeue{std::clamp<milliseconds>(until, kShortestPass, kLongestPass)};
}

Result<ServingIdentity, Error> WebhookCertificateReconciler::KeepSecret(
    const Context& ctx, const api::Object& configuration) const {
  const SystemTime now = ctx.clock().SystemNow();
  const ServingNames names = NamesOf(configuration.raw());
  const std::vector<crypto::Certificate> trusted = TrustedBy(configuration.raw());
  const auto plan = [&](const api::ObjectPtr& secret) {
    std::optional<ServingIdentity> known;
    if (secret != nullptr) {
      auto read = ReadServing(*secret);
      known = read ? std::optional(*std::move(read)) : std::nullopt;
    }
    return std::pair(known, NextServing(known, names, trusted, now));
  };
  auto [known, next] = plan(deps_.secrets.Get(deps_.secret));
  BREAKWATER_RETURN_IF_ERROR(next);
  if (Same(*next, known)) {
    return *std::move(next);
  }
  // Before a write, what is there now: a certificate that was made a moment ago is not replaced.
  const auto live = deps_.client.Get(ctx, api::kSecret, deps_.secret);
  if (!live && !live.error().IsNotFound()) {
    return Unexpected{live.error().ToError().WithContext("read Secret " + deps_.secret.name)};
  }
  const api::ObjectPtr newest = live ? std::make_shared<const api::Object>(*live) : nullptr;
  std::tie(known, next) = plan(newest);
  BREAKWATER_RETURN_IF_ERROR(next);
  if (!Same(*next, known)) {
    Json content = ServingContent(*next);
    // It goes with the configuration that it is for: who removes the operator keeps no key of it.
    content["metadata"]["ownerReferences"] =
        Json::array({{{"apiVersion", api::kValidatingWebhookConfiguration.ApiVersion()},
                      {"kind", api::kValidatingWebhookConfiguration.kind},
                      {"name", configuration.name()},
                      {"uid", configuration.uid()}}});
    BREAKWATER_RETURN_IF_ERROR(WriteSecret(ctx, deps_.client, deps_.secret, newest, content));
    log_.Info(next->next ? "the webhook's next certificate is made; it is served when it is trusted"
                         : "the webhook has a new certificate",
              {{"secret", deps_.secret.name},
               {"until", FormatRfc3339(next->current.leaf.certificate.not_after())}});
  }
  return *std::move(next);
}

Result<void, Error> WebhookCertificateReconciler::KeepBundle(const Context& ctx,
                                                             const api::Object& configuration,
                                                             const std::string& bundle) const {
  const std::string encoded = EncodeBase64(bundle);
  Json webhooks = configuration.raw().value("webhooks", Json::array());
  bool changed = false;
  for (Json& webhook : webhooks) {
    Json& config = webhook["clientConfig"];
    changed = changed || api::StringAt(config, "caBundle") != encoded;
    config["caBundle"] = encoded;
  }
  if (!changed) {
    return {};
  }
  const Json patch{{"metadata", {{"resourceVersion", configuration.resource_version()}}},
                   {"webhooks", std::move(webhooks)}};
  const auto written = deps_.client.Patch(ctx, api::kValidatingWebhookConfiguration,
                                          configuration.key(), kube::PatchType::kMerge, patch, "");
  if (!written) {
    return Unexpected{written.error().ToError().WithContext(
        "tell the API server which certificate the webhook has")};
  }
  log_.Info("the API server is told which certificate the webhook has");
  return {};
}

}  // namespace breakwater::controllers
