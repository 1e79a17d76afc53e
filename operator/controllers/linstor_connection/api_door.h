#pragma once

/// Who gets into LINSTOR's REST API, as far as the LinstorCluster decides it.
///
/// LINSTOR knows no users: whoever reaches an unprotected REST API reads DRBD's shared secrets and
/// changes every volume, the switch of replication TLS included.

#include <string>
#include <vector>

#include "operator/api/linstor_cluster.h"
#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/controllers/linstor_connection/controller_address.h"

namespace breakwater::controllers {

/// For the condition APIUnprotected.
struct ApiDoor {
  bool open = false;      ///< anybody who reaches the port is let in
  std::string reason{};   ///< "PlainHTTP", "NoClientCertificate" or "AsExpected"
  std::string message{};  ///< what follows from it, and the next step
};

/// Pure: looks at the spec only.
ApiDoor DescribeApiDoor(const api::LinstorClusterSpec& spec);

/// kInvalid when one of the addresses is plain HTTP although the spec has apiTLS: an answer from
/// there could be anybody's, and what is sent there anybody may read.
Result<void, Error> CheckOnlyHttps(const api::LinstorClusterSpec& spec,
                                   const std::vector<ControllerUrl>& urls);

}  // namespace breakwater::controllers
