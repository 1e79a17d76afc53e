#include "operator/controllers/replication/agent_link/agent_link.h"

#include <algorithm>
#include <utility>

namespace breakwater::controllers {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only
using replication::AgentHello;
using replication::AgentView;
using replication::OperatorHello;

constexpr std::chrono::seconds kOpenTimeout{10};
constexpr std::chrono::seconds kHelloTimeout{15};
constexpr std::chrono::seconds kWriteTimeout{5};
/// A stream that lived so long broke for a reason that is not its agent.
constexpr std::chrono::seconds kHealthy{60};
/// A node without a satellite pod: a roll-out has its new one long before.
constexpr std::chrono::minutes kRememberFor{10};
/// "For ever", for a wait that ends by its token.
constexpr std::chrono::hours kLong{24};
/// Many times what a busy node has to say; enough for a thousand resources in a second.
constexpr std::size_t kBytesPerSecond = 16U << 20U;
constexpr std::size_t kLinesPerSecond = 20000;
constexpr std::size_t kLargeLine = 64U << 10U;
/// Longer than a line: the servers send what they read from a pipe, and a hostile one is cut here.
constexpr std::size_t kMaxMessage = 1U << 20U;
/// Of the last words of `connect`.
constexpr std::size_t kMaxWords = 300;

std::string Trimmed(const std::string& text) {
  const std::size_t end = text.find_last_not_of(" \n\r\t");
  const std::string all = end == std::string::npos ? "" : text.substr(0, end + 1);
  return all.size() <= kMaxWords ? all : all.substr(all.size() - kMaxWords);
}

/// What is wrong with the protocol of an agent, "" when nothing is.
std::string ProtocolProblem(const AgentHello& hello, bool& too_old) {
  too_old = false;
  if (replication::AgreeOnProtocol(replication::kProtocolVersion, replication::kOldestProtocol,
                                   hello.protocol, hello.oldest)) {
    return "";
  }
  const std::string speaks =
      "the agent " + hello.version + " speaks protocol " + std::to_string(hello.protocol);
  if (hello.protocol < replication::kOldestProtocol) {
    too_old = true;
    return speaks + ", this operator needs " + std::to_string(replication::kOldestProtocol) +
           " or newer: update the image component breakwater-agent (the satellite pod restarts "
           "then)";
  }
  return speaks + " and nothing older than " + std::to_string(hello.oldest) +
         ", this operator knows " + std::to_string(replication::kProtocolVersion) +
         ": update the operator";
}

}  // namespace

AgentLink::AgentLink(LinkCommons& commons, std::string node)
    : commons_(commons),
      node_(std::move(node)),
      log_(commons.log.With({{"node", node_}})),
      state_(node_, commons.options.max_node_bytes),
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
        const Turn turn{*target_, epoch_, interrupt_.get_token(), !urgent_ && !healthy_};
        const bool due = urgent_ || now >= not_before_;
        std::optional<SteadyTime> later;
        if (due && turn.retry) {
          later = commons_.pacer.TryTake(now);
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
      } else if (!state_.Busy().empty()) {
        wake = untargeted_since_ + kRememberFor;
        if (now >= wake) {
          effects = state_.GiveUp("the node has no agent any more");
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
    return {.why = opened.error().message()};
  }
  commons_.pacer.Succeeded(commons_.clock.SteadyNow());
  const std::shared_ptr<kube::ExecStream> stream = std::move(*opened);
  {
    const std::lock_guard lock(mutex_);
    stream_ = stream;
    state_.Begin();
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
    effects = state_.End();
  }
  Charge();
  Emit(effects);
  return session.ending;
}

void AgentLink::Serve(Session& session) {
  const SteadyTime now = commons_.clock.SteadyNow();
  session.last_line = now;
  session.next_ping = now + commons_.options.ping_interval;
  while (ReadOnce(session)) {
  }
}

