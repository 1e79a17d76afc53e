#pragma once

/// The HTTP side of the webhook.

#include "operator/net/http.h"

namespace breakwater::webhook {

/// Answers POST /validate-piraeus-io-v1-<kind in lower case>, the Piraeus Operator's paths, so that
/// its ValidatingWebhookConfiguration can stay. 400 for what is no AdmissionReview or names another
/// kind than the path, 404, 405 and 415 as usual. Thread-safe; calls nobody.
net::Response Serve(const net::Request& request);

}  // namespace breakwater::webhook
