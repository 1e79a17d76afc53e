// Any JSON as one of the kinds that users write: decoded and validated without a crash, and what is
// accepted can be decoded again.

#include <cstddef>
#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

#include "operator/api/linstor_cluster.h"
#include "operator/api/linstor_node_connection.h"
#include "operator/api/linstor_satellite.h"
#include "operator/api/linstor_satellite_configuration.h"
#include "operator/core/admission/validate.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using breakwater::api::Json;
  if (size == 0) {
    return 0;
  }
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Json object = Json::parse(text, nullptr, false);
  if (object.is_discarded()) {
    return 0;
  }
  namespace api = breakwater::api;
  namespace core = breakwater::core;
  switch (data[0] % 4) {
    case 0:
      core::ValidateCluster(api::DecodeLinstorCluster(object).value);
      break;
    case 1:
      core::ValidateSatelliteConfiguration(api::DecodeLinstorSatelliteConfiguration(object).value);
      break;
    case 2:
      core::ValidateSatellite(api::DecodeLinstorSatellite(object).value);
      break;
    default:
      core::ValidateNodeConnection(api::DecodeLinstorNodeConnection(object).value);
  }
  return 0;
}
