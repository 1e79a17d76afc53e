// A sequence of exec messages: each starts with its length in one byte.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "operator/kube/exec_protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kCap = 64;
  breakwater::kube::ExecDecoder decoder(kCap);
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  while (!rest.empty()) {
    const auto length = static_cast<unsigned char>(rest.front());
    rest.remove_prefix(1);
    if (!decoder.Feed(rest.substr(0, length))) {
      return 0;
    }
    rest.remove_prefix(std::min<std::size_t>(length, rest.size()));
  }
  const auto result = decoder.Finish();
  if (result && result->out.size() + result->err.size() > kCap) {
    std::abort();
  }
  return 0;
}
