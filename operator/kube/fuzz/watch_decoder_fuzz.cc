// The bytes of a watch, cut at a place that the input chooses: both halves must give what the whole
// gives.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "operator/kube/watch_decoder.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using breakwater::kube::WatchDecoder;
  if (size < 2) {
    return 0;
  }
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t cut = data[0] % bytes.size();
  WatchDecoder whole(4096);
  WatchDecoder halves(4096);
  const auto all = whole.Feed(bytes);
  const auto first = halves.Feed(bytes.substr(0, cut));
  if (!first) {
    return 0;
  }
  const auto second = halves.Feed(bytes.substr(cut));
  if (all.has_value() != second.has_value() ||
      (all && all->size() != first->size() + second->size())) {
    std::abort();
  }
  return 0;
}
