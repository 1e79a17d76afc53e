#pragma once

/// Result<T, E>: either a value or an error; the subset of C++23's std::expected that this project
/// uses (g++ 12 has std::expected only in C++23 mode).
///
/// Exceptions stay inside adapters; every other function that can fail returns a Result, because in
/// a controller "not found", "conflict" and "not yet" are normal branches and the type must show
/// them.
///
///   Result<int, Error> Parse(std::string_view text);
///   Result<void, Error> Use() {
///     BREAKWATER_ASSIGN_OR_RETURN(const int number, Parse("42"));
///     ...
///     return {};
///   }

#include <cstdlib>
#include <type_traits>
#include <utility>
#include <variant>

namespace breakwater {

/// Wraps an error so that it can be told from a value: `return Unexpected{error};`.
template <typename E>
struct Unexpected {
  E error;
};

template <typename E>
Unexpected(E) -> Unexpected<E>;

template <typename T, typename E>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  using error_type = E;

  // NOLINTNEXTLINE(google-explicit-constructor): reads like std::expected
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}

  template <typename G>

  // NOLINTNEXTLINE(google-explicit-constructor): reads like std::expected
  requires std::is_constructible_v<E, G> Result(Unexpected<G> unexpected)
      : state_(std::in_place_index<1>, std::move(unexpected.error)) {}

  bool has_value() const { return state_.index() == 0; }

  explicit operator bool() const { return has_value(); }

  /// Aborts when there is no value: a programming error, never something that came over a wire.
  T& value() & { return Checked(); }

  const T& value() const& { return const_cast<Result*>(this)->Checked(); }

  T&& value() && { return std::move(Checked()); }

  T& operator*() & { return Checked(); }

  const T& operator*() const& { return value(); }

  T&& operator*() && { return std::move(Checked()); }

  T* operator->() { return &Checked(); }

  const T* operator->() const { return &value(); }

  E& error() {
    if (has_value()) {
      std::abort();
    }
    return std::get<1>(state_);
  }

  const E& error() const { return const_cast<Result*>(this)->error(); }

  template <typename U>
  T value_or(U&& fallback) const& {
    return has_value() ? **this : static_cast<T>(std::forward<U>(fallback));
  }

 private:
  T& Checked() {
    if (!has_value()) {
      std::abort();
    }
    return std::get<0>(state_);
  }

  std::variant<T, E> state_;
};

template <typename E>
class [[nodiscard]] Result<void, E> {
 public:
  using value_type = void;
  using error_type = E;

  Result() = default;

  template <typename G>

  // NOLINTNEXTLINE(google-explicit-constructor): reads like std::expected
  requires std::is_constructible_v<E, G> Result(Unexpected<G> unexpected)
      : state_(std::in_place_index<1>, std::move(unexpected.error)) {}

  bool has_value() const { return state_.index() == 0; }

  explicit operator bool() const { return has_value(); }

  E& error() {
    if (has_value()) {
      std::abort();
    }
    return std::get<1>(state_);
  }

  const E& error() const { return const_cast<Result*>(this)->error(); }

 private:
  std::variant<std::monostate, E> state_;
};

}  // namespace breakwater

// What is declared or returned by these macros cannot stand in parentheses.
// NOLINTBEGIN(bugprone-macro-parentheses)
#define BREAKWATER_CONCAT_(a, b) a##b
#define BREAKWATER_CONCAT(a, b) BREAKWATER_CONCAT_(a, b)

/// Returns the error of `expression` from the enclosing function when there is one.
#define BREAKWATER_RETURN_IF_ERROR(expression)                                \
  do {                                                                        \
    auto&& breakwater_result_ = (expression);                                 \
    if (!breakwater_result_) {                                                \
      return ::breakwater::Unexpected{std::move(breakwater_result_.error())}; \
    }                                                                         \
  } while (false)

/// Declares `lhs` with the value of `expression`, or returns its error from the enclosing function.
#define BREAKWATER_ASSIGN_OR_RETURN(lhs, expression) \
  BREAKWATER_ASSIGN_OR_RETURN_(BREAKWATER_CONCAT(breakwater_result_, __LINE__), lhs, expression)
#define BREAKWATER_ASSIGN_OR_RETURN_(result, lhs, expression)   \
  auto result = (expression);                                   \
  if (!result) {                                                \
    return ::breakwater::Unexpected{std::move(result.error())}; \
  }                                                             \
  lhs = std::move(*result)
// NOLINTEND(bugprone-macro-parentheses)
