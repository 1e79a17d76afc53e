#pragma once

/// PodExec over a websocket to the API server.
///
/// Needs `get` and `create` on pods/exec: the upgrade is a GET, and servers check `create` as well.
/// Never repeats an exec that may have reached the server: the program may have run.

#include <memory>

#include "operator/kube/credentials.h"
#include "operator/kube/http_client.h"
#include "operator/kube/pod_exec.h"
#include "operator/net/websocket.h"

namespace breakwater::kube {

/// Of `options` it uses user_agent and on_request. `connector` and `credentials` (may be null) must
/// outlive it.
std::unique_ptr<PodExec> MakeWsPodExec(net::WebSocketConnector& connector,
                                       Credentials* credentials,
                                       const Clock& clock,
                                       HttpClientOptions options = {});

}  // namespace breakwater::kube
