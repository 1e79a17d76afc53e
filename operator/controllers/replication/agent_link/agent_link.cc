#include "operator/controllers/replication/agent_link/agent_link.h"

#include <algorithm>
#include <utility>

namespace breakwater::controllers {
namespace {

using replication::AgentView;

constexpr std::chrono::seconds kOpenTimeout{10};
constexpr std::chrono::seconds kWriteTimeout{5};
/// A stream that lived so long broke for a reason that is not its agent.
constexpr std::chrono::seconds kHealthy{60};
/// A node without a satellite pod: a roll-out has its new one long before.
constexpr std::chrono::minutes kRememberFor{10};
/// "For ever", for a wait that ends by its token.
constexpr std::chrono::hours kLong{24};
/// Longer than a line: the servers send what they read from a pipe, and a hostile one is cut here.
constexpr std::size_t kMaxMessage = 1U << 20U;

}  // namespace

AgentLink::AgentLink(LinkCommons& commons, std::string node)
    : commons_(commons),
      node_(std::move(node)),
      log_(commons.log.With({{"node", node_}})),
      record_(node_, commons.options.max_node_bytes),
      backoff_(commons.clock,
               RealRandom(),
               {.first = commons.options.first_retry,
                .max = commons.options.max_retry,
                .jitter = 0.2,
                .reset_after = std::chrono::hours(24)}),
      thread_("agent-link", [this](const std::stop_token&) { Run(); }) {}

AgentLink::~AgentLink() {
  Join();
}

void AgentLink::Join() {
  RequestStop();
  thread_.Join();
}

void AgentLink::RequestStop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  Interrupt();
}

void AgentLink::Interrupt() {
  std::stop_source old;
  {
    const std::lock_guard lock(mutex_);
    old = std::exchange(interrupt_, std::stop_source());
  }
  old.request_stop();
}

void AgentLink::Retarget(const std::optional<AgentTarget>& target, std::int64_t epoch) {
  bool interrupt = false;
  {
    const std::lock_guard lock(mutex_);
    if (target_ == target && epoch_ == epoch) {
      return;
    }
    const bool same_pod = target_ && target && target_->pod_uid == target->pod_uid &&
                          target_->pod == target->pod && target_->ns == target->ns &&
                          target_->container == target->container;
    if (target_ && !target) {
      untargeted_since_ = commons_.clock.SteadyNow();
    }
    if (!same_pod) {
      too_old_ = false;
      problem_ = target ? "it is being connected to" : "";
    }
    // A count of restarts that changes while the stream lives is news of its past.
    interrupt = !same_pod || epoch_ != epoch || waiting_;
    urgent_ = target && (urgent_ || !same_pod || epoch_ != epoch ||
                         (waiting_ && target->restarts != target_->restarts));
    target_ = target;
    epoch_ = epoch;
  }
  if (interrupt) {
    Interrupt();
  }
}

void AgentLink::Drop(const std::string& why) {
  {
    const std::lock_guard lock(mutex_);
    dropped_ = why;
  }
  Interrupt();
}

void AgentLink::Run() {
  while (const std::optional<Turn> turn = AwaitTurn()) {
    const Ending ending = Attempt(*turn);
    Finish(ending);
  }
}

std::optional<AgentLink::Turn> AgentLink::AwaitTurn() {
  while (true) {
    const SteadyTime now = commons_.clock.SteadyNow();
    SteadyTime wake = now + kLong;
    std::stop_token interrupt;
    AgentEffects effects;
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) {
        return std::nullopt;
      }
      if (target_ && target_->restarts < 0) {
        problem_ = "its container does not run";
      } else if (target_) {
        Turn turn{*target_, epoch_, interrupt_.get_token(), !urgent_ && !healthy_};
        const bool due = urgent_ || now >= not_before_;
        std::optional<SteadyTime> later;
        if (due && turn.retry) {
          later = commons_.pacer.TryTake(now, node_);
        } else if (due) {
          commons_.pacer.Take(now);
        }
        if (due && !later) {
          urgent_ = false;
          healthy_ = false;
          waiting_ = false;
          dropped_.clear();
          return turn;
        }
        wake = later.value_or(not_before_);
      } else if (!record_.Busy().empty()) {
        wake = untargeted_since_ + kRememberFor;
        if (now >= wake) {
          effects = record_.GiveUp("the node has no agent any more");
          wake = now;
        }
      }
      waiting_ = true;
      interrupt = interrupt_.get_token();
    }
    Emit(effects);
    (void)commons_.clock.SleepUntil(interrupt, wake);
  }
}

