#pragma once

/// The life of a list+watch as data: states, wire outcomes, and the pure transition between them.
///
///   Empty --Listed--> Resuming --Opened--> Watching --Changed/Removed/Bookmark--> Watching
///   Watching --StreamEnded/Failed--> Resuming (no list)      any --Gone--> Empty (list again)

#include <string>
#include <string_view>
#include <variant>

#include <nlohmann/json.hpp>

#include "operator/kube/client.h"
#include "operator/kube/watch_event.h"

namespace breakwater::runtime {

/// Nothing is known, or what is known is too old: list.
struct Empty {};

/// Everything up to `version` is known: open a watch there.
struct Resuming {
  std::string version{};
  /// Unreadable events and refusals in a row at this version, see kMaxStuck.
  int stuck = 0;
};

/// A watch is open and everything up to `version` is known.
struct Watching {
  std::string version{};
  int stuck = 0;
};

using ReflectorState = std::variant<Empty, Resuming, Watching>;

/// A complete list is in the store.
struct Listed {
  std::string version{};
};

struct Opened {};

struct Changed {
  nlohmann::json object{};
  std::string version{};  ///< "" when the object has none that can be read
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
  std::string verb{};
  std::string message{};
};

/// The server closed the stream in order.
struct StreamEnded {};

/// Any other failure.
struct Failed {
  enum class Why {
    kError,       ///< no connection, reset, 401, 5xx: the server will be back
    kForbidden,   ///< 403: a right is missing
    kIdle,        ///< no byte for longer than the server may be silent
    kUnreadable,  ///< a reply or an event that is no JSON object
    kRejected,  ///< 4xx, 504: the server does not like this version (e.g. after etcd was restored)
  };

  Why why = Why::kError;
  std::string verb{};  ///< "list" or "watch"
  std::string message{};
};

using ReflectorInput =
    std::variant<Listed, Opened, Changed, Removed, Bookmark, Gone, StreamEnded, Failed>;

/// After this many kUnreadable or kRejected at one version the reflector lists again: a watch that
/// fails at the same event or version each time would never get past it, a list does.
inline constexpr int kMaxStuck = 3;

/// Pure and total: an input that makes no sense in a state leaves the state alone.
ReflectorState Next(const ReflectorState& state, const ReflectorInput& input);

/// What a failed call means. Pure. `verb` is the RBAC verb that was used.
ReflectorInput FromError(const kube::KubeError& error, std::string_view verb);
/// What an event of a watch means; a kError event may be Gone. Pure.
ReflectorInput FromEvent(kube::WatchEvent event);

/// Value of the label `why` of breakwater_watch_restarts_total, "" for inputs that restart nothing.
std::string_view RestartReason(const ReflectorInput& input);

/// All values that RestartReason gives, so that the metric exists at zero.
inline constexpr std::string_view kRestartReasons[] = {"gone", "ended",      "error",   "forbidden",
                                                       "idle", "unreadable", "rejected"};

}  // namespace breakwater::runtime
