// What a node prints, by any version of its tools or by somebody who took the node over: the first
// byte chooses the parser, the rest is its input. Nothing may crash, hang or grow without bound.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "operator/core/replication/node/parse.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace tls = breakwater::replication;
  if (size == 0) {
    return 0;
  }
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  tls::DrbdVersions versions;
  switch (data[0] % 7) {
    case 0:
      tls::ParseStatus(text);
      break;
    case 1:
      tls::ParseShow(text);
      break;
    case 2:
      tls::ParseSockets(text);
      break;
    case 3:
      tls::ParseTlsStat(text);
      break;
    case 4:
      tls::ParseProcDrbd(text, &versions);
      break;
    case 5:
      tls::ParseDrbdadmVersion(text, &versions);
      break;
    default:
      tls::ParseReport("node", text, text.size() % 2 == 0);
  }
  return 0;
}
