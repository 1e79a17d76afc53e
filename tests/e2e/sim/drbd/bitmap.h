// One peer's dirty bitmap: which 4 KiB blocks it is missing.
#pragma once

#include <cstdint>
#include <set>

#include "tests/e2e/sim/drbd/types.h"

namespace breakwater::sim {

// Sparse, because volumes may be large and mostly unwritten. `phantom` counts blocks that a full
// resync has to visit although nobody ever wrote them: they cost time and show as out-of-sync,
// but need no content.
struct Bitmap {
  std::set<std::uint64_t> bits;
  std::uint64_t phantom = 0;

  [[nodiscard]] bool empty() const { return bits.empty() && phantom == 0; }

  [[nodiscard]] std::uint64_t blocks() const { return bits.size() + phantom; }

  [[nodiscard]] std::uint64_t kib() const { return blocks() * kBlockKib; }

  void Clear() {
    bits.clear();
    phantom = 0;
  }
};

}  // namespace breakwater::sim
