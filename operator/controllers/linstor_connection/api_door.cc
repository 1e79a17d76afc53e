#include "operator/controllers/linstor_connection/api_door.h"

#include <algorithm>

namespace breakwater::controllers {
namespace {

bool IsHttps(const ControllerUrl& url) {
  return url.scheme == "https";
}

constexpr const char* kRisk =
    "whoever reaches LINSTOR's REST API can read DRBD's shared secrets and change every volume, "
    "its encryption included";

ApiDoor External(const api::LinstorClusterSpec& spec) {
  const auto urls = ParseControllerUrls(*spec.external_controller_url);
  const bool https = urls && std::all_of(urls->begin(), urls->end(), IsHttps);
  if (!https) {
    return {true, "PlainHTTP",
            std::string(kRisk) +
                ": serve the external controller over HTTPS with client certificates, set "
                "spec.externalController.url to https:// and spec.apiTLS"};
  }
  if (!spec.api_tls) {
    return {true, "NoClientCertificate",
            std::string(kRisk) +
                ": the operator shows it no certificate, and so can everybody else: let the "
                "external controller ask for client certificates and set spec.apiTLS"};
  }
  return {false, "AsExpected", "LINSTOR's REST API is reached over HTTPS with a certificate"};
}

}  // namespace

ApiDoor DescribeApiDoor(const api::LinstorClusterSpec& spec) {
  if (spec.external_controller_url) {
    return External(spec);
  }
  if (!spec.api_tls) {
    return {
        true, "PlainHTTP",
        std::string(kRisk) + ": set spec.apiTLS (docs/how-to/api-tls.md), before replication TLS"};
  }
  return {false, "AsExpected", "LINSTOR's REST API asks everybody for a certificate"};
}

Result<void, Error> CheckOnlyHttps(const api::LinstorClusterSpec& spec,
                                   const std::vector<ControllerUrl>& urls) {
  const auto plain = std::find_if_not(urls.begin(), urls.end(), IsHttps);
  if (!spec.api_tls || plain == urls.end()) {
    return {};
  }
  const std::string where =
      spec.external_controller_url
          ? "change spec.externalController.url to https://"
          : "the Service of the LINSTOR controller has no port 'secure-api' (yet)";
  return Unexpected{Error{ErrorClass::kInvalid, "spec.apiTLS is set and " + plain->ToString() +
                                                    " is plain HTTP: nothing is sent there; " +
                                                    where}};
}

}  // namespace breakwater::controllers
