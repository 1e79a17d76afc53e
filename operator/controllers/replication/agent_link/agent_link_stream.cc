// The part of AgentLink that serves one stream: hello, reports, pings, and its limits.

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "operator/controllers/replication/agent_link/agent_link.h"

namespace breakwater::controllers {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only
using replication::AgentHello;
using replication::OperatorHello;

constexpr std::chrono::seconds kHelloTimeout{15};
/// Many times what a busy node has to say; enough for a thousand resources in a second.
constexpr std::size_t kBytesPerSecond = 16U << 20U;
constexpr std::size_t kLinesPerSecond = 20000;
/// In lines: results are logged and looked at by others.
constexpr std::size_t kResultCost = 20;
constexpr std::size_t kLargeLine = 64U << 10U;
/// Of clocks: less is no news, and what moves all the time is looked at now and then.
constexpr std::int64_t kClockMoved = 30;
constexpr std::chrono::minutes kBetweenClocks{5};
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

Result<std::optional<replication::AgentMessage>, Error> AgentLink::Decode(const std::string& line) {
  std::unique_lock<std::mutex> alone(commons_.large_line, std::defer_lock);
  if (line.size() > kLargeLine) {
    alone.lock();
  }
  return replication::DecodeAgentMessage(line);
}

bool AgentLink::TakeLine(Session& session, const std::string& line) {
  auto message = Decode(line);
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
  if (const auto* pong = std::get_if<replication::PongMessage>(&**message)) {
    CompareClocks(session, *pong);
    return true;
  }
  AgentEffects effects;
  bool now_synced = false;
  {
    const std::lock_guard lock(mutex_);
    const bool was_synced = record_.synced();
    effects = record_.Take(std::move(**message));
    now_synced = record_.synced() && !was_synced;
    if (now_synced) {
      problem_.clear();
    }
  }
  Charge();
  session.throttle.lines += kResultCost * effects.results.size();
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
    protocol_ = hello.protocol;
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
                         When::kGreeting, session.turn.interrupt);
  if (!sent) {
    ending.why = sent.error().message;
  }
  return sent.has_value();
}

bool AgentLink::Ping(Session& session) {
  session.next_ping = commons_.clock.SteadyNow() + commons_.options.ping_interval;
  session.pinged = commons_.clock.SystemNow();
  const auto sent =
      Send(replication::PingMessage{++session.pings}, When::kGreeting, session.turn.interrupt);
  if (!sent) {
    session.ending.why = sent.error().message;
  }
  return sent.has_value();
}

// Only that a clock has moved is taken from here. How far it is off is measured in the container
// whose clock counts, that of tlshd: a node that lies costs a look.
void AgentLink::CompareClocks(const Session& session, const replication::PongMessage& pong) {
  if (!pong.time || pong.number != session.pings) {
    return;
  }
  const auto seconds = [](SystemTime time) {
    return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
  };
  const std::int64_t sent = seconds(session.pinged);
  const std::int64_t now = std::max(sent, seconds(commons_.clock.SystemNow()));
  constexpr std::int64_t kYear = 365LL * 86400;
  const std::int64_t there = std::clamp(*pong.time, sent - kYear, now + kYear);
  // It was read between `sent` and `now`: what the way took is no difference.
  const std::int64_t ahead = there - std::clamp(there, sent, now);
  const SteadyTime steady = commons_.clock.SteadyNow();
  const bool told_lately = clock_told_ != SteadyTime{} && steady - clock_told_ < kBetweenClocks;
  if (told_lately || std::abs(ahead - clock_ahead_) < kClockMoved) {
    return;
  }
  clock_ahead_ = ahead;
  clock_told_ = steady;
  log_.Info("the node's clock has moved against ours", {{"seconds_ahead", ahead}});
  if (commons_.events.clock_moved) {
    commons_.events.clock_moved(node_);
  }
}

}  // namespace breakwater::controllers
