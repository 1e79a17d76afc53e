#pragma once

/// Where the LINSTOR controller of a cluster answers. Pure: objects in, URLs out.

#include <string>
#include <string_view>
#include <vector>

#include "operator/api/linstor_cluster.h"
#include "operator/api/object.h"
#include "operator/base/error.h"
#include "operator/base/result.h"

namespace breakwater::controllers {

/// How the Service of the controller becomes an address.
enum class ServiceResolution {
  kDns,        ///< "<service>.<namespace>.svc", dialled by its cluster IP: inside the cluster
  kEndpoints,  ///< the addresses of its ready Pods: outside the cluster, without its DNS
};

/// One address of a controller.
struct ControllerUrl {
  std::string scheme = "http";  ///< "http" or "https"
  std::string host{};           ///< IPv6 addresses without brackets
  int port = 0;
  std::string path{};  ///< without a slash at its end
  /// Name in the controller's certificate when it is not `host` (endpoints are reached by address).
  std::string server_name{};
  /// IPv4 address to dial instead of asking DNS for `host`; "" = none is known.
  std::string address{};

  std::string ToString() const;
  bool operator==(const ControllerUrl&) const = default;
};

/// Reads one URL or several separated by commas. Schemes and default ports are those of LINSTOR's
/// Go client: http and linstor (3370), https and linstor+ssl (3371); no scheme means http.
Result<std::vector<ControllerUrl>, Error> ParseControllerUrls(std::string_view text);

/// The addresses of the controller that runs in this cluster. `services`: of the operator's
/// namespace; exactly one must carry the labels instance=`cluster` and
/// component=linstor-controller. Its port "secure-api" is preferred to "api". Without
/// EndpointSlices with a ready address the ready `pods` are used. Errors say what is missing:
/// kTransient, because it may appear.
Result<std::vector<ControllerUrl>, Error> ResolveService(
    std::string_view cluster,
    ServiceResolution resolution,
    const std::vector<api::ObjectPtr>& services,
    const std::vector<api::ObjectPtr>& pods);

}  // namespace breakwater::controllers
