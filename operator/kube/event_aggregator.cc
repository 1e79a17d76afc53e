#include "operator/kube/event_aggregator.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "operator/base/rfc3339.h"

namespace breakwater::kube {
namespace {

// Limits of events.k8s.io/v1: k8s.io/kubernetes, pkg/apis/core/validation/events.go.
constexpr std::size_t kMaxNote = 1024;
constexpr std::size_t kMaxReason = 128;
constexpr std::size_t kMaxName = 253;

/// At most `limit` bytes, not cut inside a character.
std::string Cut(std::string text, std::size_t limit) {
  if (text.size() <= limit) {
    return text;
  }
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xc0U) == 0x80U) {
    --limit;
  }
  text.resize(limit);
  return text;
}

/// "<object>.<hexadecimal time>", as client-go names them.
std::string NameOf(const EventRef& regarding, SystemTime now) {
  const auto nanos = std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch());
  char suffix[32];
  std::snprintf(suffix, sizeof suffix, ".%llx", static_cast<unsigned long long>(nanos.count()));
  return Cut(regarding.name, kMaxName - std::string_view(suffix).size()) + suffix;
}

}  // namespace

EventRef RefOf(const api::Object& object) {
  return {.api_version = api::StringAt(object.raw(), "apiVersion"),
          .kind = api::StringAt(object.raw(), "kind"),
          .ns = object.ns(),
          .name = object.name(),
          .uid = object.uid()};
}

std::optional<EventWrite> EventAggregator::Add(const Event& event, EventTime now) {
  Forget(now.steady);
  const SeriesKey key(event.regarding.kind + "/" + event.regarding.ns + "/" + event.regarding.name +
                          "/" + event.regarding.uid,
                      event.part, event.action, event.reason, event.warning);
  const auto [found, fresh] = series_.try_emplace(key);
  Series& series = found->second;
  series.event = event;
  series.last = now;
  if (fresh) {
    return Begin(series, now);
  }
  ++series.count;
  return now.steady - series.written >= kWriteAgainAfter
             ? std::optional<EventWrite>(Update(series, now.steady))
             : std::nullopt;
}

std::vector<EventWrite> EventAggregator::Due(SteadyTime now) {
  std::vector<EventWrite> writes;
  for (auto& [key, series] : series_) {
    if (series.count > series.written_count && now - series.written >= kWriteAgainAfter) {
      writes.push_back(Update(series, now));
    }
  }
  return writes;
}

std::optional<SteadyTime> EventAggregator::NextDue() const {
  std::optional<SteadyTime> next;
  for (const auto& [key, series] : series_) {
    if (series.count > series.written_count) {
      const SteadyTime due = series.written + kWriteAgainAfter;
      next = next ? std::min(*next, due) : due;
    }
  }
  return next;
}

EventWrite EventAggregator::Begin(Series& series, EventTime now) const {
  const EventRef& regarding = series.event.regarding;
  series.key = {regarding.ns.empty() ? "default" : regarding.ns, NameOf(regarding, now.wall)};
  series.written_note = series.event.note;
  series.count = 1;
  series.written_count = 1;
  series.first = now.wall;
  series.written = now.steady;
  return EventWrite{.key = series.key, .object = ToJson(series)};
}

EventWrite EventAggregator::Update(Series& series, SteadyTime now) const {
  // The note of a written event cannot be changed. One that says something new is worth an event of
  // its own, but not more often than any other write.
  if (series.event.note != series.written_note) {
    return Begin(series, {.steady = now, .wall = series.last.wall});
  }
  series.written = now;
  series.written_count = series.count;
  EventWrite write{.key = series.key, .update = true};
  write.recreate = ToJson(series);
  write.object = {{"series", write.recreate["series"]}};
  return write;
}

void EventAggregator::Forget(SteadyTime now) {
  std::erase_if(series_, [&](const auto& entry) {
    const Series& series = entry.second;
    return series.count == series.written_count && now - series.last.steady >= kSeriesEnds;
  });
  if (series_.size() >= kMaxSeries) {
    series_.erase(std::min_element(
        series_.begin(), series_.end(),
        [](const auto& a, const auto& b) { return a.second.last.steady < b.second.last.steady; }));
  }
}

nlohmann::json EventAggregator::ToJson(const Series& series) const {
  const Event& event = series.event;
  nlohmann::json json = {{"apiVersion", "events.k8s.io/v1"},
                         {"kind", "Event"},
                         {"metadata", {{"name", series.key.name}, {"namespace", series.key.ns}}},
                         {"eventTime", FormatRfc3339Micros(series.first)},
                         {"reportingController", controller_},
                         {"reportingInstance", Cut(instance_, kMaxReason)},
                         {"action", Cut(event.action, kMaxReason)},
                         {"reason", Cut(event.reason, kMaxReason)},
                         {"note", Cut(event.note, kMaxNote)},
                         {"type", event.warning ? "Warning" : "Normal"},
                         {"regarding",
                          {{"apiVersion", event.regarding.api_version},
                           {"kind", event.regarding.kind},
                           {"name", event.regarding.name},
                           {"namespace", event.regarding.ns},
                           {"uid", event.regarding.uid}}}};
  if (series.count > 1) {
    json["series"] = {{"count", series.count},
                      {"lastObservedTime", FormatRfc3339Micros(series.last.wall)}};
  }
  return json;
}

}  // namespace breakwater::kube
