#include "operator/cmd/options.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include <CLI/CLI.hpp>

#include "operator/api/duration.h"

namespace breakwater::cmd {
namespace {

using controllers::ServiceResolution;

/// The text forms of everything that is not a string, before it is checked.
struct Raw {
  std::string requeue_interval = "1m";
  std::string observe_interval = "30s";
  std::string watch_timeout = "290s";
  std::string node_cache_duration = "1m";
  std::string metrics_authentication{};
  std::string service_resolution{};
  std::string log_level = "info";
  std::string zap_log_level{};
  std::string ignored{};
  bool ignored_flag = false;
  bool version = false;
};

std::string Lookup(const std::map<std::string, std::string>& environment, const char* name) {
  const auto found = environment.find(name);
  return found == environment.end() ? std::string() : found->second;
}

/// Go's flag package takes one dash for two; Deployments written for the Piraeus Operator may use
/// it.
void AcceptSingleDash(std::vector<std::string>& arguments) {
  for (std::string& argument : arguments) {
    if (argument.size() > 2 && argument[0] == '-' && argument[1] != '-') {
      argument.insert(0, "-");
    }
  }
}

void AddFlags(CLI::App& app, Options& options, Raw& raw) {
  app.add_option("--namespace", options.ns, "Namespace for all objects [$NAMESPACE]");
  app.add_option("--image-config-map-name", options.image_config_map_name,
                 "ConfigMap with the images [$IMAGE_CONFIG_MAP_NAME]");
  app.add_option("--pull-secret", options.pull_secret, "Pull secret for all images [$PULL_SECRET]");
  app.add_option("--kubeconfig", options.kubeconfig,
                 "Cluster to work on [$KUBECONFIG]; default: the one this Pod runs in");
  app.add_option("--metrics-bind-address", options.metrics_bind_address,
                 "Address of /metrics, 0 = off")
      ->capture_default_str();
  app.add_option("--metrics-cert-path", options.metrics_cert_path,
                 "Directory with tls.crt and tls.key: /metrics is served over HTTPS");
  app.add_option(
         "--metrics-authentication", raw.metrics_authentication,
         "token: readers of /metrics show a bearer token whose user may get the path /metrics; "
         "none: anybody may (default token, but none on a loopback address)")
      ->check(CLI::IsMember({"token", "none"}));
  app.add_option("--health-probe-bind-address", options.health_probe_bind_address,
                 "Address of /livez, /healthz and /readyz, 0 = off")
      ->capture_default_str();
  app.add_option("--webhook-bind-address", options.webhook_bind_address,
                 "Address of the admission webhook")
      ->capture_default_str();
  app.add_option(
      "--webhook-cert-path", options.webhook_cert_path,
      "Directory with tls.crt and tls.key for the admission webhook; without: no webhook");
  app.add_option("--webhook-secret-name", options.webhook_secret_name,
                 "Secret in which the operator keeps a certificate of its own for the admission "
                 "webhook; without: somebody else brings the files");
  app.add_flag("--leader-elect", options.leader_elect, "Elect a leader, for more than one replica");
  app.add_option("--linstor-api-qps", options.linstor_api_qps,
                 "Requests per second to one LINSTOR controller, 0 = no limit")
      ->capture_default_str();
  app.add_option("--linstor-node-cache-duration", raw.node_cache_duration,
                 "How long nodes, pools and volumes that LINSTOR listed are good for")
      ->capture_default_str();
  app.add_option("--requeue-interval", raw.requeue_interval,
                 "How often to look at LINSTOR although nothing changed")
      ->capture_default_str();
  app.add_option("--observe-interval", raw.observe_interval,
                 "How often to look at DRBD on the nodes although nothing changed")
      ->capture_default_str();
  app.add_option("--watch-timeout", raw.watch_timeout,
                 "How long one watch may last; a silent one ends after 100 s")
      ->capture_default_str();
  app.add_option(
         "--service-resolution", raw.service_resolution,
         "How to reach LINSTOR's Service: dns (its cluster IP where it has one), or endpoints "
         "(default outside the cluster)")
      ->check(CLI::IsMember({"dns", "endpoints"}));
  app.add_option("--log-level", raw.log_level, "trace, debug, info, warn, error or off")
      ->capture_default_str();
  app.add_flag("--version", raw.version, "Print the version");
}

/// Flags of the Piraeus Operator that have no meaning here.
void AddTolerated(CLI::App& app, Raw& raw) {
  app.add_option("--cluster-api-kubeconfig", raw.ignored, "Accepted, not used");
  app.add_option("--zap-log-level", raw.zap_log_level, "Same as --log-level");
  app.add_flag("--zap-devel", raw.ignored_flag, "Accepted, not used");
  for (const char* name : {"--zap-encoder", "--zap-stacktrace-level", "--zap-time-encoding"}) {
    app.add_option(name, raw.ignored, "Accepted, not used");
  }
}

void ReadEnvironment(const std::map<std::string, std::string>& environment, Options& options) {
  const auto fill = [&](std::string& value, const char* name) {
    if (value.empty()) {
      value = Lookup(environment, name);
    }
  };
  fill(options.ns, "NAMESPACE");
  fill(options.image_config_map_name, "IMAGE_CONFIG_MAP_NAME");
  fill(options.pull_secret, "PULL_SECRET");
  fill(options.kubeconfig, "KUBECONFIG");
  fill(options.pod_name, "POD_NAME");
  for (const auto& [name, value] : environment) {
    if (name.starts_with("RELATED_IMAGE_")) {
      options.related_images[name] = value;
    }
  }
}

/// "" or what is wrong.
std::string ReadDuration(const std::string& flag,
                         const std::string& text,
                         std::chrono::milliseconds& value,
                         bool zero_allowed = false) {
  const auto duration = api::ParseDuration(text);
  if (zero_allowed && duration && duration->count() == 0) {
    value = std::chrono::milliseconds(0);
    return "";
  }
  if (!duration || *duration < std::chrono::seconds(1)) {
    return flag + ": '" + text + "' is not a duration of at least 1s, like 30s or 1m";
  }
  value = std::chrono::duration_cast<std::chrono::milliseconds>(*duration);
  return "";
}

std::string ReadLogLevel(const Raw& raw, LogLevel& level) {
  const std::string& text = raw.zap_log_level.empty() ? raw.log_level : raw.zap_log_level;
  if (const auto parsed = ParseLogLevel(text)) {
    level = *parsed;
    return "";
  }
  // zap also takes a verbosity number: 0 is info, more is debug.
  const bool number = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  if (!raw.zap_log_level.empty() && (number || text == "panic")) {
    level = text == "0" ? LogLevel::kInfo : text == "panic" ? LogLevel::kError : LogLevel::kDebug;
    return "";
  }
  return "--log-level: '" + text + "' is not one of trace, debug, info, warn, error, off";
}

std::string CheckBind(const std::string& flag, const std::string& text) {
  return text == "0" || ParseBindAddress(text) ? "" : flag + ": '" + text + "' is not like :8080";
}

bool IsLoopback(const std::string& address) {
  const std::optional<BindAddress> bind = ParseBindAddress(address);
  return bind &&
         (bind->host.starts_with("127.") || bind->host == "::1" || bind->host == "localhost");
}

std::string Finish(const Raw& raw, Options& options) {
  if (options.ns.empty()) {
    return "--namespace is missing (or the environment variable NAMESPACE)";
  }
  if (options.image_config_map_name.empty()) {
    return "--image-config-map-name is missing (or the environment variable IMAGE_CONFIG_MAP_NAME)";
  }
  std::string resolution = raw.service_resolution;
  if (resolution.empty()) {
    resolution = options.kubeconfig.empty() ? "dns" : "endpoints";
  }
  options.metrics_authentication = raw.metrics_authentication.empty()
                                       ? !IsLoopback(options.metrics_bind_address)
                                       : raw.metrics_authentication == "token";
  options.service_resolution =
      resolution == "dns" ? ServiceResolution::kDns : ServiceResolution::kEndpoints;
  for (const std::string& problem :
       {ReadDuration("--requeue-interval", raw.requeue_interval, options.requeue_interval),
        ReadDuration("--linstor-node-cache-duration", raw.node_cache_duration,
                     options.linstor_node_cache_duration, /*zero_allowed=*/true),
        ReadDuration("--observe-interval", raw.observe_interval, options.observe_interval),
        ReadDuration("--watch-timeout", raw.watch_timeout, options.watch_timeout),
        ReadLogLevel(raw, options.log_level),
        CheckBind("--metrics-bind-address", options.metrics_bind_address),
        CheckBind("--health-probe-bind-address", options.health_probe_bind_address),
        CheckBind("--webhook-bind-address", options.webhook_bind_address)}) {
    if (!problem.empty()) {
      return problem;
    }
  }
  return "";
}

}  // namespace

std::variant<Options, EarlyExit> ParseOptions(
    std::vector<std::string> arguments, const std::map<std::string, std::string>& environment) {
  Options options;
  Raw raw;
  CLI::App app("Breakwater: a Kubernetes operator for LINSTOR and encrypted DRBD replication",
               "breakwater-operator");
  AddFlags(app, options, raw);
  AddTolerated(app, raw);
  AcceptSingleDash(arguments);
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
  try {
    app.parse(arguments);
  } catch (const CLI::CallForHelp&) {
    return EarlyExit{0, app.help()};
  } catch (const CLI::ParseError& error) {
    return EarlyExit{2, std::string(error.what()) + "\nRun with --help for the list of flags."};
  }
  if (raw.version) {
    return EarlyExit{0, "breakwater-operator " BREAKWATER_VERSION};
  }
  ReadEnvironment(environment, options);
  const std::string problem = Finish(raw, options);
  if (!problem.empty()) {
    return EarlyExit{2, problem};
  }
  return options;
}

std::optional<BindAddress> ParseBindAddress(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) {
    return std::nullopt;
  }
  BindAddress address{.host = text.substr(0, colon)};
  if (address.host.starts_with('[') && address.host.ends_with(']')) {
    address.host = address.host.substr(1, address.host.size() - 2);
  }
  const char* first = text.data() + colon + 1;
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(first, last, address.port);
  if (error != std::errc() || end != last || address.port < 0 || address.port > 65535) {
    return std::nullopt;
  }
  return address;
}

}  // namespace breakwater::cmd
