#include "operator/runtime/controller.h"

#include <algorithm>
#include <exception>
#include <map>
#include <utility>

#include "operator/runtime/health.h"

namespace breakwater::runtime {
namespace {

/// For a kThrottled error that does not say how long to wait, or less. Source: client-go, 1 s.
constexpr std::chrono::seconds kDefaultRetryAfter{1};

/// What a worker may be late beyond its reconcile deadline before /livez fails: the deadline ends
/// API calls, and a little work may follow it.
constexpr std::chrono::minutes kHeartbeatMargin{1};

constexpr ErrorClass kErrorClasses[] = {
    ErrorClass::kConflict, ErrorClass::kNotFound,  ErrorClass::kTransient, ErrorClass::kThrottled,
    ErrorClass::kInvalid,  ErrorClass::kForbidden, ErrorClass::kTerminal,  ErrorClass::kCanceled};

CounterRef ReconcileTotal(Metrics& metrics,
                          const std::string& controller,
                          std::string_view result) {
  return metrics.Counter("breakwater_reconcile_total", "Reconciles by controller and result",
                         {{"controller", controller}, {"result", std::string(result)}});
}

/// A deadline that passed is reported by the client as a cancelled call; for us it is a slow
/// server.
Error Reclass(Error error, const Context& ctx) {
  if (error.error_class == ErrorClass::kCanceled && !ctx.canceled()) {
    error.error_class = ErrorClass::kTransient;
  }
  return error;
}

LogLevel LevelOf(ErrorClass error_class) {
  switch (error_class) {
    case ErrorClass::kConflict:
      return LogLevel::kInfo;
    case ErrorClass::kNotFound:
    case ErrorClass::kTransient:
    case ErrorClass::kThrottled:
      return LogLevel::kWarn;
    case ErrorClass::kInvalid:
    case ErrorClass::kForbidden:
    case ErrorClass::kTerminal:
      return LogLevel::kError;
    case ErrorClass::kCanceled:
      return LogLevel::kTrace;
  }
  return LogLevel::kError;
}

}  // namespace

struct Controller::Instruments {
  Instruments(Metrics& metrics, const std::string& name)
      : success(ReconcileTotal(metrics, name, "success")),
        requeue(ReconcileTotal(metrics, name, "requeue")),
        seconds(metrics.Histogram(
            "breakwater_reconcile_seconds", "Duration of reconciles", {{"controller", name}})),
        depth(metrics.Gauge(
            "breakwater_queue_depth", "Keys that wait for a worker", {{"controller", name}})),
        oldest(metrics.Gauge("breakwater_queue_oldest_seconds",
                             "How long the oldest key has been waiting for a worker",
                             {{"controller", name}})) {
    for (const ErrorClass error_class : kErrorClasses) {
      errors.emplace(error_class, ReconcileTotal(metrics, name, ToString(error_class)));
    }
  }

