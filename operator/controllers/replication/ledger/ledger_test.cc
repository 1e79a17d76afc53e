// What is remembered of volumes and nodes, and for how long.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/controllers/replication/ledger/ledgers.h"

namespace breakwater::controllers {
namespace {

using replication::ConnectionView;
using replication::Pair;
using replication::ResourceObservation;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::IsEmpty;

const Pair kPair{"node1", "node2"};

ResourceObservation Seen(const std::string& state_a,
                         const std::string& state_b,
                         bool known = true) {
  ResourceObservation seen;
  seen.resource = "r0";
  ConnectionView& connection = seen.connections[kPair];
  connection.pair = kPair;
  connection.a = {.known = known, .state = state_a, .tls = true};
  connection.b = {.known = known, .state = state_b, .tls = true};
  return seen;
}

class AloneTest : public ::testing::Test {
 protected:
  std::map<Pair, std::string> Holds(const AloneLedger& alone) const {
    return alone.Holds("r0", {.slack = seconds(60)}, causes_);
  }

  const SystemTime now_{std::chrono::hours(1000)};
  CauseLedger causes_;
};

// `drbdadm disconnect` by a person is meant; it must not come back by itself.
TEST_F(AloneTest, WhatNothingExplainsIsHeldAndShownAfterAWhile) {
  AloneLedger alone;
  EXPECT_FALSE(alone.Observe(Seen("Connected", "Connected"), false, now_));
  EXPECT_TRUE(alone.Observe(Seen("StandAlone", "Connecting"), false, now_ + seconds(1)));
  EXPECT_FALSE(alone.Observe(Seen("StandAlone", "Connecting"), false, now_ + seconds(2)));
  const auto holds = Holds(alone);
  ASSERT_TRUE(holds.contains(kPair));
  EXPECT_NE(holds.at(kPair).find("drbdadm connect r0:node2` on node1"), std::string::npos);
  EXPECT_THAT(alone.Failures("r0", holds, now_ + seconds(10)), IsEmpty());
  const auto shown = alone.Failures("r0", holds, now_ + seconds(31));
  ASSERT_EQ(shown.size(), 1U);
  EXPECT_EQ(shown[0].node, "node1");
  EXPECT_FALSE(alone.Observe(Seen("Connected", "Connected"), false, now_ + seconds(40)));
  EXPECT_THAT(Holds(alone), IsEmpty());
}

// DRBD gave up because tlshd had no certificate (F6): when that is mended the connection must come
// back without a person.
TEST_F(AloneTest, AFaultOfTlsNearByExplainsIt) {
  AloneLedger alone;
  (void)alone.Observe(Seen("Connected", "Connected"), false, now_);
  (void)alone.Observe(Seen("StandAlone", "Connecting"), false, now_ + minutes(10));
  EXPECT_FALSE(Holds(alone).empty());
  EXPECT_TRUE(causes_.Note("node2", now_ + minutes(11), now_ + minutes(11)));
  EXPECT_THAT(Holds(alone), IsEmpty());
  EXPECT_FALSE(alone.Holds("r0", {.by_person = true}, causes_).empty())
      << "a person's word counts more";
  EXPECT_FALSE(alone.Holds("r0", {.stale = {kPair}}, causes_).empty())
      << "a reconnect would erase the record of what the peer lacks";
}

// A fault of last week explains nothing.
TEST_F(AloneTest, AFaultLongAgoExplainsNothing) {
  AloneLedger alone;
  (void)causes_.Note("node1", now_, now_);
  (void)alone.Observe(Seen("Connected", "Connected"), false, now_);
  (void)alone.Observe(Seen("StandAlone", "Connecting"), false, now_ + minutes(10));
  EXPECT_FALSE(Holds(alone).empty());
}

// What a transaction of ours left behind (its agent's pod is gone) is ours to mend.
TEST_F(AloneTest, WhatOurTransactionLeftIsNotHeld) {
  AloneLedger alone;
  (void)alone.Observe(Seen("StandAlone", "Connecting"), true, now_);
  (void)alone.Observe(Seen("StandAlone", "Connecting"), false, now_ + minutes(20));
  EXPECT_THAT(Holds(alone), IsEmpty());
}

// A node that is silent for a moment must not make an old disconnect look new.
TEST_F(AloneTest, SilenceChangesNothing) {
  AloneLedger alone;
  (void)alone.Observe(Seen("Connected", "Connected"), false, now_);
  (void)alone.Observe(Seen("StandAlone", "Connecting"), false, now_ + minutes(1));
  (void)alone.Observe(Seen("", "", false), false, now_ + minutes(2));
  EXPECT_FALSE(alone.Observe(Seen("StandAlone", "Connecting"), false, now_ + minutes(3)));
  EXPECT_EQ(alone.Failures("r0", Holds(alone), now_ + minutes(3)).size(), 1U);
}

// A new leader does not know since when: a fault shortly before it came may be the reason.
TEST_F(AloneTest, TheFirstLookIsMoreGenerous) {
  AloneLedger alone;
  (void)causes_.Note("node1", now_ - minutes(9), now_);
  (void)alone.Observe(Seen("StandAlone", "Connecting"), false, now_);
  EXPECT_THAT(Holds(alone), IsEmpty());
}

TEST(CauseTest, TheFutureIsNotBelieved) {
  CauseLedger causes;
  const SystemTime now{std::chrono::hours(1000)};
  EXPECT_FALSE(causes.Note("node1", now + minutes(5), now));
  EXPECT_FALSE(causes.Explains("node1", now, false, seconds(60)));
}

// A volume whose switch fails must not be cut every few seconds.
TEST(FailureTest, EachFailureWaitsLonger) {
  FailureLedger failures;
  const SystemTime wall{std::chrono::hours(1000)};
  const SteadyTime now{std::chrono::hours(1)};
  const VolumeFailure rolled{VolumeFailure::Kind::kRolledBack, "r0", "", "no handshake"};
  EXPECT_TRUE(failures.Failed(rolled, wall, now));
  EXPECT_EQ(failures.NotBefore("r0"), now + seconds(30));
  EXPECT_FALSE(failures.Failed(rolled, wall, now)) << "people have heard it";
  EXPECT_EQ(failures.NotBefore("r0"), now + seconds(60));
  for (int i = 0; i < 20; ++i) {
    (void)failures.Failed(rolled, wall, now);
  }
  EXPECT_EQ(failures.NotBefore("r0"), now + seconds(3600));
  EXPECT_TRUE(failures.BackingOff(now).contains("r0"));
  EXPECT_FALSE(failures.BackingOff(now + seconds(3601)).contains("r0"));
  EXPECT_EQ(failures.Shown().size(), 1U) << "it stays shown until it succeeds";
  failures.Succeeded("r0");
  EXPECT_THAT(failures.Shown(), IsEmpty());
  EXPECT_TRUE(failures.Failed({VolumeFailure::Kind::kBlocked, "r0", "", "x"}, wall, now));
  EXPECT_EQ(failures.NotBefore("r0"), now + seconds(15)) << "counted anew";
}

// REVIEW-1 R5: one proven bad node holds back the others at once.
TEST(HandshakeTest, WhoGaveUpIsBadUntilItsTimeIsOverOrSomebodyMendedIt) {
  HandshakeLedger handshakes;
  const SteadyTime now{std::chrono::hours(1)};
  handshakes.Failed(kPair, std::nullopt, now);
  EXPECT_THAT(handshakes.BadNodes(now), IsEmpty()) << "nobody knows which of the two";
  EXPECT_TRUE(handshakes.FailedPairs(now).contains(kPair));
  handshakes.Failed(kPair, "node2", now);
  EXPECT_TRUE(handshakes.BadNodes(now).contains("node2"));
  EXPECT_FALSE(handshakes.BadNodes(now).contains("node1"));
  EXPECT_THAT(handshakes.BadNodes(now + seconds(61)), IsEmpty());
  handshakes.Failed(kPair, "node2", now);
  EXPECT_TRUE(handshakes.BadNodes(now + seconds(61)).contains("node2")) << "longer each time";
  handshakes.Forgive("node2");
  EXPECT_THAT(handshakes.BadNodes(now), IsEmpty());
  EXPECT_THAT(handshakes.FailedPairs(now), IsEmpty());
  handshakes.Failed(kPair, "node2", now);
  handshakes.Succeeded(kPair);
  EXPECT_THAT(handshakes.BadNodes(now), IsEmpty());
}

// L33: a pin that a node never got is written again, but not all the time.
TEST(UnsettledTest, IsOverdueAfterItsTimeAndThenWaitsAnew) {
  UnsettledLedger unsettled;
  const SteadyTime now{std::chrono::hours(1)};
  unsettled.Observe({{"r0", "node2"}}, now);
  EXPECT_THAT(unsettled.TakeOverdue(now + seconds(60)), IsEmpty());
  unsettled.Observe({{"r0", "node2"}}, now + seconds(100));
  EXPECT_EQ(unsettled.TakeOverdue(now + seconds(121)).size(), 1U);
  EXPECT_THAT(unsettled.TakeOverdue(now + seconds(122)), IsEmpty());
  unsettled.Observe({}, now + seconds(123));
  EXPECT_THAT(unsettled.TakeOverdue(now + seconds(999)), IsEmpty());
}

}  // namespace
}  // namespace breakwater::controllers
