#include "operator/runtime/reflector_state.h"

#include <utility>

#include "operator/api/object.h"

namespace breakwater::runtime {
namespace {

template <typename... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};

// clang 14 does not deduce aggregates by itself (P1816); may go with clang 17.
template <typename... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

/// An event without a readable version must not lose the version that we have.
Watching Moved(const Watching& from, const std::string& version) {
  return {.version = version.empty() ? from.version : version, .stuck = 0};
}

bool CountsAsStuck(const Failed& failed) {
  return failed.why == Failed::Why::kUnreadable || failed.why == Failed::Why::kRejected;
}

ReflectorState AfterFailure(const std::string& version, int stuck, const Failed& failed) {
  const int now = stuck + (CountsAsStuck(failed) ? 1 : 0);
  if (now >= kMaxStuck) {
    return Empty{};
  }
  return Resuming{.version = version, .stuck = now};
}

Failed::Why WhyOfStatus(int code) {
  if (code == 401) {
    return Failed::Why::kError;
  }
  if (code == 403) {
    return Failed::Why::kForbidden;
  }
  // 504 is how the API server says that a resourceVersion is in the future.
  const bool rejected = (code >= 400 && code < 500 && code != 429) || code == 504;
  return rejected ? Failed::Why::kRejected : Failed::Why::kError;
}

}  // namespace

ReflectorState Next(const ReflectorState& state, const ReflectorInput& input) {
  return std::visit(
      Overloaded{[](const auto&, const Gone&) -> ReflectorState { return Empty{}; },
                 [](const auto&, const Listed& listed) -> ReflectorState {
                   return Resuming{.version = listed.version};
                 },
                 [](const Resuming& at, const Opened&) -> ReflectorState {
                   return Watching{.version = at.version, .stuck = at.stuck};
                 },
                 [](const Watching& at, const Changed& c) -> ReflectorState {
                   return Moved(at, c.version);
                 },
                 [](const Watching& at, const Removed& r) -> ReflectorState {
                   return Moved(at, r.version);
                 },
                 [](const Watching& at, const Bookmark& b) -> ReflectorState {
                   return Moved(at, b.version);
                 },
                 [](const Watching& at, const StreamEnded&) -> ReflectorState {
                   return Resuming{.version = at.version, .stuck = at.stuck};
                 },
                 [](const Watching& at, const Failed& failed) -> ReflectorState {
                   return AfterFailure(at.version, at.stuck, failed);
                 },
                 [](const Resuming& at, const Failed& failed) -> ReflectorState {
                   return AfterFailure(at.version, at.stuck, failed);
                 },
                 [](const auto& same, const auto&) -> ReflectorState { return same; }},
      state, input);
}

ReflectorInput FromError(const kube::KubeError& error, std::string_view verb) {
  if (error.IsGone()) {
    return Gone{.verb = std::string(verb), .message = error.message()};
  }
  Failed failed{.verb = std::string(verb), .message = error.message()};
  if (error.transport() != nullptr) {
    const bool timeout = error.transport()->kind == net::TransportError::Kind::kTimeout;
    failed.why = timeout ? Failed::Why::kIdle : Failed::Why::kError;
  } else if (error.code() == 0) {
    failed.why = Failed::Why::kUnreadable;
  } else {
    failed.why = WhyOfStatus(error.code());
  }
  return failed;
}

ReflectorInput FromEvent(kube::WatchEvent event) {
  switch (event.type) {
    case kube::WatchEvent::Type::kAdded:
    case kube::WatchEvent::Type::kModified:
      return Changed{std::move(event.object), std::move(event.resource_version)};
    case kube::WatchEvent::Type::kDeleted:
      return Removed{std::move(event.object), std::move(event.resource_version)};
    case kube::WatchEvent::Type::kBookmark:
      return Bookmark{std::move(event.resource_version)};
    case kube::WatchEvent::Type::kError:
      break;
  }
  const api::Json* code = api::FindMember(event.object, "code");
  const int status = code != nullptr && code->is_number_integer() ? code->get<int>() : 0;
  const std::string reason = api::StringAt(event.object, "reason");
  const std::string message = api::StringAt(event.object, "message");
  if (status == 410 || reason == "Expired" || reason == "Gone") {
    return Gone{.verb = "watch", .message = message};
  }
  return Failed{.why = WhyOfStatus(status), .verb = "watch", .message = reason + ": " + message};
}

std::string_view RestartReason(const ReflectorInput& input) {
  if (std::holds_alternative<Gone>(input)) {
    return "gone";
  }
  if (std::holds_alternative<StreamEnded>(input)) {
    return "ended";
  }
  const Failed* failed = std::get_if<Failed>(&input);
  if (failed == nullptr) {
    return "";
  }
  switch (failed->why) {
    case Failed::Why::kError:
      return "error";
    case Failed::Why::kForbidden:
      return "forbidden";
    case Failed::Why::kIdle:
      return "idle";
    case Failed::Why::kUnreadable:
      return "unreadable";
    case Failed::Why::kRejected:
      return "rejected";
  }
  return "";
}

}  // namespace breakwater::runtime
