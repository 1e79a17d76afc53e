// Since when a connection has its keys. What would break for a user: sessions that seem young after
// each restart of the operator, or a node that has its connections cut by lying about its clock.

#include "operator/controllers/replication/ledger/sessions.h"

#include <gtest/gtest.h>

#include "operator/core/replication/volume/test_observations.h"

namespace breakwater::controllers {
namespace {

using replication::Pair;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

const SystemTime kNow = replication::testing_seen::kNow;

class SessionTest : public ::testing::Test {
 protected:
  SessionTest() { Reconnect("1-2,3-4"); }

  void Reconnect(const std::string& name) {
    View().a.session = name;
    View().a.session_gib = View().b.session_gib = 0;
    View().a.session_since = View().b.session_since = 0;
  }

  replication::ConnectionView& View() { return seen_.connections.at(pair_); }

  void Observe(SystemTime now) { ledger_.Observe(seen_, now); }

  bool Due(const RekeyRules& rules, SystemTime now) const {
    return !ledger_.Due(rules, now).empty();
  }

  static std::int64_t Unix(SystemTime time) {
    return std::chrono::duration_cast<seconds>(time.time_since_epoch()).count();
  }

  const Pair pair_ = Pair::Of("n1", "n2");
  replication::ResourceObservation seen_ = replication::testing_seen::Healthy({"n1", "n2"}, true);
  SessionLedger ledger_;
};

TEST_F(SessionTest, IsAsOldAsItWasSeen) {
  const RekeyRules rules{.max_age = hours(2)};
  Observe(kNow);
  View().b.known = false;  // silence changes nothing
  Observe(kNow + hours(1));
  EXPECT_FALSE(Due(rules, kNow + hours(2) - seconds(1)));
  EXPECT_TRUE(Due(rules, kNow + hours(2)));
  EXPECT_EQ(ledger_.Due(rules, kNow + hours(2)).at("r0").at(pair_), "1-2,3-4");
  View().b.known = true;
  Reconnect("5-2,3-6");
  Observe(kNow + hours(3));
  EXPECT_FALSE(Due(rules, kNow + hours(4)));
  EXPECT_FALSE(Due({}, kNow + hours(10000))) << "off unless asked for";
}

TEST_F(SessionTest, AnAgentKnowsItFromBeforeTheOperator) {
  View().a.session_since = Unix(kNow - hours(1));
  View().b.session_since = Unix(kNow - hours(5));  // the other agent was restarted
  Observe(kNow);
  EXPECT_EQ(ledger_.all().at("r0").at(pair_).since, kNow - hours(5));
  View().b.session_since = Unix(kNow);
  Observe(kNow + hours(1));
  EXPECT_EQ(ledger_.all().at("r0").at(pair_).since, kNow - hours(5)) << "it gets no younger";
}

TEST_F(SessionTest, WhatWasSeenToBeginIsNotOlderByAnybodysWord) {
  Observe(kNow);
  Reconnect("5-2,3-6");
  Observe(kNow + minutes(1));
  View().b.session_since = 1;  // 1970
  Observe(kNow + minutes(2));
  EXPECT_EQ(ledger_.all().at("r0").at(pair_).since, kNow + minutes(1));
  View().b.session_gib = 1'000'000;
  Observe(kNow + minutes(3));
  EXPECT_FALSE(Due({.max_gib = 64}, kNow + minutes(4))) << "not again and again";
  EXPECT_TRUE(Due({.max_gib = 64}, kNow + minutes(11)));
}

TEST_F(SessionTest, CountsTheTrafficOfEitherEnd) {
  View().b.session_gib = 64;
  Observe(kNow);
  EXPECT_TRUE(Due({.max_gib = 64}, kNow));
  EXPECT_FALSE(Due({.max_gib = 65}, kNow));
}

TEST_F(SessionTest, PlaintextHasNoSession) {
  Observe(kNow);
  View().a.sockets = View().b.sockets = replication::SocketProof::kPlaintext;
  Observe(kNow + hours(1));
  EXPECT_FALSE(Due({.max_age = hours(1)}, kNow + hours(2)));
  ledger_.KeepOnly({});
  EXPECT_TRUE(ledger_.all().empty());
}

}  // namespace
}  // namespace breakwater::controllers
