#include "operator/runtime/manager.h"

#include <algorithm>

#include "operator/base/thread.h"
#include "operator/runtime/health.h"
#include "operator/runtime/metrics.h"
#include "operator/runtime/store_metrics.h"

namespace breakwater::runtime {
namespace {

Error Canceled() {
  return {.error_class = ErrorClass::kCanceled, .message = "stopped before everything was started"};
}

std::string CheckName(const api::ResourceInfo& resource, const StoreFilter& filter) {
  std::string name = "store " + resource.plural;
  for (const std::string& part :
       {resource.group, filter.ns, filter.label_selector, filter.field_selector}) {
    if (!part.empty()) {
      name += " " + part;
    }
  }
  return name;
}

}  // namespace

Manager::Manager(Services services, kube::KubeClient& client, ManagerOptions options)
    : services_(services),
      client_(client),
      options_(std::move(options)),
      log_(services.log.Named("manager")) {
  if (options_.leader_election) {
    elector_ = std::make_unique<LeaderElector>(
        services_, options_.lease_client != nullptr ? *options_.lease_client : client_,
        *options_.leader_election);
  }
}

Manager::~Manager() {
  for (const auto& [id, store] : stores_) {
    services_.health.RemoveReadyCheck(CheckName(id.first, id.second));
  }
  controllers_.clear();  // they unsubscribe from the stores
  reflectors_.clear();
}

Store& Manager::AddStore(const api::ResourceInfo& resource,
                         const StoreFilter& filter,
                         ValidateFn validate) {
  std::unique_ptr<Store>& store = stores_[{resource, filter}];
  if (store) {
    return *store;
  }
  store = std::make_unique<Store>(
      resource,
      Store::Options{.transform = TrimFor(resource.kind), .validate = std::move(validate)},
      services_.clock);
  if (resource.kind == "Pod") {
    store->IndexLabels();  // the only kind that is looked for by label
  }
  ReflectorOptions options = options_.reflector;
  options.filter = filter;
  reflectors_.push_back(
      std::make_unique<Reflector>(services_, client_, *store, std::move(options)));
  store_metrics_.push_back(ExportStore(services_.metrics, *store, filter));
  services_.health.AddReadyCheck(
      CheckName(resource, filter), [store = store.get()]() -> std::optional<std::string> {
        return store->Synced() ? std::nullopt : std::optional<std::string>("not synced");
      });
  return *store;
}

Controller& Manager::AddController(ControllerOptions options, Reconciler& reconciler) {
  controllers_.push_back(std::make_unique<Controller>(services_, std::move(options), reconciler));
  return *controllers_.back();
}

void Manager::AddRunnable(Runnable runnable) {
  everywhere_.push_back(std::move(runnable));
}

void Manager::AddLeaderRunnable(Runnable runnable) {
  leader_only_.push_back(std::move(runnable));
}

bool Manager::IsLeader() const {
  return leader_;
}

std::int64_t Manager::LeaderTerm() const {
  return elector_ ? elector_->Term() : started_at_.load();
}

Result<void, Error> Manager::Run(std::stop_token stop) {
  started_at_ = std::chrono::duration_cast<std::chrono::seconds>(
                    services_.clock.SystemNow().time_since_epoch())
                    .count();
  LinkedStopSource end(std::move(stop));
  const Context ctx(end.token(), services_.clock);
  end_run_ = [&end] { end.RequestStop(); };
  Result<void, Error> started = StartParts(ctx);
  if (started) {
    while (!ctx.canceled()) {
      ctx.SleepFor(std::chrono::hours(1));
    }
  } else if (ctx.canceled()) {
    started = {};  // a stop during the start is a clean stop
  }
  log_.Info("stopping", {{"leadership_lost", lost_.stop_requested()}});
  const bool clean = StopControllers();
  StopRunnables();
  for (const auto& reflector : reflectors_) {
    reflector->RequestStop();
  }
  for (const auto& reflector : reflectors_) {
    reflector->Stop();
  }
  leader_ = false;
  if (elector_) {
    elector_->Stop(clean && !lost_.stop_requested());
  }
  services_.metrics.Gauge("breakwater_leader", "1 in the replica that is the leader, else 0")
      .Set(0);
  log_.Info("stopped", {{"clean", clean}});
  if (lost_.stop_requested()) {
    return Unexpected{Error{.error_class = ErrorClass::kTerminal, .message = "leadership lost"}};
  }
  return started;
}

Result<void, Error> Manager::StartParts(const Context& ctx) {
  for (const auto& reflector : reflectors_) {
    reflector->Start();
  }
  if (!WaitSynced(ctx)) {
    return Unexpected{Canceled()};
  }
  log_.Info("stores synced", {{"stores", stores_.size()}});
  BREAKWATER_RETURN_IF_ERROR(StartAll(ctx, everywhere_));
  StartControllers(false);
  if (!WaitElected(ctx)) {
    return Unexpected{Canceled()};
  }
  leader_ = true;
  services_.metrics.Gauge("breakwater_leader", "1 in the replica that is the leader, else 0")
      .Set(1);
  BREAKWATER_RETURN_IF_ERROR(StartAll(ctx, leader_only_));
  StartControllers(true);
  return {};
}

Result<void, Error> Manager::StartAll(const Context& ctx, std::vector<Runnable>& runnables) {
  for (const Runnable& runnable : runnables) {
    if (ctx.canceled()) {
      return Unexpected{Canceled()};
    }
    const Result<void, Error> started = runnable.start(ctx);
    if (!started) {
      return Unexpected{started.error().WithContext("start " + runnable.name)};
    }
    started_.push_back(&runnable);
  }
  return {};
}

bool Manager::WaitSynced(const Context& ctx) const {
  for (const auto& [id, store] : stores_) {
    while (!store->WaitSynced(ctx.WithTimeout(options_.sync_log_interval))) {
      if (ctx.canceled()) {
        return false;
      }
      log_.Warn("still waiting for the first list",
                {{"kind", id.first.kind}, {"group", id.first.group}, {"namespace", id.second.ns}});
    }
  }
  return true;
}

bool Manager::WaitElected(const Context& ctx) {
  if (!elector_) {
    return !ctx.canceled();
  }
  elector_->Start([this] {
    lost_.request_stop();
    end_run_();
  });
  // The leader's token needs no link: when it is stopped, the callback above stops everything.
  return elector_->WaitElected(ctx).has_value();
}

void Manager::StartControllers(bool leader_only) {
  for (const auto& controller : controllers_) {
    if (controller->options().leader_only == leader_only) {
      controller->Start();
    }
  }
}

/// Returns whether all reconciles ended by themselves.
bool Manager::StopControllers() {
  for (const auto& controller : controllers_) {
    controller->CloseQueue();
  }
  // No grace when another replica may already work.
  // Named: for a temporary, g++ 12 with -O2 sees an uninitialised deadline where there is none.
  const Context unless_lost(lost_.get_token(), services_.clock);
  const Context grace = unless_lost.WithTimeout(options_.grace);
  bool clean = true;
  for (const auto& controller : controllers_) {
    clean = controller->WaitIdle(grace) && clean;
  }
  for (const auto& controller : controllers_) {
    controller->Stop();
  }
  return clean;
}

void Manager::StopRunnables() {
  while (!started_.empty()) {
    const Runnable* runnable = started_.back();
    started_.pop_back();
    if (runnable->stop) {
      runnable->stop();
    }
  }
}

}  // namespace breakwater::runtime
