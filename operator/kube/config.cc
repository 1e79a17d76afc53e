#include "operator/kube/config.h"

#include <cstdlib>
#include <optional>
#include <utility>

#include <yaml-cpp/yaml.h>

#include "operator/base/base64.h"
#include "operator/base/file.h"

namespace breakwater::kube {
namespace {

Unexpected<Error> Invalid(std::string message) {
  return Unexpected{Error{ErrorClass::kInvalid, "kubeconfig: " + std::move(message)}};
}

Result<std::string, Error> DecodeField(const std::string& field, const std::string& text) {
  std::optional<std::string> bytes = DecodeBase64(text);
  if (!bytes) {
    return Invalid(field + " is not base64");
  }
  return std::move(*bytes);
}

std::string Text(const YAML::Node& map, const char* key) {
  const YAML::Node node = map.IsMap() ? map[key] : YAML::Node();
  return node.IsDefined() && node.IsScalar() ? node.Scalar() : std::string();
}

/// The member `inner` of the entry called `name` in the list `list` of the document.
Result<YAML::Node, Error> Entry(const YAML::Node& root,
                                const char* list,
                                const char* inner,
                                const std::string& name) {
  const YAML::Node entries = root[list];
  if (entries.IsDefined() && entries.IsSequence()) {
    for (const YAML::Node& entry : entries) {
      if (Text(entry, "name") == name && entry[inner].IsDefined() && entry[inner].IsMap()) {
        return entry[inner];
      }
    }
  }
  return Invalid(std::string(list) + " has no entry \"" + name + "\"");
}

std::string Absolute(const std::string& path, const std::string& directory) {
  return path.empty() || path.front() == '/' ? path : directory + "/" + path;
}

Result<PemSource, Error> Pem(const YAML::Node& map,
                             const std::string& key,
                             const std::string& directory) {
  PemSource source;
  const std::string data_key = key + "-data";
  BREAKWATER_ASSIGN_OR_RETURN(source.data, DecodeField(data_key, Text(map, data_key.c_str())));
  if (source.data.empty()) {  // the data form wins, as in client-go
    source.file = Absolute(Text(map, key.c_str()), directory);
  }
  return source;
}

Result<void, Error> ReadCluster(const YAML::Node& cluster,
                                const std::string& directory,
                                const ConfigOptions& options,
                                KubeConfig& config) {
  config.server = Text(cluster, "server");
  config.tls_server_name = Text(cluster, "tls-server-name");
  config.insecure_skip_tls_verify = Text(cluster, "insecure-skip-tls-verify") == "true";
  BREAKWATER_ASSIGN_OR_RETURN(config.ca, Pem(cluster, "certificate-authority", directory));
  if (config.server.empty()) {
    return Invalid("the cluster has no server");
  }
  if (!Text(cluster, "proxy-url").empty()) {
    return Invalid("proxy-url is not supported");
  }
  if (config.server.find('@') != std::string::npos) {  // not shown: it may hold a password
    return Invalid("the cluster's server must be a URL without user name and password");
  }
  const bool plain = config.server.substr(0, 8) != "https://";
  if (!options.allow_insecure && (plain || config.insecure_skip_tls_verify)) {
    return Invalid("the connection to " + config.server +
                   " would not be protected: it needs https and a certificate-authority, without "
                   "insecure-skip-tls-verify");
  }
  if (!plain && config.ca.empty() && !config.insecure_skip_tls_verify) {
    return Invalid("the cluster has no certificate-authority; the system's CAs are not used");
  }
  return {};
}

Result<void, Error> ReadUser(const YAML::Node& user,
                             const std::string& directory,
                             KubeConfig& config) {
  for (const char* unsupported : {"exec", "auth-provider", "username", "password", "as"}) {
    if (user[unsupported].IsDefined()) {
      return Invalid(std::string("user field ") + unsupported + " is not supported");
    }
  }
  BREAKWATER_ASSIGN_OR_RETURN(config.client_certificate,
                              Pem(user, "client-certificate", directory));
  BREAKWATER_ASSIGN_OR_RETURN(PemSource key, Pem(user, "client-key", directory));
  config.client_key_data = Secret<>(std::move(key.data));
  config.client_key_file = std::move(key.file);
  config.token = Secret<>(Text(user, "token"));
  config.token_file = Absolute(Text(user, "tokenFile"), directory);
  return {};
}

std::string Environment(const char* name) {
  const char* value =
      std::getenv(name);  // NOLINT(concurrency-mt-unsafe): read once, before threads
  return value == nullptr ? "" : value;
}

}  // namespace

Result<KubeConfig, Error> ParseKubeconfig(std::string_view yaml,
                                          const std::string& directory,
                                          const ConfigOptions& options) {
  try {
    const YAML::Node root = YAML::Load(std::string(yaml));
    if (!root.IsMap()) {
      return Invalid("not a YAML mapping");
    }
    const std::string name =
        options.context.empty() ? Text(root, "current-context") : options.context;
    if (name.empty()) {
      return Invalid("no current-context");
    }
    BREAKWATER_ASSIGN_OR_RETURN(const YAML::Node context, Entry(root, "contexts", "context", name));
    BREAKWATER_ASSIGN_OR_RETURN(const YAML::Node cluster,
                                Entry(root, "clusters", "cluster", Text(context, "cluster")));
    KubeConfig config;
    if (const std::string ns = Text(context, "namespace"); !ns.empty()) {
      config.ns = ns;
    }
    BREAKWATER_RETURN_IF_ERROR(ReadCluster(cluster, directory, options, config));
    if (const std::string user_name = Text(context, "user"); !user_name.empty()) {
      BREAKWATER_ASSIGN_OR_RETURN(const YAML::Node user, Entry(root, "users", "user", user_name));
      BREAKWATER_RETURN_IF_ERROR(ReadUser(user, directory, config));
    }
    return config;
  } catch (const std::exception& error) {
    return Invalid(error.what());
  }
}

Result<KubeConfig, Error> InClusterConfig(const std::string& directory) {
  std::string host = Environment("KUBERNETES_SERVICE_HOST");
  const std::string port = Environment("KUBERNETES_SERVICE_PORT");
  if (host.empty() || port.empty()) {
    return Unexpected{
        Error{ErrorClass::kInvalid,
              "not in a pod (KUBERNETES_SERVICE_HOST is not set): give a kubeconfig"}};
  }
  if (host.find(':') != std::string::npos) {
    // The HTTP library cannot dial IPv6 literals. This name is in every API server's certificate.
    host = "kubernetes.default.svc";
  }
  KubeConfig config;
  config.server = "https://" + host + ":" + port;
  config.ca.file = directory + "/ca.crt";
  config.token_file = directory + "/token";
  const auto ns = ReadFile(directory + "/namespace");
  if (ns) {
    config.ns = *ns;
  }
  return config;
}

Result<KubeConfig, Error> LoadConfig(const ConfigOptions& options) {
  std::string path = options.kubeconfig.empty() ? Environment("KUBECONFIG") : options.kubeconfig;
  // kubectl merges several files; an operator's identity should come from one place.
  if (const std::size_t colon = path.find(':'); colon != std::string::npos) {
    path.resize(colon);
  }
  if (path.empty()) {
    return InClusterConfig();
  }
  BREAKWATER_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  return ParseKubeconfig(text, directory, options);
}

}  // namespace breakwater::kube
