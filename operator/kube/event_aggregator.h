#pragma once

/// EventAggregator: turns recorded events into writes: a create for the first, series updates for
/// repetitions. Pure but for its memory of recent events; the time is an argument.

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include <nlohmann/json.hpp>

#include "operator/api/object.h"
#include "operator/base/clock.h"
#include "operator/kube/client.h"

namespace breakwater::kube {

/// What an event is about.
struct EventRef {
  std::string api_version{};
  std::string kind{};
  std::string ns{};
  std::string name{};
  std::string uid{};
};

EventRef RefOf(const api::Object& object);

struct Event {
  EventRef regarding{};
  std::string action{};  ///< what the operator did or tried; cut to 128 bytes (limit of the API)
  std::string reason{};  ///< CamelCase; cut to 128 bytes (limit of the API)
  std::string note{};    ///< for people; cut to 1 kB (limit of the API)
  /// Not written: tells events about different parts of the object apart, e.g. the volume's name.
  std::string part{};
  bool warning = false;
};

/// One request to make.
struct EventWrite {
  ObjectKey key{};
  nlohmann::json object;  ///< whole event for a create, merge patch for an update
  bool update = false;
  nlohmann::json recreate;  ///< update: what to create when the event has expired (404)
};

/// One moment on both clocks: windows are counted on the steady one, stamps come from the wall.
struct EventTime {
  SteadyTime steady{};
  SystemTime wall{};
};

/// Thread safety: one owner.
class EventAggregator {
 public:
  /// 6 min without a repetition end a series: client-go, tools/events/event_broadcaster.go.
  static constexpr std::chrono::minutes kSeriesEnds{6};
  /// A series is written again at most every 30 s: a failing reconcile must not become a write per
  /// try.
  static constexpr std::chrono::seconds kWriteAgainAfter{30};
  /// Series remembered; beyond it the oldest is forgotten. A bound on memory, nothing else.
  static constexpr std::size_t kMaxSeries = 4096;

  EventAggregator(std::string controller, std::string instance)
      : controller_(std::move(controller)), instance_(std::move(instance)) {}

  /// What to write now for `event`; nothing when it was only counted.
  std::optional<EventWrite> Add(const Event& event, EventTime now);

  /// Series with counts or notes that were not written yet and may be now.
  std::vector<EventWrite> Due(SteadyTime now);

  /// When Due() has something to say next; nothing when there is nothing to wait for.
  std::optional<SteadyTime> NextDue() const;

 private:
  using SeriesKey = std::tuple<std::string, std::string, std::string, std::string, bool>;

  struct Series {
    ObjectKey key;
    Event event;               // the latest
    std::string written_note;  // what the event in the API server says
    int count = 1;
    int written_count = 1;
    SystemTime first{};
    EventTime last{};
    SteadyTime written{};
  };

  nlohmann::json ToJson(const Series& series) const;
  EventWrite Begin(Series& series, EventTime now) const;
  EventWrite Update(Series& series, SteadyTime now) const;
  void Forget(SteadyTime now);

  const std::string controller_;
  const std::string instance_;
  std::map<SeriesKey, Series> series_;
};

}  // namespace breakwater::kube
