#pragma once

/// Secret<T>: a value that must not end up in a log, an event or a core of freed memory.
///
/// There is deliberately no conversion, no stream operator and no formatter: code that wants the
/// bytes says so with Expose(). The bytes are overwritten when the value goes away or is moved
/// from. Thread safety: as T.

#include <cstring>
#include <string>
#include <utility>

namespace breakwater {

/// T is a contiguous container of bytes, in practice std::string.
template <typename T = std::string>
class Secret {
 public:
  Secret() = default;

  explicit Secret(T value) : value_(std::move(value)) { Wipe(value); }

  Secret(const Secret&) = default;

  Secret(Secret&& other) noexcept : value_(std::move(other.value_)) { other.Wipe(other.value_); }

  Secret& operator=(const Secret& other) {
    if (this != &other) {
      Wipe(value_);
      value_ = other.value_;
    }
    return *this;
  }

  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      Wipe(value_);
      value_ = std::move(other.value_);
      Wipe(other.value_);
    }
    return *this;
  }

  ~Secret() { Wipe(value_); }

  /// The value itself. Never pass it to a logger or into an error message.
  const T& Expose() const { return value_; }

  bool empty() const { return value_.empty(); }

  bool operator==(const Secret&) const = default;

 private:
  static void Wipe(T& bytes) noexcept {
    // A moved-from short string keeps its characters in the object: cover the capacity, not the
    // size. resize() within the capacity neither allocates nor throws.
    bytes.resize(bytes.capacity());
    if (!bytes.empty()) {
      explicit_bzero(bytes.data(), bytes.size());  // unlike memset it is never optimised away
    }
    bytes.clear();
  }

  T value_{};
};

}  // namespace breakwater
