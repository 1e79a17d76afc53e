// Silent divergence must be remembered until there is proof that it is gone.

#include "operator/core/replication/volume/stale_ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/core/replication/volume/test_observations.h"

namespace breakwater::replication {
namespace {

using testing_seen::End;
using testing_seen::Healthy;
using testing_seen::kNow;
using Kind = StaleChange::Kind;

class StaleLedgerTest : public ::testing::Test {
 protected:
  StaleLedgerTest() { End(seen_, "n1", "n2").session = "7000-41000,41001-7000"; }

  void SetStale(bool stale) {
    End(seen_, "n1", "n2").devices[0].peer_disk = stale ? "Outdated" : "UpToDate";
  }

  // What a look after so many seconds changes.
  std::vector<Kind> Look(int seconds) {
    std::vector<Kind> kinds;
    for (const StaleChange& change : ledger_.Observe(seen_, kNow + std::chrono::seconds(seconds))) {
      kinds.push_back(change.kind);
    }
    return kinds;
  }

  ResourceObservation seen_ = Healthy({"n1", "n2", "n3"});
  StaleLedger ledger_;
};

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// An Outdated peer is normal for a moment after every reconnect: no alarm.
TEST_F(StaleLedgerTest, AMomentIsNoAlarm) {
  SetStale(true);
  EXPECT_THAT(Look(0), IsEmpty());
  SetStale(false);
  EXPECT_THAT(Look(1), IsEmpty());
  SetStale(true);
  EXPECT_THAT(Look(3), IsEmpty()) << "another moment";
  EXPECT_THAT(Look(5), ElementsAre(Kind::kStale));
}

TEST_F(StaleLedgerTest, HealedOnTheSameConnectionIsProof) {
  SetStale(true);
  Look(0);
  EXPECT_THAT(Look(3), ElementsAre(Kind::kStale));
  SetStale(false);
  End(seen_, "n1", "n2").devices[0].replication = "SyncSource";
  EXPECT_THAT(Look(4), IsEmpty());
  End(seen_, "n1", "n2").devices[0].replication = "Established";
  EXPECT_THAT(Look(5), ElementsAre(Kind::kHealed));
  EXPECT_THAT(ledger_.records(), IsEmpty());
}

// What a Secondary showed, while the Primary is a third node.
class StaleSecondaryTest : public StaleLedgerTest {
 protected:
  StaleSecondaryTest() {
    seen_.nodes["n1"].primary = false;
    seen_.nodes["n3"].primary = true;
    SetStale(true);
    Look(0);
    Look(3);
    SetStale(false);
    // F4.8: blocks stay recorded between Secondaries although the data is equal.
    End(seen_, "n1", "n2").devices[0].out_of_sync_kib = 2600;
  }
};

// A heal from the Primary ended what n1 saw: a volume that waits for n1's record of blocks to be
// empty never moves again.
TEST_F(StaleSecondaryTest, TheViewOfThePrimaryIsTheProof) {
  for (const char* copy : {"n1", "n2"}) {
    PeerDevice& device = End(seen_, "n3", copy).devices[0];
    device.replication = "SyncSource";
    EXPECT_THAT(Look(4), IsEmpty()) << copy;
    device.replication = "Established";
    device.out_of_sync_kib = 4;
    EXPECT_THAT(Look(5), IsEmpty()) << copy;
    device.out_of_sync_kib = 0;
    device.peer_disk = "Outdated";
    EXPECT_THAT(Look(5), IsEmpty()) << copy;
    device.peer_disk = "UpToDate";
    EXPECT_THAT(ledger_.Unproven("r0"),
                ::testing::Contains(::testing::Pair(Pair::Of("n1", "n2"), "n2")));
  }
  EXPECT_THAT(Look(6), ElementsAre(Kind::kHealed));
  EXPECT_THAT(ledger_.Unproven("r0"), IsEmpty());
}

// A network that breaks between two Secondaries is no reason to throw a good copy away.
TEST_F(StaleSecondaryTest, AReconnectBetweenSecondariesChangesNothing) {
  End(seen_, "n1", "n2").session = "7000-42000,42001-7000";
  StaleLedger next;  // a new leader
  next.Load(ledger_.records());
  const auto changes = next.Observe(seen_, kNow + std::chrono::seconds(4));
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].kind, Kind::kHealed);
}

