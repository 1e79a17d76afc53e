// The bytes of a watch, cut at a place that the input chooses: both halves must give what the whole
// gives, the same events or no more than an error.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

#include "operator/kube/watch_decoder.h"

namespace {

using breakwater::kube::WatchDecoder;
using breakwater::kube::WatchEvent;

bool Same(const WatchEvent& a, const WatchEvent& b) {
  return a.type == b.type && a.resource_version == b.resource_version && a.object == b.object;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) {
    return 0;
  }
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t cut = data[0] % bytes.size();
  WatchDecoder whole(4096);
  WatchDecoder halves(4096);
  const auto all = whole.Feed(bytes);
  auto events = halves.Feed(bytes.substr(0, cut));
  if (events) {
    auto second = halves.Feed(bytes.substr(cut));
    if (second) {
      std::move(second->begin(), second->end(), std::back_inserter(*events));
    } else {
      events = std::move(second);
    }
  }
  if (all.has_value() != events.has_value() ||
      (all && !std::equal(all->begin(), all->end(), events->begin(), events->end(), Same))) {
    std::abort();
  }
  return 0;
}
