// Any body as a question of the API server: answered without a crash, and the answer is JSON.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "operator/api/object.h"
#include "operator/webhook/handler.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string kKinds[] = {"linstorcluster", "linstorsatelliteconfiguration",
                                       "linstorsatellite", "linstornodeconnection"};
  for (const std::string& kind : kKinds) {
    const breakwater::net::Response response = breakwater::webhook::Serve(
        {.method = "POST",
         .target = "/validate-piraeus-io-v1-" + kind,
         .headers = {{"Content-Type", "application/json"}},
         .body = std::string(reinterpret_cast<const char*>(data), size)});
    if (response.status == 200 && !breakwater::api::Json::accept(response.body)) {
      std::abort();
    }
  }
  return 0;
}
