// What the container of tlshd prints about its certificate files, or what somebody put there:
// parsed without a crash, and two nodes with it can be compared.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "operator/controllers/replication/node_observer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace controllers = breakwater::controllers;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const breakwater::SystemTime now{std::chrono::seconds(1800000000)};
  std::map<std::string, controllers::NodeCertificate> certificates;
  for (const char* node : {"node1", "node2"}) {
    certificates.emplace(node, controllers::ParseCertificates(node, text, now));
  }
  controllers::CheckMutualTrust(certificates, now);
  return 0;
}
