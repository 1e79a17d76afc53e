#pragma once

/// Lines of `drbdsetup events2`. They say *that* something changed; what is, is read from status
/// and show, because events have no `tls` and may be missed (F25, F34).
/// Thread safety: pure functions.

#include <string>
#include <string_view>

namespace breakwater::agent {

struct DrbdEvent {
  enum class Kind {
    kNone,     ///< nothing that could change a report: helper calls, unknown lines
    kChange,   ///< of one resource
    kAll,      ///< whose is not clear: everything may have changed
    kDumpEnd,  ///< "exists -": what was there at the begin has been listed
  };

  Kind kind = Kind::kNone;
  std::string resource{};
  bool exists = false;  ///< part of the list at the begin
  /// For changes of a volume on a peer, else "": a resync says them again with each percent.
  std::string peer{};
  int volume = -1;
  std::string replication{};
  std::string peer_disk{};

  bool operator==(const DrbdEvent&) const = default;
};

/// With or without a time stamp (--timestamps) in front.
DrbdEvent ParseEvent(std::string_view line);

}  // namespace breakwater::agent