AgentLink::Ending AgentLink::Attempt(const Turn& turn) {
  const Context ctx(turn.interrupt, commons_.clock);
  if (!turn.retry) {
    backoff_.Reset();
  }
  if (!commons_.pacer.Acquire(turn.interrupt, turn.retry)) {
    return {};
  }
  const kube::ExecRequest request{.ns = turn.target.ns,
                                  .pod = turn.target.pod,
                                  .container = turn.target.container,
                                  .argv = {"/breakwater/bin/breakwater-agent", "connect"},
                                  .max_output_bytes = kMaxMessage};
  auto opened = commons_.exec.Open(ctx.WithTimeout(kOpenTimeout), request);
  commons_.pacer.Release(turn.retry);
  if (!opened) {
    return {.why = ctx.canceled() ? "" : opened.error().message()};
  }
  commons_.pacer.Succeeded(commons_.clock.SteadyNow());
  const std::shared_ptr<kube::ExecStream> stream = std::move(*opened);
  {
    const std::lock_guard lock(mutex_);
    stream_ = stream;
    record_.Begin();
  }
  Session session{.turn = turn, .stream = *stream};
  Serve(session);
  stream->Close();  // a write that hangs ends
  AgentEffects effects;
  {
    // What is asked for over this stream is on its way, or not, before the next one begins.
    const std::lock_guard no_writes(write_mutex_);
    const std::lock_guard lock(mutex_);
    stream_.reset();
    effects = record_.End();
  }
  Charge();
  Emit(effects);
  if (ctx.canceled()) {
    session.ending.why.clear();
  }
  return session.ending;
}

/// A request counts as asked before its first byte leaves, and a write of it that failed is no
/// error: the agent may have it.
Result<void, Error> AgentLink::Send(const replication::OperatorMessage& message,
                                    When when,
                                    const std::stop_token& stop) {
  const auto* request = std::get_if<replication::TransactionRequest>(&message);
  const std::lock_guard write(write_mutex_);
  std::shared_ptr<kube::ExecStream> stream;
  {
    const std::lock_guard lock(mutex_);
    if (stream_ == nullptr || (when == When::kSynced && !record_.synced())) {
      return Unexpected{Error{ErrorClass::kTransient,
                              "node " + node_ + " has no stream to its agent: " + problem_}};
    }
    stream = stream_;
    if (request != nullptr) {
      record_.Asked(*request);
    }
  }
  const auto written = stream->Write(Context(stop, commons_.clock).WithTimeout(kWriteTimeout),
                                     replication::Encode(message));
  if (!written) {
    stream->Close();
    if (request == nullptr) {
      return Unexpected{
          Error{ErrorClass::kTransient, "cannot write to the agent: " + written.error().message()}};
    }
  }
  return {};
}

Result<void, Error> AgentLink::Ask(const replication::TransactionRequest& request) {
  BREAKWATER_RETURN_IF_ERROR(Send(request, When::kSynced, {}));
  log_.Info("transaction asked for", {{"id", request.id},
                                      {"kind", replication::ToString(request.kind)},
                                      {"resource", request.resource},
                                      {"peer", request.peers.empty() ? "" : request.peers.front()},
                                      {"tls", request.tls}});
  return {};
}

Result<void, Error> AgentLink::Cancel(const std::string& id) {
  BREAKWATER_RETURN_IF_ERROR(Send(replication::CancelMessage{id}, When::kSynced, {}));
  log_.Info("transaction cancelled", {{"id", id}});
  return {};
}

