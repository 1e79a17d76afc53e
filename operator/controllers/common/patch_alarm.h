#pragma once

/// PatchAlarm: a Warning event about patches that can take over a node.

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "operator/api/object.h"
#include "operator/kube/event_aggregator.h"

namespace breakwater::controllers {

/// Where events go; must not block. Empty: nowhere.
using EventSink = std::function<void(kube::Event event)>;

/// Thread safety: may be called from any thread.
class PatchAlarm {
 public:
  explicit PatchAlarm(EventSink events) : events_(std::move(events)) {}

  /// `lines` of core::DangerousPatches() for `object`: announced once for each of its generations,
  /// and once more by each new leader.
  void Announce(const api::Object& object, const std::vector<std::string>& lines);

 private:
  const EventSink events_;
  std::mutex mutex_;
  std::map<std::string, std::int64_t> announced_;  // by uid; guarded by mutex_
};

}  // namespace breakwater::controllers
