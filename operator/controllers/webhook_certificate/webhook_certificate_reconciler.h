#pragma once

/// WebhookCertificateReconciler: keeps the certificate of the admission webhook, for clusters
/// without cert-manager: a Secret, which the operator's pods mount, and the authorities in the
/// ValidatingWebhookConfiguration. It remembers nothing: what comes next follows from the two
/// objects, so it may be killed at any step.

#include <string>

#include "operator/base/log.h"
#include "operator/controllers/webhook_certificate/serving_identity.h"
#include "operator/kube/client.h"
#include "operator/runtime/controller.h"
#include "operator/runtime/store.h"

namespace breakwater::controllers {

/// The name that the Piraeus Operator gives it, too.
inline constexpr std::string_view kWebhookConfiguration =
    "piraeus-operator-validating-webhook-configuration";

/// References must outlive the reconciler.
struct WebhookCertificateDeps {
  kube::KubeClient& client;
  const runtime::Store& configurations;  ///< ValidatingWebhookConfigurations
  const runtime::Store& secrets;         ///< of the operator's namespace
  api::ObjectKey secret{};
  const Logger& log;
};

/// Nothing is done without the configuration, or when cert-manager is to fill it in (its annotation
/// is there). Thread safety: one key, so one call at a time.
class WebhookCertificateReconciler final : public runtime::Reconciler {
 public:
  explicit WebhookCertificateReconciler(WebhookCertificateDeps deps);

  Result<runtime::Requeue, Error> Reconcile(const Context& ctx, const api::ObjectKey& key) override;

 private:
  Result<ServingIdentity, Error> KeepSecret(const Context& ctx,
                                            const api::Object& configuration) const;
  Result<void, Error> KeepBundle(const Context& ctx,
                                 const api::Object& configuration,
                                 const std::string& bundle) const;

  const WebhookCertificateDeps deps_;
  const Logger log_;
};

}  // namespace breakwater::controllers