/// Decides when the next attempt may be, and what people are told.
void AgentLink::Finish(const Ending& ending) {
  const SteadyTime now = commons_.clock.SteadyNow();
  std::string why = ending.why;
  bool hopeless = ending.hopeless;
  bool healthy = false;
  {
    const std::lock_guard lock(mutex_);
    if (!dropped_.empty()) {
      why = std::exchange(dropped_, "");
      hopeless = true;
    }
    healthy = !hopeless && ending.synced_at && now - *ending.synced_at >= kHealthy;
    healthy_ = healthy;
  }
  if (why.empty()) {
    return;  // interrupted: what comes next is known
  }
  SteadyTime next{};
  if (hopeless) {
    next = now + commons_.options.max_retry;
  } else {
    if (healthy) {
      backoff_.Reset();
    }
    next = now + backoff_.Next();
  }
  {
    const std::lock_guard lock(mutex_);
    not_before_ = next;
  }
  SetProblem(why);
}

void AgentLink::SetProblem(const std::string& problem) {
  {
    const std::lock_guard lock(mutex_);
    if (problem_ == problem || !target_) {
      return;
    }
    problem_ = problem;
  }
  log_.Warn("no stream to the agent", {{"error", problem}});
  if (commons_.events.node_changed) {
    commons_.events.node_changed(node_);
  }
}

/// Tells the budget what is kept now; the largest node goes when it is exceeded.
void AgentLink::Charge() {
  std::size_t bytes = 0;
  {
    const std::lock_guard lock(mutex_);
    bytes = record_.bytes();
  }
  if (const auto victim = commons_.budget.Set(node_, bytes)) {
    commons_.drop(*victim, "it reports most, and all nodes together report too much");
  }
}

void AgentLink::Emit(const AgentEffects& effects) {
  const AgentEvents& events = commons_.events;
  for (const replication::ResultMessage& result : effects.results) {
    log_.Info("transaction ended", {{"id", result.id},
                                    {"kind", replication::ToString(result.kind)},
                                    {"resource", result.resource},
                                    {"outcome", replication::ToString(result.result.outcome)},
                                    {"code", result.result.code},
                                    {"reason", result.result.reason}});
    if (events.result) {
      events.result(node_, result);
    }
  }
  if (effects.node && events.node_changed) {
    events.node_changed(node_);
  }
  if (events.resource_changed) {
    for (const std::string& resource : effects.resources) {
      events.resource_changed(resource);
    }
  }
}

bool AgentLink::Idle() const {
  const std::lock_guard lock(mutex_);
  return !target_ && waiting_ && record_.Busy().empty();
}

std::optional<AgentView> AgentLink::View() const {
  const std::lock_guard lock(mutex_);
  if (!target_) {
    return std::nullopt;
  }
  return AgentView{.connected = record_.synced(),
                   .too_old = too_old_,
                   .protocol = protocol_,
                   .version = version_};
}

std::string AgentLink::Problem() const {
  const std::lock_guard lock(mutex_);
  return !target_ || record_.synced() ? "" : problem_;
}

bool AgentLink::Has(const std::string& resource) const {
  const std::lock_guard lock(mutex_);
  return record_.synced() && record_.Has(resource);
}

std::optional<replication::NodeSlice> AgentLink::Slice(const std::string& resource) const {
  const std::lock_guard lock(mutex_);
  return record_.Slice(resource);
}

std::optional<replication::NodeReport> AgentLink::Report() const {
  const std::lock_guard lock(mutex_);
  return record_.Report();
}

std::vector<replication::RunningTransaction> AgentLink::Running(const std::string& resource) const {
  const std::lock_guard lock(mutex_);
  return record_.Running(resource);
}

std::set<std::string> AgentLink::Busy() const {
  const std::lock_guard lock(mutex_);
  return record_.Busy();
}

}  // namespace breakwater::controllers
