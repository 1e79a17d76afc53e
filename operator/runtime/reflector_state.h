#pragma once

/// The life of a list+watch as data: states, wire outcomes, and the pure transition between them.
///
///   Empty --Listed--> Resuming --Opened--> Watching --Changed/Removed/Bookmark--> Watching
///   Watching --StreamEnded/Failed--> Resuming (no list)      any --Gone--> Empty (list again)

#include <string>
#include <variant>

#include <nlohmann/json.hpp>

namespace breakwater::runtime {

/// Nothing is known, or what is known is too old: list.
struct Empty {};

/// Everything up to `version` is known: open a watch there.
struct Resuming {
  std::string version{};
  /// Unreadable events in a row at this version. A watch that fails at the same event again and again
  /// would never get past it; a list does.
  int unreadable = 0;
};

/// A watch is open and everything up to `version` is known.
struct Watching {
  std::string version{};
  int unreadable = 0;
};

using ReflectorState = std::variant<Empty, Resuming, Watching>;

/// A complete list is in the store.
struct Listed {
  std::string version{};
};

struct Opened {};

struct Changed {
  nlohmann::json object{};
  std::string version{};
};

struct Removed {
  nlohmann::json object{};
  std::string version{};
};

struct Bookmark {
  std::string version{};
};

/// 410, as HTTP status or as an event in the stream.
struct Gone {
  std::string message{};
};

/// The server closed the stream in order.
struct StreamEnded {};

/// Any other failure.
struct Failed {
  enum class Why { kError, kForbidden, kIdle, kUnreadable, kCanceled };

  Why why = Why::kError;
  std::string verb{};  ///< "list" or "watch"
  std::string message{};
};

using ReflectorInput =
    std::variant<Listed, Opened, Changed, Removed, Bookmark, Gone, StreamEnded, Failed>;

/// After this many unreadable events at one version the reflector lists again.
inline constexpr int kMaxUnreadable = 3;

/// Pure and total: an input that makes no sense in a state leaves the state alone.
ReflectorState Next(const ReflectorState& state, const ReflectorInput& input);

/// Value of the label `why` of breakwater_watch_restarts_total, "" for inputs that restart nothing.
std::string RestartReason(const ReflectorInput& input);

}  // namespace breakwater::runtime