// The Primary that once did not send writes to n2 is the only one that knows what n2 lacks.
TEST_F(StaleSecondaryTest, WhatAPrimaryShowedIsNotSettledByIt) {
  seen_.nodes["n1"].primary = true;
  seen_.nodes["n3"].primary = false;
  SetStale(true);
  Look(4);
  seen_.nodes["n1"].primary = false;
  seen_.nodes["n3"].primary = true;
  SetStale(false);
  EXPECT_THAT(Look(5), IsEmpty()) << "n1 was the Primary in between";
  End(seen_, "n1", "n2").session = "7000-42000,42001-7000";
  EXPECT_THAT(Look(6), ElementsAre(Kind::kDiverged));
}

TEST_F(StaleSecondaryTest, ADoubtOfAPrimaryCountsForAll) {
  PeerDevice& device = End(seen_, "n3", "n2").devices[0];
  device.peer_disk = "Outdated";
  Look(4);
  Look(8);  // entered: n3 does not send writes to n2
  device.peer_disk = "UpToDate";
  End(seen_, "n3", "n2").session = "7000-43000,43001-7000";
  const auto kinds = Look(9);
  EXPECT_THAT(kinds, ::testing::Contains(Kind::kDiverged));
  EXPECT_THAT(kinds, ::testing::Not(::testing::Contains(Kind::kHealed)));
}

TEST_F(StaleSecondaryTest, WithoutAPrimaryTheHealIsTheProof) {
  seen_.nodes["n3"].primary = false;
  EXPECT_THAT(Look(4), IsEmpty()) << "nobody healed it";
  ledger_.NoteHeal("r0", Pair::Of("n1", "n2"));
  EXPECT_THAT(Look(5), ElementsAre(Kind::kHealed));
  EXPECT_THAT(ledger_.Unproven("r0"), IsEmpty());
}

TEST_F(StaleLedgerTest, FromAPrimaryNothingMayBeOutOfSync) {
  SetStale(true);
  Look(0);
  Look(3);
  SetStale(false);
  ledger_.NoteHeal("r0", Pair::Of("n1", "n2"));
  End(seen_, "n1", "n2").devices[0].out_of_sync_kib = 4;
  EXPECT_THAT(Look(4), IsEmpty());
  End(seen_, "n1", "n2").devices[0].out_of_sync_kib = 0;
  EXPECT_THAT(Look(5), ElementsAre(Kind::kHealed));
}

// The reconnect erased DRBD's record between two looks (F12.3): clean states, different blocks.
TEST_F(StaleLedgerTest, AnotherConnectionIsNoProof) {
  SetStale(true);
  Look(0);
  Look(3);
  SetStale(false);
  End(seen_, "n1", "n2").session = "7000-42000,42001-7000";
  EXPECT_THAT(Look(60), ElementsAre(Kind::kDiverged));
  EXPECT_THAT(Look(120), IsEmpty());
  StaleLedger next;  // a new leader
  next.Load(ledger_.records());
  ASSERT_EQ(next.records().size(), 1U);
  EXPECT_TRUE(next.records()[0].diverged);
  EXPECT_FALSE(next.Release({"r0"}));
  EXPECT_TRUE(next.Release({NameOf(next.records()[0])}));
  EXPECT_THAT(next.records(), IsEmpty());
}

TEST_F(StaleLedgerTest, AnInterruptionWhileStaleIsSeenAtOnce) {
  SetStale(true);
  Look(0);
  Look(3);
  End(seen_, "n1", "n2").state = "Connecting";
  EXPECT_THAT(Look(4), ElementsAre(Kind::kDiverged));
  EXPECT_THAT(ledger_.PairsOf("r0"), ElementsAre(Pair::Of("n1", "n2")))
      << "a reconnect by us would erase what a small resync needs";
  ASSERT_TRUE(ledger_.Release({NameOf(ledger_.records()[0])}));
  EXPECT_THAT(ledger_.PairsOf("r0"), IsEmpty());
}

