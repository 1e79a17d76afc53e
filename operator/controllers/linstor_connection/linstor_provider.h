#pragma once

/// LinstorProvider: the LINSTOR client of a cluster, shared by all controllers.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "operator/api/object.h"
#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/base/secret.h"
#include "operator/controllers/linstor_connection/controller_address.h"
#include "operator/linstor/client.h"
#include "operator/linstor/http_client.h"
#include "operator/net/http.h"
#include "operator/runtime/store.h"

namespace breakwater::controllers {

/// Thread safety: may be called from any thread.
class LinstorProvider {
 public:
  virtual ~LinstorProvider() = default;

  /// The client of the LinstorCluster with this name. Makes no request. Errors:
  /// kNotFound: there is no such LinstorCluster (any more);
  /// kTransient: the Service, a ready Pod or a Secret is missing, the message names it;
  /// kInvalid: the URL or the Secret cannot be used, or the address is plain HTTP with apiTLS.
  virtual Result<std::shared_ptr<linstor::Client>, Error> ClientFor(const std::string& cluster) = 0;
};

/// Client certificate and trusted authorities for LINSTOR's HTTPS, PEM.
struct LinstorTls {
  std::string ca{};
  std::string certificate{};
  Secret<std::string> key{};
};

/// Makes the transport to one address; `tls` is null for http. Given by the composition root, so
/// that nothing here depends on an HTTP library.
using LinstorTransportFactory = std::function<Result<std::shared_ptr<net::HttpTransport>, Error>(
    const ControllerUrl& url, const LinstorTls* tls)>;

struct LinstorProviderOptions {
  /// Where the controller's Service and the TLS Secrets live.
  std::string operator_namespace{};
  ServiceResolution resolution = ServiceResolution::kDns;
  linstor::HttpClientOptions client{};
};

/// Stores of the operator's namespace, all borrowed.
struct LinstorProviderStores {
  const runtime::Store& clusters;
  const runtime::Store& services;
  const runtime::Store& pods;
  const runtime::Store& secrets;
  const runtime::Store& config_maps;
};

/// The real provider. One client per cluster; a new one when address or certificates changed.
class StoreLinstorProvider final : public LinstorProvider {
 public:
  StoreLinstorProvider(LinstorProviderStores stores,
                       LinstorProviderOptions options,
                       LinstorTransportFactory transport);

  Result<std::shared_ptr<linstor::Client>, Error> ClientFor(const std::string& cluster) override;

 private:
  struct Entry {
    api::ObjectPtr object{};            ///< the LinstorCluster that was looked at last
    std::vector<std::uint64_t> seen{};  ///< changes of the other stores until then
    std::string identity{};             ///< URLs and versions of the TLS objects
    std::shared_ptr<linstor::Client> client{};
  };

  Result<std::vector<ControllerUrl>, Error> Resolve(const std::string& cluster,
                                                    const api::LinstorClusterSpec& spec) const;
  Result<std::unique_ptr<LinstorTls>, Error> ReadTls(const api::ApiTls& tls,
                                                     std::string& identity) const;
  Result<std::shared_ptr<linstor::Client>, Error> Build(const std::vector<ControllerUrl>& urls,
                                                        const LinstorTls* tls) const;

  const LinstorProviderStores stores_;
  const LinstorProviderOptions options_;
  const LinstorTransportFactory transport_;

  std::mutex mutex_;
  std::map<std::string, Entry> entries_;  // guarded by mutex_
};

}  // namespace breakwater::controllers
