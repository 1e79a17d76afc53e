#include "operator/kube/event_recorder.h"

#include <optional>
#include <utility>

namespace breakwater::kube {
namespace {

const ResourceInfo& Events() {
  static const ResourceInfo kEvents{.group = "events.k8s.io", .kind = "Event", .plural = "events"};
  return kEvents;
}

/// How long the thread sleeps when nothing waits: it only bounds an arithmetic, nothing happens
/// then.
constexpr std::chrono::hours kIdle{1};

}  // namespace

KubeEventRecorder::KubeEventRecorder(KubeWriter& client,
                                     const Clock& clock,
                                     Logger log,
                                     Options options)
    : client_(client),
      clock_(clock),
      log_(std::move(log)),
      options_(std::move(options)),
      aggregator_(options_.controller, options_.instance),
      thread_("events", [this](const std::stop_token& stop) { Run(stop); }) {}

void KubeEventRecorder::Record(Event event) {
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() >= options_.max_queued) {
      Dropped();
      return;
    }
    queue_.push_back(std::move(event));
  }
  changed_.notify_all();
}

bool KubeEventRecorder::Flush(const Context& ctx) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, ctx.stop(), ctx.Remaining(kIdle),
                           [this] { return queue_.empty() && !writing_; });
}

void KubeEventRecorder::Run(const std::stop_token& stop) {
  const Context ctx(stop, clock_);
  while (!stop.stop_requested()) {
    std::optional<Event> event;
    {
      std::unique_lock lock(mutex_);
      writing_ = false;
      changed_.notify_all();
      const std::optional<SteadyTime> due = aggregator_.NextDue();
      const std::chrono::nanoseconds wait =
          due ? std::max<std::chrono::nanoseconds>(*due - clock_.SteadyNow(), {}) : kIdle;
      changed_.wait_for(lock, stop, wait, [this] { return !queue_.empty(); });
      if (!queue_.empty()) {
        event = std::move(queue_.front());
        queue_.pop_front();
      }
      writing_ = true;
    }
    const EventTime now{clock_.SteadyNow(), clock_.SystemNow()};
    if (event) {
      if (const auto write = aggregator_.Add(*event, now)) {
        Write(ctx, *write);
      }
    }
    for (const EventWrite& write : aggregator_.Due(now.steady)) {
      Write(ctx, write);
    }
  }
}

void KubeEventRecorder::Dropped() {
  ++dropped_;
  if (options_.on_dropped) {
    options_.on_dropped();
  }
}

void KubeEventRecorder::Write(const Context& ctx, const EventWrite& write) {
  const Context limited = ctx.WithTimeout(options_.write_timeout);
  KubeResult<Json> result =
      write.update
          ? client_.Patch(limited, Events(), write.key, PatchType::kMerge, write.object, "")
          : client_.Create(limited, Events(), write.key.ns, write.object);
  if (!result && write.update && result.error().IsNotFound()) {  // events live for an hour
    result = client_.Create(limited, Events(), write.key.ns, write.recreate);
  }
  if (!result && !result.error().IsCanceled()) {
    Dropped();
    log_.Debug("event not written", {{"name", write.key.name},
                                     {"namespace", write.key.ns},
                                     {"error", result.error().message()}});
  }
}

}  // namespace breakwater::kube