/// One wait for bytes; false when the stream is to be closed, `session.ending` says why.
bool AgentLink::ReadOnce(Session& session) {
  const SteadyTime now = commons_.clock.SteadyNow();
  const auto patience = session.greeted ? commons_.options.silence_limit
                                        : std::min<std::chrono::milliseconds>(
                                              kHelloTimeout, commons_.options.silence_limit);
  const SteadyTime dead = session.last_line + patience;
  if (now >= dead) {
    session.ending.why = session.greeted ? "the agent is silent" : "the agent does not say hello";
    return false;
  }
  if (session.greeted && now >= session.next_ping && !Ping(session)) {
    return false;
  }
  const Context ctx(session.turn.interrupt, commons_.clock);
  const auto bytes = session.stream.Read(
      ctx.WithDeadline(session.greeted ? std::min(dead, session.next_ping) : dead));
  if (!bytes) {
    if (ctx.canceled()) {
      return false;
    }
    const net::TransportError* transport = bytes.error().transport();
    if (transport != nullptr && transport->kind == net::TransportError::Kind::kTimeout) {
      return true;
    }
    session.ending.why = "the stream broke: " + bytes.error().message();
    return false;
  }
  if (!bytes->has_value()) {
    const auto ended = session.stream.Ended();
    session.ending.why = ended ? "breakwater-agent connect ended with exit code " +
                                     std::to_string(ended->exit_code) +
                                     (ended->err.empty() ? "" : ": " + Trimmed(ended->err))
                               : "breakwater-agent connect ended: " + ended.error().message();
    return false;
  }
  return TakeLines(session, **bytes);
}

bool AgentLink::TakeLines(Session& session, const std::string& bytes) {
  const auto lines = session.lines.Feed(bytes);
  if (!lines) {
    session.ending = {.why = "what the agent sends is refused: " + lines.error().message,
                      .hopeless = true,
                      .synced_at = session.ending.synced_at};
    return false;
  }
  for (const std::string& line : *lines) {
    if (session.turn.interrupt.stop_requested() || !TakeLine(session, line)) {
      return false;
    }
  }
  if (!lines->empty()) {
    session.last_line = commons_.clock.SteadyNow();
  }
  return KeepPace(session, bytes.size(), lines->size());
}

/// Waits when the agent talks faster than any agent has to; meanwhile nothing is read from it.
bool AgentLink::KeepPace(Session& session, std::size_t bytes, std::size_t lines) {
  Throttle& throttle = session.throttle;
  const SteadyTime now = commons_.clock.SteadyNow();
  if (now - throttle.second >= 1s) {
    throttle = {.second = now};
  }
  throttle.bytes += bytes;
  throttle.lines += lines;
  if (throttle.bytes <= kBytesPerSecond && throttle.lines <= kLinesPerSecond) {
    return true;
  }
  return commons_.clock.SleepUntil(session.turn.interrupt, throttle.second + 1s);
}

bool AgentLink::TakeLine(Session& session, const std::string& line) {
  std::unique_lock<std::mutex> alone(commons_.large_line, std::defer_lock);
  if (line.size() > kLargeLine) {
    alone.lock();
  }
  auto message = replication::DecodeAgentMessage(line);
  const auto refuse = [&session](const std::string& why) {
    session.ending.why = "what the agent sends is refused: " + why;
    session.ending.hopeless = true;
    return false;
  };
  if (!message) {
    return refuse(message.error().message);
  }
  if (!message->has_value()) {
    return true;
  }
  const auto* hello = std::get_if<AgentHello>(&**message);
  if (!session.greeted) {
    return hello != nullptr ? Greet(session, *hello) : refuse("it does not begin with a hello");
  }
  AgentEffects effects;
  bool now_synced = false;
  {
    const std::lock_guard lock(mutex_);
    const bool was_synced = state_.synced();
    effects = state_.Take(std::move(**message));
    now_synced = state_.synced() && !was_synced;
    if (now_synced) {
      problem_.clear();
    }
  }
  alone = {};
  Charge();
  if (now_synced) {
    session.ending.synced_at = commons_.clock.SteadyNow();
    log_.Info("agent reports", {});
  }
  Emit(effects);
  return effects.problem.empty() || refuse(effects.problem);
}

