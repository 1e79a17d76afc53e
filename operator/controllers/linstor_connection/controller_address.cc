#include "operator/controllers/linstor_connection/controller_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "operator/api/resources.h"

namespace breakwater::controllers {
namespace {

using api::Json;

constexpr std::string_view kComponent = "linstor-controller";
/// Source: LINSTOR's defaults for [http] and [https].
constexpr int kHttpPort = 3370;
constexpr int kHttpsPort = 3371;

Unexpected<Error> Missing(std::string message) {
  return Unexpected{Error{ErrorClass::kTransient, std::move(message)}};
}

Unexpected<Error> Bad(std::string_view url, std::string_view why) {
  return Unexpected{Error{ErrorClass::kInvalid, "LINSTOR controller URL '" + std::string(url) +
                                                    "': " + std::string(why)}};
}

std::string_view Trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\n");
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(" \t\n") - first + 1);
}

std::optional<int> ParsePort(std::string_view text) {
  int port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port < 1 || port > 65535) {
    return std::nullopt;
  }
  return port;
}

std::optional<std::string> HttpScheme(std::string_view scheme) {
  if (scheme == "http" || scheme == "linstor") {
    return "http";
  }
  if (scheme == "https" || scheme == "linstor+ssl") {
    return "https";
  }
  return std::nullopt;
}

/// Splits "host", "host:1", "[::1]:1" into host and port text.
bool SplitAuthority(std::string_view authority, std::string& host, std::string_view& port) {
  if (authority.starts_with('[')) {
    const auto close = authority.find(']');
    if (close == std::string_view::npos) {
      return false;
    }
    host = authority.substr(1, close - 1);
    authority.remove_prefix(close + 1);
    if (!authority.empty() && !authority.starts_with(':')) {
      return false;
    }
    port = authority.empty() ? authority : authority.substr(1);
    return !host.empty();
  }
  const auto colon = authority.rfind(':');
  host = authority.substr(0, colon);
  port = colon == std::string_view::npos ? std::string_view() : authority.substr(colon + 1);
  return !host.empty() && host.find(':') == std::string::npos;
}

Result<ControllerUrl, Error> ParseOne(std::string_view text) {
  std::string_view rest = text;
  std::string_view scheme = "http";
  if (const auto end = rest.find("://"); end != std::string_view::npos) {
    scheme = rest.substr(0, end);
    rest.remove_prefix(end + 3);
  }
  const std::optional<std::string> http_scheme = HttpScheme(scheme);
  if (!http_scheme) {
    return Bad(text, "the scheme must be http or https");
  }
  ControllerUrl url{.scheme = *http_scheme};
  const auto slash = rest.find('/');
  if (slash != std::string_view::npos) {
    url.path = rest.substr(slash);
    while (url.path.ends_with('/')) {
      url.path.pop_back();
    }
    rest = rest.substr(0, slash);
  }
  std::string_view port;
  if (rest.find('@') != std::string_view::npos || !SplitAuthority(rest, url.host, port)) {
    return Bad(text, "no host name");
  }
  url.port = url.scheme == "https" ? kHttpsPort : kHttpPort;
  if (!port.empty()) {
    const std::optional<int> number = ParsePort(port);
    if (!number) {
      return Bad(text, "the port is not a number between 1 and 65535");
    }
    url.port = *number;
  }
  return url;
}

struct ServicePort {
  std::string name{};
  int number = 0;
  int target = 0;  ///< on the pod
};

std::optional<ServicePort> FindPort(const Json& ports, std::string_view name) {
  if (!ports.is_array()) {
    return std::nullopt;
  }
  for (const Json& port : ports) {
    if (api::StringAt(port, "name") == name && port.contains("port") &&
        port["port"].is_number_integer()) {
      const int number = port["port"].get<int>();
      const Json* target = api::FindMember(port, "targetPort");
      const bool numeric = target != nullptr && target->is_number_integer();
      return ServicePort{std::string(name), number, numeric ? target->get<int>() : number};
    }
  }
  return std::nullopt;
}

std::optional<ServicePort> PreferredPort(const Json* ports) {
  if (ports == nullptr) {
    return std::nullopt;
  }
  const auto secure = FindPort(*ports, "secure-api");
  return secure ? secure : FindPort(*ports, "api");
}

