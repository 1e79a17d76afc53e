// What a replica holds: block -> number of the write whose data it has, with a digest of all that.
#pragma once

#include <cstdint>
#include <unordered_map>

namespace breakwater::sim {

// Share of one block in a digest; 0 for a block that nobody ever wrote.
[[nodiscard]] inline std::uint64_t BlockDigest(std::uint64_t block, std::uint64_t number) {
  if (number == 0) {
    return 0;
  }
  std::uint64_t x = block * 0x9E3779B97F4A7C15U ^ (number + 0x632BE59BD9B4E019U);
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31U);
}

// Equal contents have equal digests, whatever the order of the writes was: two replicas are
// compared without looking at their blocks.
class Contents {
 public:
  [[nodiscard]] std::uint64_t Get(std::uint64_t block) const {
    const auto it = numbers_.find(block);
    return it == numbers_.end() ? 0 : it->second;
  }

  void Put(std::uint64_t block, std::uint64_t number) {
    std::uint64_t& held = numbers_[block];
    digest_ ^= BlockDigest(block, held) ^ BlockDigest(block, number);
    held = number;
  }

  [[nodiscard]] std::uint64_t digest() const { return digest_; }

  [[nodiscard]] std::size_t size() const { return numbers_.size(); }

  [[nodiscard]] auto begin() const { return numbers_.begin(); }

  [[nodiscard]] auto end() const { return numbers_.end(); }

 private:
  std::unordered_map<std::uint64_t, std::uint64_t> numbers_;
  std::uint64_t digest_ = 0;
};

}  // namespace breakwater::sim
