#pragma once

/// EventRecorder: events.k8s.io/v1 for people who look at `kubectl describe`.
///
/// Repetitions of (object, action, reason) become one event with a series; recording never blocks
/// and never fails: what cannot be queued or written is dropped and counted. Needs create and patch
/// on events.events.k8s.io.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "operator/api/object.h"
#include "operator/base/log.h"
#include "operator/base/thread.h"
#include "operator/kube/client.h"
#include "operator/kube/event_aggregator.h"

namespace breakwater::kube {

/// Port: controllers record through it. Thread safety: may be called from any thread.
class EventRecorder {
 public:
  virtual ~EventRecorder() = default;
  virtual void Record(Event event) = 0;
};

/// Writes on a thread of its own. The destructor ends that thread at once; what is still queued is
/// lost, unless Flush() was called before.
class KubeEventRecorder final : public EventRecorder {
 public:
  struct Options {
    std::string controller = "piraeus.io/operator";
    std::string instance = "breakwater";  ///< name of this pod
    /// Events waiting to be written; more are dropped. 1000: client-go's queue.
    std::size_t max_queued = 1000;
    /// For one write; the API server may be away.
    std::chrono::seconds write_timeout{10};
    /// Called for each event that is dropped, from any thread; must not block.
    std::function<void()> on_dropped{};
  };

  /// `client` and `clock` must outlive it.
  KubeEventRecorder(KubeWriter& client, const Clock& clock, Logger log, Options options);
  ~KubeEventRecorder() override = default;

  void Record(Event event) override;

  /// Waits until the queue is empty and written, or for the context's end; false then.
  bool Flush(const Context& ctx);

  /// Events that were never written, since the start.
  std::uint64_t dropped() const { return dropped_; }

 private:
  void Run(const std::stop_token& stop);
  void Write(const Context& ctx, const EventWrite& write);
  void Dropped();

  KubeWriter& client_;
  const Clock& clock_;
  const Logger log_;
  const Options options_;
  std::atomic<std::uint64_t> dropped_ = 0;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Event> queue_;     // guarded by mutex_
  bool writing_ = false;        // guarded by mutex_
  EventAggregator aggregator_;  // used by the thread only
  Thread thread_;               // last: it uses everything above
};

}  // namespace breakwater::kube
