#include "operator/controllers/linstor_connection/linstor_provider.h"

#include "operator/api/resources.h"
#include "operator/base/base64.h"
#include "operator/controllers/linstor_connection/api_door.h"

namespace breakwater::controllers {
namespace {

Unexpected<Error> Fail(ErrorClass error_class, std::string message) {
  return Unexpected{Error{error_class, std::move(message)}};
}

/// One entry of a Secret (base64) or ConfigMap (plain); nothing when it is missing or unreadable.
std::optional<std::string> DataOf(const api::Object& object, const std::string& key, bool secret) {
  const api::Json* value = api::FindPath(object.raw(), {"data", key});
  if (value == nullptr || !value->is_string()) {
    return std::nullopt;
  }
  const auto& text = value->get_ref<const std::string&>();
  return secret ? DecodeBase64(text) : text;
}

}  // namespace

StoreLinstorProvider::StoreLinstorProvider(LinstorProviderStores stores,
                                           LinstorProviderOptions options,
                                           LinstorTransportFactory transport)
    : stores_(stores), options_(std::move(options)), transport_(std::move(transport)) {}

Result<std::vector<ControllerUrl>, Error> StoreLinstorProvider::Resolve(
    const std::string& cluster, const api::LinstorClusterSpec& spec) const {
  if (spec.external_controller_url) {
    return ParseControllerUrls(*spec.external_controller_url);
  }
  // Asked for every satellite: not all pods of the cluster each time.
  return ResolveService(
      cluster, options_.resolution, stores_.services.List(),
      stores_.pods.ListByLabel(std::string(api::kLabelComponent), "linstor-controller"));
}

Result<std::unique_ptr<LinstorTls>, Error> StoreLinstorProvider::ReadTls(
    const api::ApiTls& tls, std::string& identity) const {
  const api::ObjectKey key{options_.operator_namespace, tls.client_secret_name};
  const api::ObjectPtr secret = stores_.secrets.Get(key);
  if (!secret) {
    return Fail(ErrorClass::kTransient, "Secret " + key.ToString() + " (spec.apiTLS) is missing");
  }
  identity += "|" + secret->uid() + "/" + secret->resource_version();
  auto read = std::make_unique<LinstorTls>();
  const auto certificate = DataOf(*secret, "tls.crt", true);
  const auto private_key = DataOf(*secret, "tls.key", true);
  if (!certificate || !private_key) {
    return Fail(ErrorClass::kInvalid,
                "Secret " + key.ToString() + " needs the entries tls.crt and tls.key");
  }
  read->certificate = *certificate;
  read->key = Secret<std::string>(*private_key);
  std::optional<std::string> ca = DataOf(*secret, "ca.crt", true);
  if (tls.ca_reference) {
    const bool from_secret = tls.ca_reference->kind != "ConfigMap";
    const api::ObjectKey ca_key{options_.operator_namespace, tls.ca_reference->name};
    const api::ObjectPtr source =
        from_secret ? stores_.secrets.Get(ca_key) : stores_.config_maps.Get(ca_key);
    if (source) {
      identity += "|" + source->uid() + "/" + source->resource_version();
      ca = DataOf(*source, tls.ca_reference->key, from_secret);
    }
    if ((!source || !ca) && !tls.ca_reference->optional.value_or(false)) {
      return Fail(ErrorClass::kTransient, tls.ca_reference->kind + " " + ca_key.ToString() +
                                              " has no entry " + tls.ca_reference->key +
                                              " (spec.apiTLS.caReference)");
    }
  }
  if (!ca) {
    return Fail(ErrorClass::kInvalid, "Secret " + key.ToString() + " has no entry ca.crt");
  }
  read->ca = *ca;
  return read;
}

Result<std::shared_ptr<linstor::Client>, Error> StoreLinstorProvider::Build(
    const std::vector<ControllerUrl>& urls, const LinstorTls* tls) const {
  std::vector<linstor::Endpoint> endpoints;
  for (const ControllerUrl& url : urls) {
    BREAKWATER_ASSIGN_OR_RETURN(std::shared_ptr<net::HttpTransport> transport,
                                transport_(url, url.scheme == "https" ? tls : nullptr));
    endpoints.push_back({url.ToString(), url.path, std::move(transport)});
  }
  return linstor::MakeHttpClient(std::move(endpoints), options_.client);
}

Result<std::shared_ptr<linstor::Client>, Error> StoreLinstorProvider::ClientFor(
    const std::string& cluster) {
  const api::ObjectPtr object = stores_.clusters.Get({"", cluster});
  if (!object) {
    return Fail(ErrorClass::kNotFound, "LinstorCluster " + cluster + " does not exist");
  }
  // Before anything is read. Asked twice for each satellite and pass: mostly nothing changed.
  const std::vector<std::uint64_t> seen{stores_.services.changes(), stores_.pods.changes(),
                                        stores_.secrets.changes(), stores_.config_maps.changes()};
  {
    const std::lock_guard lock(mutex_);
    const auto known = entries_.find(cluster);
    if (known != entries_.end() && known->second.object == object && known->second.seen == seen) {
      return known->second.client;
    }
  }
  const api::LinstorClusterSpec spec = api::DecodeLinstorCluster(object->raw()).value;
  BREAKWATER_ASSIGN_OR_RETURN(const std::vector<ControllerUrl> urls, Resolve(cluster, spec));
  BREAKWATER_RETURN_IF_ERROR(CheckOnlyHttps(spec, urls));
  std::string identity;
  for (const ControllerUrl& url : urls) {
    identity += url.ToString() + "@" + url.address + ",";
  }
  std::unique_ptr<LinstorTls> tls;
  if (spec.api_tls) {
    BREAKWATER_ASSIGN_OR_RETURN(tls, ReadTls(*spec.api_tls, identity));
  }
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[cluster];
  if (!entry.client || entry.identity != identity) {
    BREAKWATER_ASSIGN_OR_RETURN(entry.client, Build(urls, tls.get()));
    entry.identity = identity;
  }
  entry.object = object;
  entry.seen = seen;
  return entry.client;
}

}  // namespace breakwater::controllers
