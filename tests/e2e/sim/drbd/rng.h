// Seeded random numbers whose sequence does not depend on the standard library's distributions.
#pragma once

#include <cstdint>
#include <random>

namespace breakwater::sim {

class Rng {
 public:
  explicit Rng(std::uint64_t seed) : engine_(seed) {}

  void Seed(std::uint64_t seed) { engine_.seed(seed); }

  std::uint64_t Next() { return engine_(); }

  // In [0, 1).
  double Unit() { return static_cast<double>(engine_() >> 11U) * 0x1.0p-53; }

  bool Chance(double probability) { return Unit() < probability; }

  // In [0, bound); 0 when bound is 0.
  std::uint64_t Below(std::uint64_t bound) { return bound == 0 ? 0 : engine_() % bound; }

 private:
  std::mt19937_64 engine_;
};

}  // namespace breakwater::sim
