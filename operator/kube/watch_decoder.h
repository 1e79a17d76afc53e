#pragma once

/// WatchDecoder: bytes of a watch in, events out. Pure; the bytes may be cut anywhere.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "operator/kube/client.h"
#include "operator/kube/watch_event.h"

namespace breakwater::kube {

/// Thread safety: one owner.
class WatchDecoder {
 public:
  /// 16 MiB: ten times etcd's limit for one object; a longer line is no event.
  static constexpr std::size_t kMaxLineBytes = 16U << 20U;

  explicit WatchDecoder(std::size_t max_line_bytes = kMaxLineBytes)
      : max_line_bytes_(max_line_bytes) {}

  /// The events that `bytes` complete. After an error the stream cannot be used any more.
  Result<std::vector<WatchEvent>, DecodeError> Feed(std::string_view bytes);

  /// True when the stream may not end here: an event was cut.
  bool mid_event() const { return !line_.empty(); }

 private:
  const std::size_t max_line_bytes_;
  std::string line_;
};

}  // namespace breakwater::kube
