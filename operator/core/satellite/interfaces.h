#pragma once

/// Network interfaces that the operator registers in LINSTOR for a satellite.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "operator/api/linstor_satellite.h"
#include "operator/api/object.h"

namespace breakwater::core {

inline constexpr std::int32_t kSatellitePortPlain = 3366;
inline constexpr std::int32_t kSatellitePortSsl = 3367;

struct SatelliteInterface {
  std::string name{};  ///< "default-ipv4" or "default-ipv6"
  std::string address{};
  std::int32_t port = kSatellitePortPlain;
  std::string encryption = "PLAIN";  ///< "PLAIN" or "SSL"

  bool operator==(const SatelliteInterface&) const = default;
};

/// One interface per address family of the pod (status.podIPs), as far as spec.ipFamilies allows
/// it; port 3367/SSL with internalTLS, else 3366/PLAIN. Sorted by name. Addresses of no known
/// family are skipped.
std::vector<SatelliteInterface> DesiredInterfaces(const api::Object& pod,
                                                  const api::LinstorSatelliteSpec& spec);

/// Value of `Aux/piraeus.io/configured-interfaces`: JSON list of the sorted names.
std::string ConfiguredInterfacesValue(const std::vector<SatelliteInterface>& interfaces);

/// Names that the operator made on the node, from its properties; without the property these are
/// the names that older operators used (default, default-ipv4, default-ipv6). Interfaces made by
/// users are never in it.
std::set<std::string> ManagedInterfaces(const std::map<std::string, std::string>& node_properties);

/// Addresses are compared by value ("::1" equals "0:0:0:0:0:0:0:1"), the encryption without regard
/// to case.
bool SameInterface(const SatelliteInterface& a, const SatelliteInterface& b);

}  // namespace breakwater::core
