// Any text as a kubeconfig: an error or a configuration, and never an unprotected one.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "operator/kube/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config = breakwater::kube::ParseKubeconfig(text, "/dir", {});
  if (config && (config->insecure_skip_tls_verify || config->server.substr(0, 8) != "https://")) {
    std::abort();
  }
  return 0;
}
