#include "operator/runtime/reflector.h"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <utility>
#include <vector>

#include "operator/kube/watch_event.h"
#include "operator/runtime/metrics.h"

namespace breakwater::runtime {
namespace {

/// A stream that ended in order after less than this and without an event is a failure in disguise
/// (a proxy that accepts and closes): resuming at once would be a busy loop.
constexpr std::chrono::seconds kShortStream{1};

/// How much shorter than asked for a watch may be, see ReflectorOptions::watch_timeout.
constexpr double kWatchJitter = 0.2;

/// Pages get smaller after a timeout: through a slow network a large one, which the server sends in
/// one piece, would never arrive in time. At least so many objects.
constexpr int kSmallestPage = 16;

CounterRef Restarts(Metrics& metrics, const std::string& kind, std::string_view why) {
  return metrics.Counter("breakwater_watch_restarts_total", "Watches that ended, by kind and cause",
                         {{"kind", kind}, {"why", std::string(why)}});
}

ReflectorOptions WithRandom(ReflectorOptions options) {
  if (!options.random) {
    options.random = RealRandom();
  }
  return options;
}

}  // namespace

Reflector::Reflector(Services services,
                     kube::KubeReader& client,
                     Store& store,
                     ReflectorOptions options)
    : services_(services),
      client_(client),
      store_(store),
      options_(WithRandom(std::move(options))),
      log_(services.log.Named("reflector", {{"kind", store.resource().kind}})),
      backoff_(services.clock, options_.random, options_.backoff),
      page_size_(options_.page_size) {
  for (const std::string_view why : kRestartReasons) {
    Restarts(services_.metrics, store_.resource().kind, why);
  }
}

Reflector::~Reflector() {
  Stop();
}

void Reflector::Start() {
  // Every step ends by a timeout of its own; twice the longest is a thread that hangs.
  const auto limit =
      2 * std::max(options_.watch_timeout + options_.idle_margin, options_.list_timeout);
  heartbeat_ = services_.health.AddHeartbeat("reflector " + store_.resource().plural, limit);
  thread_ = Thread("watch-" + store_.resource().plural,
                   [this](const std::stop_token& stop) { Run(stop); });
}

void Reflector::RequestStop() {
  thread_.RequestStop();
}

void Reflector::Stop() {
  thread_.RequestStop();
  thread_.Join();
}

void Reflector::Run(const std::stop_token& stop) {
  const Context ctx(stop, services_.clock);
  while (!ctx.canceled()) {
    heartbeat_->Busy();
    try {
      ReflectorInput input = Step(ctx);
      if (ctx.canceled()) {
        break;
      }
      const bool pause = ShouldPause(input);
      Report(input);
      state_ = Next(state_, input);
      Absorb(input);
      if (!std::holds_alternative<Watching>(state_)) {
        stream_.reset();
      }
      if (pause) {
        heartbeat_->Idle();
        ctx.SleepFor(backoff_.Next());
      }
    } catch (const std::exception& e) {
      // From a subscriber or out of memory. What the store missed comes back with the list.
      CountPanic(services_.metrics, "reflector");
      log_.Error("reflector failed, listing again", {{"error", e.what()}});
      state_ = Empty{};
      stream_.reset();
      ctx.SleepFor(backoff_.Next());
    }
  }
  heartbeat_->Idle();
  stream_.reset();
}

ReflectorInput Reflector::Step(const Context& ctx) {
  if (const Resuming* at = std::get_if<Resuming>(&state_)) {
    return OpenWatch(ctx, at->version);
  }
  return std::holds_alternative<Watching>(state_) ? ReadEvent() : ListAll(ctx);
}

ReflectorInput Reflector::ListAll(const Context& ctx) {
  kube::ListOptions options{.ns = options_.filter.ns,
                            .label_selector = options_.filter.label_selector,
                            .field_selector = options_.filter.field_selector,
                            .limit = page_size_};
  // No resourceVersion: the newest state. "0" would be cheaper for the server, but may be older
  // than what this process saw before, and a store that goes back in time can delete what it just
  // created.
  std::vector<api::Json> items;
  while (true) {
    heartbeat_->Busy();
    kube::KubeResult<kube::ListPage> page =
        client_.List(ctx.WithTimeout(options_.list_timeout), store_.resource(), options);
    if (!page) {
      const net::TransportError* error = page.error().transport();
      if (error != nullptr && error->kind == net::TransportError::Kind::kTooLarge &&
          options.limit > 1) {
        options.limit = std::max(1, options.limit / 4);
        continue;
      }
      if (error != nullptr && error->kind == net::TransportError::Kind::kTimeout) {
        page_size_ = std::max(kSmallestPage, options.limit / 2);
      }
      return FromError(page.error(), "list");
    }
    for (api::Json& item : page->items) {
      store_.Trim(item);  // untrimmed, a list of Nodes would not fit into a small container
      items.push_back(std::move(item));
    }
    if (page->continue_token.empty()) {
      const std::size_t count = items.size();
      store_.Replace(std::move(items), page->resource_version);
      listed_ = services_.clock.SteadyNow();
      page_size_ = options_.page_size;
      log_.Debug("listed", {{"count", count}, {"resource_version", page->resource_version}});
      return Listed{page->resource_version};
    }
    options.continue_token = page->continue_token;
  }
}

ReflectorInput Reflector::OpenWatch(const Context& ctx, const std::string& version) {
  const double part = 1.0 - kWatchJitter * options_.random();
  const std::chrono::seconds timeout{std::max<std::int64_t>(
      1, static_cast<std::int64_t>(static_cast<double>(options_.watch_timeout.count()) * part))};
  stream_opened_ = services_.clock.SteadyNow();
  stream_had_event_ = false;
  // One deadline for the whole stream: the server promised to end it, so that a stream that is
  // still open then hangs on a dead connection.
  stream_ctx_ = ctx.WithTimeout(timeout + options_.idle_margin);
  kube::KubeResult<std::unique_ptr<kube::WatchStream>> stream =
      client_.Watch(*stream_ctx_, store_.resource(),
                    {.ns = options_.filter.ns,
                     .label_selector = options_.filter.label_selector,
                     .field_selector = options_.filter.field_selector,
                     .resource_version = version,
                     .timeout = timeout});
  if (!stream) {
    return FromError(stream.error(), "watch");
  }
  stream_ = std::move(*stream);
  return Opened{};
}

ReflectorInput Reflector::ReadEvent() {
  kube::KubeResult<std::optional<kube::WatchEvent>> event = stream_->Next(*stream_ctx_);
  if (!event) {
    return FromError(event.error(), "watch");
  }
  if (!*event) {
    return StreamEnded{};
  }
  stream_had_event_ = true;
  return FromEvent(**std::move(event));
}

/// Puts what the input says into the store; empties the input.
void Reflector::Absorb(ReflectorInput& input) {
  if (Changed* changed = std::get_if<Changed>(&input)) {
    store_.Upsert(std::move(changed->object));
  } else if (Removed* removed = std::get_if<Removed>(&input)) {
    store_.Remove(std::move(removed->object));
  } else if (const Bookmark* bookmark = std::get_if<Bookmark>(&input)) {
    if (!bookmark->version.empty()) {
      store_.SetResourceVersion(bookmark->version);
    }
  }
}

bool Reflector::ShouldPause(const ReflectorInput& input) const {
  if (std::holds_alternative<StreamEnded>(input)) {
    return !stream_had_event_ && services_.clock.SteadyNow() - stream_opened_ < kShortStream;
  }
  if (std::holds_alternative<Gone>(input)) {
    return !listed_ || services_.clock.SteadyNow() - *listed_ < options_.fresh_list;
  }
  return std::holds_alternative<Failed>(input);
}

void Reflector::Report(const ReflectorInput& input) {
  const std::string_view why = RestartReason(input);
  if (why.empty()) {
    return;
  }
  Restarts(services_.metrics, store_.resource().kind, why).Increment();
  if (const Gone* gone = std::get_if<Gone>(&input)) {
    log_.Info("version too old, listing again", {{"error", gone->message}});
    return;
  }
  const Failed* failed = std::get_if<Failed>(&input);
  if (failed == nullptr) {
    log_.Debug("watch ended, resuming");
    return;
  }
  if (failed->why != Failed::Why::kForbidden) {
    log_.Warn("list or watch failed, retrying",
              {{"verb", failed->verb}, {"why", why}, {"error", failed->message}});
    return;
  }
  const SteadyTime now = services_.clock.SteadyNow();
  if (!forbidden_logged_ || now - *forbidden_logged_ >= options_.forbidden_log_interval) {
    forbidden_logged_ = now;
    log_.Error("a right is missing: grant this verb to the operator's service account",
               {{"verb", failed->verb},
                {"group", store_.resource().group},
                {"resource", store_.resource().plural},
                {"namespace", options_.filter.ns},
                {"error", failed->message}});
  }
}

}  // namespace breakwater::runtime