bool AgentLink::Greet(Session& session, const AgentHello& hello) {
  Ending& ending = session.ending;
  // A report speaks only for its own node (REVIEW-2 M4).
  if (hello.node != node_) {
    ending.why = "the agent in pod " + session.turn.target.pod + " says that it is on node \"" +
                 hello.node + "\"";
    ending.hopeless = true;
    log_.Error("agent of another node", {{"pod", session.turn.target.pod}, {"says", hello.node}});
    return false;
  }
  bool too_old = false;
  ending.why = ProtocolProblem(hello, too_old);
  {
    const std::lock_guard lock(mutex_);
    version_ = hello.version;
    too_old_ = too_old;
    if (ending.why.empty()) {
      problem_ = "the agent has not reported everything yet";
    }
  }
  if (!ending.why.empty()) {
    ending.hopeless = true;
    return false;
  }
  session.greeted = true;
  log_.Info(
      "agent connected",
      {{"version", hello.version}, {"protocol", hello.protocol}, {"pod", session.turn.target.pod}});
  if (hello.epoch > session.turn.epoch) {
    log_.Warn("the agent has seen a newer leader", {{"epoch", hello.epoch}});
  }
  const auto sent = Send(OperatorHello{.protocol = replication::kProtocolVersion,
                                       .oldest = replication::kOldestProtocol,
                                       .version = commons_.options.version,
                                       .epoch = session.turn.epoch},
                         When::kGreeting);
  if (!sent) {
    ending.why = sent.error().message;
  }
  return sent.has_value();
}

bool AgentLink::Ping(Session& session) {
  session.next_ping = commons_.clock.SteadyNow() + commons_.options.ping_interval;
  const auto sent = Send(replication::PingMessage{++session.pings}, When::kGreeting);
  if (!sent) {
    session.ending.why = sent.error().message;
  }
  return sent.has_value();
}

/// A request counts as asked before its first byte leaves, and a write of it that failed is no
/// error: the agent may have it.
Result<void, Error> AgentLink::Send(const replication::OperatorMessage& message, When when) {
  const auto* request = std::get_if<replication::TransactionRequest>(&message);
  const std::lock_guard write(write_mutex_);
  std::shared_ptr<kube::ExecStream> stream;
  {
    const std::lock_guard lock(mutex_);
    if (stream_ == nullptr || (when == When::kSynced && !state_.synced())) {
      return Unexpected{Error{ErrorClass::kTransient,
                              "node " + node_ + " has no stream to its agent: " + problem_}};
    }
    stream = stream_;
    if (request != nullptr) {
      state_.Asked(*request);
    }
  }
  const auto written =
      stream->Write(Context(std::stop_token(), commons_.clock).WithTimeout(kWriteTimeout),
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
  BREAKWATER_RETURN_IF_ERROR(Send(request, When::kSynced));
  log_.Info("transaction asked for", {{"id", request.id},
                                      {"kind", replication::ToString(request.kind)},
                                      {"resource", request.resource},
                                      {"peer", request.peers.empty() ? "" : request.peers.front()},
                                      {"tls", request.tls}});
  return {};
}

Result<void, Error> AgentLink::Cancel(const std::string& id) {
  BREAKWATER_RETURN_IF_ERROR(Send(replication::CancelMessage{id}, When::kSynced));
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
    bytes = state_.bytes();
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
  return !target_ && waiting_ && state_.Busy().empty();
}

std::optional<AgentView> AgentLink::View() const {
  const std::lock_guard lock(mutex_);
  if (!target_) {
    return std::nullopt;
  }
  return AgentView{.connected = state_.synced(), .too_old = too_old_, .version = version_};
}

std::string AgentLink::Problem() const {
  const std::lock_guard lock(mutex_);
  return !target_ || state_.synced() ? "" : problem_;
}

bool AgentLink::Has(const std::string& resource) const {
  const std::lock_guard lock(mutex_);
  return state_.synced() && state_.Has(resource);
}

std::optional<replication::NodeSlice> AgentLink::Slice(const std::string& resource) const {
  const std::lock_guard lock(mutex_);
  return state_.Slice(resource);
}

std::optional<replication::NodeReport> AgentLink::Report() const {
  const std::lock_guard lock(mutex_);
  return state_.Report();
}

std::vector<replication::RunningTransaction> AgentLink::Running(const std::string& resource) const {
  const std::lock_guard lock(mutex_);
  return state_.Running(resource);
}

std::set<std::string> AgentLink::Busy() const {
  const std::lock_guard lock(mutex_);
  return state_.Busy();
}

}  // namespace breakwater::controllers
