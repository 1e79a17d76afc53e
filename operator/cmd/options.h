#pragma once

/// Options of the operator: flags and environment variables. Names and defaults are those of the
/// Piraeus Operator v2 where it has them, so that its Deployment can be switched over.

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "operator/base/log.h"
#include "operator/controllers/linstor_connection/controller_address.h"

namespace breakwater::cmd {

struct Options {
  std::string ns{};  ///< --namespace, $NAMESPACE; required
  std::string
      image_config_map_name{};  ///< --image-config-map-name, $IMAGE_CONFIG_MAP_NAME; required
  std::string pull_secret{};    ///< --pull-secret, $PULL_SECRET
  std::string kubeconfig{};     ///< --kubeconfig, $KUBECONFIG; "" = in-cluster
  /// "0" = off. Loopback: names of volumes and nodes are for nobody who was not meant to see them.
  std::string metrics_bind_address = "127.0.0.1:8080";
  std::string metrics_cert_path{};  ///< "" = plain HTTP, else a directory with tls.crt and tls.key
  /// Who reads /metrics must show a token with the right to. By default where others can reach it.
  bool metrics_authentication = false;
  std::string health_probe_bind_address = ":8081";  ///< "0" = off
  std::string webhook_bind_address = ":9443";       ///< used with webhook_cert_path only
  /// "" = somebody else brings the files, else the Secret that the operator keeps them in.
  std::string webhook_secret_name{};
  std::string webhook_cert_path{};  ///< "" = no webhook, else a directory with tls.crt and tls.key
  bool leader_elect = false;
  double linstor_api_qps = 100;
  std::chrono::milliseconds requeue_interval{std::chrono::minutes{1}};
  /// How old what is known of LINSTOR may be; 0 = always read.
  std::chrono::milliseconds linstor_node_cache_duration{std::chrono::minutes{1}};
  /// How often the nodes are asked about DRBD although nothing changed.
  std::chrono::milliseconds observe_interval{std::chrono::seconds{30}};
  /// Longest life of a watch, and with it the longest time that a dead connection goes unnoticed.
  /// Source of the default: kube-rs, below the 5 min at which load balancers cut idle connections.
  std::chrono::milliseconds watch_timeout{std::chrono::seconds{290}};
  controllers::ServiceResolution service_resolution = controllers::ServiceResolution::kDns;
  LogLevel log_level = LogLevel::kInfo;
  std::string pod_name{};  ///< $POD_NAME, for the identity in the lease; "" = host name
  /// RELATED_IMAGE_* variables.
  std::map<std::string, std::string> related_images{};
};

/// The program should end now: after --help or --version (code 0) or a wrong flag (code 2).
struct EarlyExit {
  int code = 0;
  std::string message{};  ///< for standard output when the code is 0, else standard error
};

/// Pure: `arguments` without the program's name; `environment` as name -> value.
std::variant<Options, EarlyExit> ParseOptions(
    std::vector<std::string> arguments, const std::map<std::string, std::string>& environment);

/// Host and port of a bind address like ":8080", "127.0.0.1:0" or "[::1]:9"; an empty host means
/// all addresses.
struct BindAddress {
  std::string host{};
  int port = 0;
};

std::optional<BindAddress> ParseBindAddress(const std::string& text);

}  // namespace breakwater::cmd
