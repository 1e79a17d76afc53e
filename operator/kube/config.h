#pragma once

/// How to reach an API server: from the pod's service account or from a kubeconfig file.

#include <string>
#include <string_view>

#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/base/secret.h"

namespace breakwater::kube {

/// PEM text that is given directly or lies in a file which may change at any time.
struct PemSource {
  std::string data{};
  std::string file{};

  bool empty() const { return data.empty() && file.empty(); }
};

struct KubeConfig {
  std::string server{};           ///< "https://10.96.0.1:443"
  std::string tls_server_name{};  ///< "" = the host of `server`
  std::string ns = "default";     ///< namespace of the context or of the pod
  PemSource ca{};
  PemSource client_certificate{};
  Secret<> client_key_data{};
  std::string client_key_file{};
  Secret<> token{};
  std::string token_file{};  ///< wins over `token`, as in client-go
  bool insecure_skip_tls_verify = false;
};

struct ConfigOptions {
  std::string kubeconfig{};  ///< path; "" = $KUBECONFIG, and without it the pod's service account
  std::string context{};     ///< "" = current-context
  /// Accept http:// servers and insecure-skip-tls-verify: only when a person asked for it by name.
  bool allow_insecure = false;
};

/// Pure. Relative file names are taken from `directory`. kInvalid with the name of the offending
/// field; exec plugins, auth providers, passwords and proxies are refused by name rather than
/// ignored.
Result<KubeConfig, Error> ParseKubeconfig(std::string_view yaml,
                                          const std::string& directory,
                                          const ConfigOptions& options);

/// Reads what `options` say. kInvalid when there is nothing to read.
Result<KubeConfig, Error> LoadConfig(const ConfigOptions& options);

/// The service account of this pod. `directory`: where the kubelet mounts it.
Result<KubeConfig, Error> InClusterConfig(
    const std::string& directory = "/var/run/secrets/kubernetes.io/serviceaccount");

}  // namespace breakwater::kube
