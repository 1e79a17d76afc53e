#include "operator/core/satellite/interfaces.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <optional>

#include <arpa/inet.h>

#include "operator/api/resources.h"

namespace breakwater::core {
namespace {

using api::Json;

/// An IP address by value; IPv4 is 4 bytes, IPv6 16.
std::optional<std::string> ParseAddress(const std::string& text) {
  std::array<char, 16> bytes{};
  if (inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) {
    return std::string(bytes.data(), 4);
  }
  if (inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) {
    constexpr std::string_view kMapped("\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
    const std::string address(bytes.data(), bytes.size());
    return address.starts_with(kMapped) ? address.substr(kMapped.size()) : address;
  }
  return std::nullopt;
}

bool Allowed(const std::vector<std::string>& families, const char* family) {
  return families.empty() || std::find(families.begin(), families.end(), family) != families.end();
}

std::vector<std::string> PodAddresses(const api::Object& pod) {
  std::vector<std::string> result;
  const Json* list = api::FindPath(pod.raw(), {"status", "podIPs"});
  if (list != nullptr && list->is_array()) {
    for (const Json& entry : *list) {
      result.push_back(api::StringAt(entry, "ip"));
    }
  }
  return result;
}

bool EqualIgnoringCase(const std::string& a, const std::string& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char left, char right) {
    return std::tolower(static_cast<unsigned char>(left)) ==
           std::tolower(static_cast<unsigned char>(right));
  });
}

}  // namespace

std::vector<SatelliteInterface> DesiredInterfaces(const api::Object& pod,
                                                  const api::LinstorSatelliteSpec& spec) {
  const bool ssl = spec.internal_tls.has_value();
  std::map<std::string, SatelliteInterface> by_name;
  for (const std::string& text : PodAddresses(pod)) {
    const std::optional<std::string> address = ParseAddress(text);
    if (!address) {
      continue;
    }
    const bool v4 = address->size() == 4;
    if (!Allowed(spec.ip_families, v4 ? "IPv4" : "IPv6")) {
      continue;
    }
    const std::string name = v4 ? "default-ipv4" : "default-ipv6";
    by_name.emplace(name, SatelliteInterface{.name = name,
                                             .address = text,
                                             .port = ssl ? kSatellitePortSsl : kSatellitePortPlain,
                                             .encryption = ssl ? "SSL" : "PLAIN"});
  }
  std::vector<SatelliteInterface> result;
  for (auto& [name, interface] : by_name) {
    result.push_back(std::move(interface));
  }
  return result;
}

std::string ConfiguredInterfacesValue(const std::vector<SatelliteInterface>& interfaces) {
  std::set<std::string> names;
  for (const SatelliteInterface& interface : interfaces) {
    names.insert(interface.name);
  }
  return Json(names).dump();
}

std::set<std::string> ManagedInterfaces(const std::map<std::string, std::string>& node_properties) {
  const auto property = node_properties.find(std::string(api::kPropertyConfiguredInterfaces));
  if (property != node_properties.end()) {
    const Json list = Json::parse(property->second, nullptr, /*allow_exceptions=*/false);
    if (list.is_array()) {
      std::set<std::string> names;
      for (const Json& name : list) {
        if (name.is_string()) {
          names.insert(name.get<std::string>());
        }
      }
      return names;
    }
  }
  return {"default", "default-ipv4", "default-ipv6"};
}

bool SameInterface(const SatelliteInterface& a, const SatelliteInterface& b) {
  const std::optional<std::string> address_a = ParseAddress(a.address);
  const bool same_address =
      address_a ? address_a == ParseAddress(b.address) : a.address == b.address;
  return a.name == b.name && same_address && a.port == b.port &&
         EqualIgnoringCase(a.encryption, b.encryption);
}

}  // namespace breakwater::core
