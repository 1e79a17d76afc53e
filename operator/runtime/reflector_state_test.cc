#include "operator/runtime/reflector_state.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace breakwater::runtime {
namespace {

using kube::KubeError;

/// "empty", "resuming@5/0" or "watching@5/0" (version/stuck).
std::string Describe(const ReflectorState& state) {
  if (const Resuming* r = std::get_if<Resuming>(&state)) {
    return "resuming@" + r->version + "/" + std::to_string(r->stuck);
  }
  if (const Watching* w = std::get_if<Watching>(&state)) {
    return "watching@" + w->version + "/" + std::to_string(w->stuck);
  }
  return "empty";
}

std::vector<ReflectorState> AllStates() {
  return {Empty{}, Resuming{.version = "5"}, Watching{.version = "5", .stuck = 1}};
}

Failed Failure(Failed::Why why) {
  return {.why = why, .verb = "watch", .message = "m"};
}

// Breaks: after etcd compaction the operator works on old objects for ever.
TEST(ReflectorNextTest, ListsAgainAfterGoneInAnyState) {
  for (const ReflectorState& state : AllStates()) {
    EXPECT_EQ(Describe(Next(state, Gone{})), "empty");
  }
}

// Breaks: each of the closes that a server does every five minutes costs a full list of everything.
TEST(ReflectorNextTest, ResumesWithoutAListAfterAClosedStream) {
  EXPECT_EQ(Describe(Next(Watching{.version = "7"}, StreamEnded{})), "resuming@7/0");
  EXPECT_EQ(Describe(Next(Resuming{.version = "7"}, Opened{})), "watching@7/0");
}

// Breaks: events are missed, or seen twice, after a resume.
TEST(ReflectorNextTest, FollowsTheVersionsOfEventsAndBookmarks) {
  ReflectorState state = Next(Empty{}, Listed{"1"});
  state = Next(state, Opened{});
  state = Next(state, Changed{{}, "2"});
  EXPECT_EQ(Describe(state), "watching@2/0");
  state = Next(state, Removed{{}, "3"});
  state = Next(state, Bookmark{"9"});
  EXPECT_EQ(Describe(state), "watching@9/0");
  state = Next(state, Changed{{}, ""});
  EXPECT_EQ(Describe(state), "watching@9/0") << "an unreadable version must not reset ours";
}

// Breaks: an API server restart makes every watch list everything at the same moment.
TEST(ReflectorNextTest, ResumesAfterFailures) {
  for (const auto why : {Failed::Why::kError, Failed::Why::kIdle, Failed::Why::kForbidden}) {
    ReflectorState state = Watching{.version = "7"};
    for (int i = 0; i < 10; ++i) {
      state = Next(state, Failure(why));
    }
    EXPECT_EQ(Describe(state), "resuming@7/0");
  }
  EXPECT_EQ(Describe(Next(Empty{}, Failure(Failed::Why::kError))), "empty");
}

// Breaks: one poisoned event, or a version from before etcd was restored, wedges the watch for
// ever.
TEST(ReflectorNextTest, ListsAgainWhenStuckAtOneVersion) {
  for (const auto why : {Failed::Why::kUnreadable, Failed::Why::kRejected}) {
    ReflectorState state = Watching{.version = "7"};
    state = Next(Next(state, Failure(why)), Opened{});
    state = Next(Next(state, Failure(why)), Opened{});
    EXPECT_EQ(Describe(state), "watching@7/2");
    EXPECT_EQ(Describe(Next(state, Failure(why))), "empty");
    EXPECT_EQ(Describe(Next(state, Bookmark{"8"})), "watching@8/0") << "progress is health";
  }
}

// Breaks: an input out of place (a late event) crashes or confuses the machine.
TEST(ReflectorNextTest, IgnoresInputsOutOfPlace) {
  EXPECT_EQ(Describe(Next(Empty{}, Changed{{}, "2"})), "empty");
  EXPECT_EQ(Describe(Next(Empty{}, Opened{})), "empty");
  EXPECT_EQ(Describe(Next(Resuming{.version = "5"}, Bookmark{"9"})), "resuming@5/0");
}

// Breaks: a failure is treated as another one, e.g. a missing right as an outage.
TEST(ReflectorInputTest, ClassifiesErrors) {
  const auto why = [](const KubeError& error) { return RestartReason(FromError(error, "watch")); };
  using Kind = net::TransportError::Kind;
  EXPECT_EQ(why(kube::Status{.code = 410}), "gone");
  EXPECT_EQ(why(kube::Status{.code = 403}), "forbidden");
  EXPECT_EQ(why(kube::Status{.code = 401}), "error");
  EXPECT_EQ(why(kube::Status{.code = 400}), "rejected");
  EXPECT_EQ(why(kube::Status{.code = 504}), "rejected");
  EXPECT_EQ(why(kube::Status{.code = 429}), "error");
  EXPECT_EQ(why(kube::Status{.code = 500}), "error");
  EXPECT_EQ(why(net::TransportError{.kind = Kind::kTimeout}), "idle");
  EXPECT_EQ(why(net::TransportError{.kind = Kind::kReset}), "error");
  EXPECT_EQ(why(kube::DecodeError{"half a line"}), "unreadable");
}

// Breaks: a 410 that comes inside the stream (the usual way) is taken for an object.
TEST(ReflectorInputTest, UnderstandsErrorEvents) {
  using Type = kube::WatchEvent::Type;
  EXPECT_EQ(RestartReason(FromEvent({.type = Type::kError, .object = {{"code", 410}}})), "gone");
  EXPECT_EQ(RestartReason(FromEvent({.type = Type::kError, .object = {{"reason", "Expired"}}})),
            "gone");
  EXPECT_EQ(RestartReason(FromEvent({.type = Type::kError, .object = {{"code", 500}}})), "error");
  EXPECT_EQ(RestartReason(FromEvent({.type = Type::kError, .object = "text"})), "error");
  EXPECT_EQ(RestartReason(StreamEnded{}), "ended");
  EXPECT_EQ(RestartReason(Listed{}), "");
}

}  // namespace
}  // namespace breakwater::runtime