bool IsReady(const api::Object& pod) {
  const Json* conditions = api::FindPath(pod.raw(), {"status", "conditions"});
  if (pod.deleting() || conditions == nullptr || !conditions->is_array()) {
    return false;
  }
  return std::any_of(conditions->begin(), conditions->end(), [](const Json& condition) {
    return api::StringAt(condition, "type") == "Ready" &&
           api::StringAt(condition, "status") == "True";
  });
}

bool Selects(const Json* selector, const api::Object& pod) {
  if (selector == nullptr || !selector->is_object() || selector->empty()) {
    return false;  // a Service without a selector has no pods of its own
  }
  for (const auto& [key, value] : selector->items()) {
    if (!value.is_string() || pod.label(key) != value.get<std::string>()) {
      return false;
    }
  }
  return true;
}

bool IsIpv4(const std::string& text) {
  in_addr parsed{};
  return inet_pton(AF_INET, text.c_str(), &parsed) == 1;
}

/// IPv4 only: the HTTP library cannot dial IPv6 literals, and one of them would spoil them all.
void AddPodAddresses(const api::Object& pod,
                     const ControllerUrl& model,
                     std::vector<ControllerUrl>& urls) {
  const Json* addresses = api::FindPath(pod.raw(), {"status", "podIPs"});
  if (addresses == nullptr || !addresses->is_array()) {
    return;
  }
  for (const Json& address : *addresses) {
    if (std::string ip = api::StringAt(address, "ip"); IsIpv4(ip)) {
      ControllerUrl url = model;
      url.host = std::move(ip);
      urls.push_back(std::move(url));
    }
  }
}

bool IsControllerOf(const api::Object& object, std::string_view cluster) {
  return object.label(api::kLabelInstance) == cluster &&
         object.label(api::kLabelComponent) == kComponent;
}

}  // namespace

std::string ControllerUrl::ToString() const {
  const bool v6 = host.find(':') != std::string::npos;
  return scheme + "://" + (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port) + path;
}

Result<std::vector<ControllerUrl>, Error> ParseControllerUrls(std::string_view text) {
  std::vector<ControllerUrl> urls;
  while (!text.empty()) {
    const auto comma = text.find(',');
    const std::string_view part = Trim(text.substr(0, comma));
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    if (!part.empty()) {
      BREAKWATER_ASSIGN_OR_RETURN(ControllerUrl url, ParseOne(part));
      urls.push_back(std::move(url));
    }
  }
  if (urls.empty()) {
    return Bad(text, "empty");
  }
  return urls;
}

Result<std::vector<ControllerUrl>, Error> ResolveService(
    std::string_view cluster,
    ServiceResolution resolution,
    const std::vector<api::ObjectPtr>& services,
    const std::vector<api::ObjectPtr>& pods) {
  std::vector<api::ObjectPtr> matches;
  for (const api::ObjectPtr& service : services) {
    if (IsControllerOf(*service, cluster)) {
      matches.push_back(service);
    }
  }
  if (matches.size() != 1) {
    return Missing("expected one Service of component linstor-controller, found " +
                   std::to_string(matches.size()));
  }
  const api::Object& service = *matches.front();
  const auto port = PreferredPort(api::FindPath(service.raw(), {"spec", "ports"}));
  if (!port) {
    return Missing("Service " + service.key().ToString() + " has no port 'api' or 'secure-api'");
  }
  const std::string name = service.name() + "." + service.ns() + ".svc";
  ControllerUrl url{
      .scheme = port->name == "secure-api" ? "https" : "http", .host = name, .port = port->number};
  if (resolution == ServiceResolution::kDns) {
    // Not by DNS where that can be avoided: the HTTP library has one resolver for all, and behind a
    // lookup that hangs every new connection waits, also the one that the Lease needs.
    const Json* address = api::FindPath(service.raw(), {"spec", "clusterIP"});
    if (address != nullptr && address->is_string() && IsIpv4(address->get<std::string>())) {
      url.address = address->get<std::string>();
    }
    return std::vector{url};
  }
  url.server_name = name;
  std::vector<ControllerUrl> urls;
  url.port = port->target;
  const Json* selector = api::FindPath(service.raw(), {"spec", "selector"});
  for (const api::ObjectPtr& pod : pods) {
    if (pod->ns() == service.ns() && IsReady(*pod) && Selects(selector, *pod)) {
      AddPodAddresses(*pod, url, urls);
    }
  }
  if (urls.empty()) {
    return Missing("no Pod of Service " + service.key().ToString() +
                   " is ready and has an IPv4 address");
  }
  return urls;
}

}  // namespace breakwater::controllers