// One exec to the Primary failed: that proves nothing.
TEST_F(StaleLedgerTest, SilenceIsNoProof) {
  SetStale(true);
  Look(0);
  Look(3);
  ResourceObservation silent = seen_;
  silent.nodes["n1"].known = false;
  silent.connections.at(Pair::Of("n1", "n2")).a = {};
  EXPECT_THAT(ledger_.Observe(silent, kNow + std::chrono::seconds(4)), IsEmpty());
  EXPECT_EQ(ledger_.records().size(), 1U);
}

// The pod stops: nobody is Primary, and the state must stay visible and block the cut.
TEST_F(StaleLedgerTest, TheStateOutlivesThePrimary) {
  SetStale(true);
  seen_.nodes["n1"].primary = false;
  Look(0);
  EXPECT_THAT(Look(3), ElementsAre(Kind::kStale));
  EXPECT_EQ(CheckGate(seen_, {}).kind, GateResult::Kind::kStale);
  seen_.nodes["n3"].primary = true;
  EXPECT_EQ(CheckGate(seen_, {}).kind, GateResult::Kind::kStale);
  const StalePeer stale = FindStale(seen_).at(0);
  EXPECT_FALSE(HealObstacle(seen_, stale));
  seen_.nodes["n3"].primary = false;
  seen_.nodes["n2"].primary = true;
  EXPECT_TRUE(HealObstacle(seen_, stale)) << "a Primary's own data is never thrown away";
}

// Where `ss` sees nothing, only our own heal counts.
TEST_F(StaleLedgerTest, WithoutSocketsOnlyOurHealIsProof) {
  End(seen_, "n1", "n2").session.clear();
  SetStale(true);
  Look(0);
  Look(3);
  StaleLedger other = ledger_;
  ledger_.NoteHeal("r0", Pair::Of("n1", "n2"));
  SetStale(false);
  EXPECT_THAT(Look(5), ElementsAre(Kind::kHealed));
  const auto changes = other.Observe(seen_, kNow + std::chrono::seconds(5));
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].kind, Kind::kDiverged);
}

// REVIEW-1 M6: an adjust after a reboot shows the resource without the pair for a moment.
TEST_F(StaleLedgerTest, APairThatIsAbsentIsNoProof) {
  for (const bool diverged : {true, false}) {
    ledger_ = {};
    SetStale(true);
    Look(0);
    Look(3);
    const ResourceObservation before = seen_;
    if (diverged) {
      End(seen_, "n1", "n2").state = "Connecting";
      EXPECT_THAT(Look(4), ElementsAre(Kind::kDiverged));
    }
    seen_.connections.erase(Pair::Of("n1", "n2"));
    Look(5);
    Look(500);
    ASSERT_EQ(ledger_.records().size(), 1U);
    EXPECT_TRUE(ledger_.records()[0].diverged) << "what was recorded may be lost";
    seen_ = before;
    SetStale(false);
    Look(501);
    EXPECT_EQ(ledger_.records().size(), 1U);
  }
}

// Deleting the replica and making it anew is a cure; LINSTOR's list must say so for a while.
TEST_F(StaleLedgerTest, ACopyThatWasDeletedIsForgottenAfterAWhile) {
  SetStale(true);
  Look(0);
  Look(3);
  seen_ = Healthy({"n1", "n3"});
  EXPECT_THAT(Look(10), IsEmpty());
  seen_.levels.known = false;
  Look(100);
  EXPECT_EQ(ledger_.records().size(), 1U) << "nobody knows the list";
  seen_.levels.known = true;
  Look(101);
  EXPECT_THAT(ledger_.records(), IsEmpty());
}

}  // namespace
}  // namespace breakwater::replication