  CounterRef success;
  CounterRef requeue;
  HistogramRef seconds;
  GaugeRef depth;
  GaugeRef oldest;
  std::map<ErrorClass, CounterRef> errors{};
};

Controller::Controller(Services services, ControllerOptions options, Reconciler& reconciler)
    : services_(services),
      options_(std::move(options)),
      log_(services.log.Named("controller", {{"controller", options_.name}})),
      reconciler_(reconciler),
      instruments_(std::make_unique<Instruments>(services.metrics, options_.name)),
      queue_(services.clock, options_.queue, QueueHooks(services.metrics, options_.name)) {
  queue_gauges_ = services_.metrics.OnSerialize([this] {
    instruments_->depth.Set(static_cast<double>(queue_.depth()));
    instruments_->oldest.Set(std::chrono::duration<double>(queue_.OldestAge()).count());
  });
}

Controller::~Controller() {
  Stop();
}

WorkQueue::Hooks Controller::QueueHooks(Metrics& metrics, const std::string& name) {
  const MetricLabels labels{{"controller", name}};
  return {.on_add = [adds = metrics.Counter("breakwater_queue_adds_total", "Keys that became ready",
                                            labels)]() mutable { adds.Increment(); },
          .on_retry = [retries = metrics.Counter("breakwater_queue_retries_total",
                                                 "Keys added again after a failure",
                                                 labels)]() mutable { retries.Increment(); },
          .on_get =
              [wait = metrics.Histogram("breakwater_queue_wait_seconds",
                                        "How long a ready key waited for a worker",
                                        labels)](std::chrono::nanoseconds waited) mutable {
                wait.Observe(std::chrono::duration<double>(waited).count());
              }};
}

Controller& Controller::WatchSelf(Store& store, Predicate predicate) {
  self_stores_.push_back(&store);
  return Watch(
      store, [](const ChangeEvent& change) { return std::vector{change.key}; },
      std::move(predicate));
}

Controller& Controller::WatchOwned(Store& owned, Store& owners, Predicate predicate) {
  Needs(owners);
  return Watch(
      owned, [&owners](const ChangeEvent& change) { return ControllerOwners(change, owners); },
      std::move(predicate));
}

Controller& Controller::WatchMapped(Store& store, Mapper mapper, Predicate predicate) {
  return Watch(store, std::move(mapper), std::move(predicate));
}

Controller& Controller::Needs(Store& store) {
  if (std::find(stores_.begin(), stores_.end(), &store) == stores_.end()) {
    stores_.push_back(&store);
  }
  return *this;
}

Controller& Controller::Watch(Store& store, Mapper mapper, Predicate predicate) {
  Needs(store);
  triggers_.push_back(
      {&store, [this, mapper = std::move(mapper),
                predicate = std::move(predicate)](const ChangeEvent& change) {
         try {
           if (predicate && !predicate(change)) {
             return;
           }
           for (const api::ObjectKey& key : mapper(change)) {
             queue_.Add(key);
           }
         } catch (const std::exception& e) {
           // Here and not in the reflector: the other subscribers must still see the change.
           CountPanic(services_.metrics, "controller");
           log_.Error("trigger failed", {{"name", change.key.ToString()}, {"error", e.what()}});
         }
       }});
  return *this;
}

void Controller::Enqueue(const api::ObjectKey& key) {
  queue_.Add(key);
}

void Controller::Start() {
  for (Trigger& trigger : triggers_) {
    trigger.id = trigger.store->Subscribe(trigger.fn);
  }
  for (int i = 0; i < options_.workers; ++i) {
    threads_.emplace_back(options_.name + "-" + std::to_string(i),
                          [this, i](const std::stop_token& stop) { RunWorker(stop, i); });
  }
  if (options_.resync) {
    threads_.emplace_back(options_.name + "-sync",
                          [this](const std::stop_token& stop) { RunResync(stop); });
  }
}

void Controller::CloseQueue() {
  queue_.Close();
}

bool Controller::WaitIdle(const Context& ctx) const {
  return queue_.WaitIdle(ctx);
}

void Controller::Stop() {
  queue_.Close();
  for (Thread& thread : threads_) {
    thread.RequestStop();
  }
  threads_.clear();
  for (const Trigger& trigger : triggers_) {
    if (trigger.id) {
      trigger.store->Unsubscribe(*trigger.id);
    }
  }
  triggers_.clear();
}

bool Controller::WaitStores(const Context& ctx) const {
  return std::all_of(stores_.begin(), stores_.end(),
                     [&ctx](const Store* store) { return store->WaitSynced(ctx); });
}

void Controller::RunWorker(const std::stop_token& stop, int index) {
  const Context ctx(stop, services_.clock);
  const auto heartbeat =
      services_.health.AddHeartbeat("worker " + options_.name + " " + std::to_string(index),
                                    options_.reconcile_deadline + kHeartbeatMargin);
  if (!WaitStores(ctx)) {
    return;
  }
  while (const std::optional<api::ObjectKey> key = queue_.Get(ctx)) {
    heartbeat->Busy();
    Process(ctx, *key);
    heartbeat->Idle();
  }
}

void Controller::RunResync(const std::stop_token& stop) {
  const Context ctx(stop, services_.clock);
  while (ctx.SleepFor(*options_.resync)) {
    for (const Store* store : self_stores_) {
      for (const api::ObjectKey& key : AllKeys(*store)) {
        queue_.Add(key);
      }
    }
  }
}

void Controller::Process(const Context& ctx, const api::ObjectKey& key) {
  const std::string id = std::to_string(reconciles_.fetch_add(1) + 1);
  const SteadyTime started = services_.clock.SteadyNow();
  const Result<Requeue, Error> result = Guarded(ctx.WithTimeout(options_.reconcile_deadline), key);
  const std::chrono::nanoseconds took = services_.clock.SteadyNow() - started;
  instruments_->seconds.Observe(std::chrono::duration<double>(took).count());
  if (!result) {
    Retry(key, Reclass(result.error(), ctx), id);
  } else {
    queue_.Forget(key);
    (result->after ? instruments_->requeue : instruments_->success).Increment();
    if (result->after) {
      queue_.AddAfter(key, *result->after);
    }
    log_.Debug(
        "reconciled",
        {{"namespace", key.ns},
         {"name", key.name},
         {"reconcile_id", id},
         {"duration_ms", std::chrono::duration_cast<std::chrono::milliseconds>(took).count()}});
  }
  queue_.Done(key);
}

Result<Requeue, Error> Controller::Guarded(const Context& ctx, const api::ObjectKey& key) {
  std::string what = "unknown exception";
  try {
    return reconciler_.Reconcile(ctx, key);
  } catch (const std::exception& e) {
    what = e.what();
  } catch (...) {  // NOLINT(bugprone-empty-catch): reported below like any other exception
  }
  CountPanic(services_.metrics, "controller");
  return Unexpected{
      Error{.error_class = ErrorClass::kTransient, .message = "unexpected exception: " + what}};
}

void Controller::Retry(const api::ObjectKey& key,
                       const Error& error,
                       std::string_view reconcile_id) {
  instruments_->errors.at(error.error_class).Increment();
  const int attempt = queue_.Retries(key) + 1;
  std::optional<std::chrono::nanoseconds> delay;
  switch (error.error_class) {
    case ErrorClass::kConflict:
    case ErrorClass::kNotFound:
    case ErrorClass::kTransient:
      delay = queue_.AddRateLimited(key);
      break;
    case ErrorClass::kThrottled:
      delay = std::max<std::chrono::nanoseconds>(error.retry_after.value_or(kDefaultRetryAfter),
                                                 kDefaultRetryAfter);
      queue_.AddAfter(key, *delay);
      break;
    case ErrorClass::kInvalid:
    case ErrorClass::kForbidden:
      delay = std::max(options_.slow_retry, error.retry_after.value_or(options_.slow_retry));
      queue_.AddAfter(key, *delay);
      break;
    case ErrorClass::kTerminal:
      queue_.Forget(key);
      break;
    case ErrorClass::kCanceled:
      return;
  }
  const std::int64_t retry_ms =
      delay ? std::chrono::duration_cast<std::chrono::milliseconds>(*delay).count() : -1;
  log_.Log(LevelOf(error.error_class), "reconcile failed",
           {{"namespace", key.ns},
            {"name", key.name},
            {"reconcile_id", reconcile_id},
            {"attempt", attempt},
            {"error_class", ToString(error.error_class)},
            {"error", error.message},
            {"retry_ms", retry_ms}});
}

}  // namespace breakwater::runtime
