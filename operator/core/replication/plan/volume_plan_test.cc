// PlanVolume, one rule per test: the next transaction of a volume. What would break for a user: a
// volume that is cut when it must not be, one that stays half switched for ever, or a person's
// doing that is undone.

#include "operator/core/replication/plan/volume_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/core/replication/plan/test_volume.h"

namespace breakwater::replication {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using testing_seen::End;
using testing_seen::MakeDiskless;
using testing_seen::ToSwitch;
using testing_seen::Volume;
using Kind = VolumeDecision::Kind;

std::vector<std::string> AskedNodes(const VolumeDecision& decision) {
  std::vector<std::string> nodes;
  for (const AskNode& ask : decision.asks) {
    nodes.push_back(ask.node);
  }
  return nodes;
}

// ---- the way of a switch

TEST(PairByPairTest, FollowThenLeadThenLinstorThenTheNextPair) {
  Volume volume = ToSwitch({"n1", "n2", "n3"});
  VolumeDecision decision = volume.Decide();
  ASSERT_EQ(decision.kind, Kind::kAsk) << decision.why;
  ASSERT_THAT(AskedNodes(decision), ElementsAre("n2")) << "the Secondary follows";
  const TransactionRequest follow = decision.asks[0].request;
  EXPECT_EQ(follow.kind, TransactionKind::kFollow);
  EXPECT_THAT(follow.peers, ElementsAre("n1"));
  EXPECT_TRUE(follow.tls);
  EXPECT_GT(follow.within, volume.goal.lead_timeout) << "it must not end before the Lead";
  EXPECT_EQ(decision.step, "Follow");
  EXPECT_EQ(decision.strategy, Strategy::kPairByPair);
  volume.StartAll(decision, /*armed=*/false);
  EXPECT_EQ(volume.Decide().kind, Kind::kWait) << "asked for, not armed yet";
  volume.running[0].progress.armed = true;
  decision = volume.Decide();
  ASSERT_EQ(decision.kind, Kind::kAsk) << decision.why;
  ASSERT_THAT(AskedNodes(decision), ElementsAre("n1")) << "the Primary's end cuts";
  EXPECT_EQ(decision.asks[0].request.kind, TransactionKind::kLead);
  EXPECT_EQ(decision.step, "Lead");
  volume.StartAll(decision, false);
  EXPECT_EQ(volume.Decide().kind, Kind::kWait) << "never two Leads";
  volume.running.clear();
  volume.Switch(Pair::Of("n1", "n2"), true);
  decision = volume.Decide();
  ASSERT_EQ(decision.kind, Kind::kLinstor) << decision.why;
  EXPECT_EQ(decision.ops, (std::vector<LinstorOp>{SetPair{"n1/n2", true, false}}));
  volume.Apply(decision);
  decision = volume.Decide();
  EXPECT_EQ(decision.pair, Pair::Of("n1", "n3"));
}

TEST(PairByPairTest, EndsWithNothingOfOursInLinstor) {
  for (const bool tls : {true, false}) {
    Volume volume = ToSwitch({"n1", "n2", "n3"}, tls);
    bool done = false;
    for (int steps = 0; steps < 40 && !done; ++steps) {
      const VolumeDecision decision = volume.Decide();
      done = decision.done;
      volume.Apply(decision);
      if (decision.kind == Kind::kAsk && decision.step == "Lead") {
        volume.running.clear();
        volume.Switch(*decision.pair, tls);
      } else {
        volume.StartAll(decision, true);
      }
    }
    EXPECT_TRUE(done);
    EXPECT_FALSE(volume.seen.levels.definition.value);
    EXPECT_THAT(volume.seen.levels.pairs, IsEmpty());
    for (const auto& [pair, connection] : volume.seen.connections) {
      EXPECT_TRUE(connection.BothConfigured(tls));
    }
  }
}

TEST(PairByPairTest, BetweenSecondariesOneWithDataLeads) {
  Volume volume = ToSwitch({"n1", "n2", "n3"});
  volume.seen.nodes["n1"].primary = false;
  MakeDiskless(volume.seen, "n1");
  const VolumeDecision decision = volume.Decide();
  ASSERT_EQ(decision.kind, Kind::kAsk) << decision.why;
  EXPECT_EQ(decision.pair, Pair::Of("n2", "n3")) << "diskless peers after diskful ones";
  EXPECT_THAT(AskedNodes(decision), ElementsAre("n3"));
  volume.Switch(Pair::Of("n2", "n3"), true);
  volume.seen.levels.pairs["n2/n3"] = {true, true, false};
  EXPECT_THAT(AskedNodes(volume.Decide()), ElementsAre("n1")) << "n1 has no data: it follows";
}

TEST(SuspendIoTest, AllPeersFollowBeforeThePrimarySwitches) {
  Volume volume = ToSwitch({"n1", "n2", "n3"});
  volume.goal.strategy = StrategyChoice::kSuspendIo;
  VolumeDecision decision = volume.Decide();
  ASSERT_EQ(decision.kind, Kind::kAsk) << decision.why;
  EXPECT_THAT(AskedNodes(decision), UnorderedElementsAre("n2", "n3"));
  volume.Start(decision.asks[0], true);
  decision = volume.Decide();
  ASSERT_EQ(decision.kind, Kind::kAsk) << "the other one was lost";
  EXPECT_THAT(AskedNodes(decision), ElementsAre("n3"));
  volume.StartAll(decision, false);
  EXPECT_EQ(volume.Decide().kind, Kind::kWait);
  volume.running[1].progress.armed = true;
  decision = volume.Decide();
  ASSERT_EQ(decision.kind, Kind::kAsk) << decision.why;
  ASSERT_THAT(AskedNodes(decision), ElementsAre("n1"));
  const TransactionRequest& request = decision.asks[0].request;
  EXPECT_EQ(request.kind, TransactionKind::kSuspendedSwitch);
  EXPECT_THAT(request.peers, UnorderedElementsAre("n2", "n3"));
  EXPECT_EQ(request.within, volume.goal.suspend_timeout);
  volume.running.clear();
  for (const char* peer : {"n2", "n3"}) {
    volume.Switch(Pair::Of("n1", peer), true);
  }
  decision = volume.Decide();
  EXPECT_EQ(decision.ops.size(), 2U);
  volume.Apply(decision);
  decision = volume.Decide();
  ASSERT_EQ(decision.pair, Pair::Of("n2", "n3")) << "F31: afterwards, without a freeze";
  volume.StartAll(decision, true);
  EXPECT_EQ(volume.Decide().asks[0].request.kind, TransactionKind::kLead);
}

// A Follow of long ago may end in the middle of the Lead, and then the ends differ until the Lead's
// deadline.
TEST(FollowTest, AnOldOneIsNotUsed) {
  Volume volume = ToSwitch({"n1", "n2", "n3"});
  volume.StartAll(volume.Decide(), true);
  volume.now += kFollowFresh + milliseconds(1);
  const VolumeDecision decision = volume.Decide();
  EXPECT_EQ(decision.kind, Kind::kWait);
  EXPECT_THAT(decision.cancel, ElementsAre("t0"));
}

TEST(FollowTest, IsCancelledWhenNobodyWillLead) {
  Volume volume = ToSwitch({"n1", "n2", "n3"});
  volume.StartAll(volume.Decide(), true);
  const Volume armed = volume;
  volume.goal.may_switch = false;  // paused
  EXPECT_THAT(volume.Decide().cancel, ElementsAre("t0"));
  volume = armed;
  for (auto& [pair, wanted] : volume.goal.wanted) {
    wanted = false;  // the wish changed
  }
  EXPECT_THAT(volume.Decide().cancel, ElementsAre("t0"));
  volume = armed;
  volume.seen.nodes["n3"].suspended_user = true;
  EXPECT_THAT(volume.Decide().cancel, ElementsAre("t0"));
  volume.running[0].progress.undoing = true;
  EXPECT_THAT(volume.Decide().cancel, IsEmpty());
  volume = armed;  // the Lead's node died in the middle: the Follow is at work, and ends by itself
  volume.goal.may_switch = false;
  End(volume.seen, "n2", "n1").state = "Connecting";
  EXPECT_THAT(volume.Decide().cancel, IsEmpty());
}

// Its stream is lost.
void Silence(const std::string& node, Volume* volume) {
  volume->agents[node].connected = false;
  volume->seen.nodes[node] = {};
  for (const char* peer : {"n2", "n3"}) {
    End(volume->seen, node, peer) = {};
  }
}

// The near agent was killed and is started again at once: it goes on where it stopped, and must
// find the far end as ready as it was.
TEST(FollowTest, LastsWhileItsLeaderDoesNotAnswer) {
  Volume volume = ToSwitch({"n1", "n2", "n3"});
  volume.StartAll(volume.Decide(), true);
  volume.StartAll(volume.Decide(), false);
  ASSERT_EQ(volume.running.back().progress.kind, TransactionKind::kLead);
  Silence("n1", &volume);
  EXPECT_THAT(volume.Decide().cancel, IsEmpty());
  volume.running.pop_back();
  EXPECT_THAT(volume.Decide().cancel, ElementsAre("t0")) << "nobody leads it";
}

// The stream broke after the Lead was sent: nobody knows whether it runs.
TEST(FollowTest, NothingIsLedByANodeThatIsNotSeen) {
  Volume volume = ToSwitch({"n1", "n2", "n3"});
  volume.StartAll(volume.Decide(), true);
  Silence("n1", &volume);
  const VolumeDecision decision = volume.Decide();
  EXPECT_EQ(decision.kind, Kind::kWait);
  EXPECT_THAT(decision.asks, IsEmpty());
}

TEST(RunningTest, WhateverRunsIsWaitedFor) {
  for (const TransactionKind kind :
       {TransactionKind::kLead, TransactionKind::kSuspendedSwitch, TransactionKind::kHeal,
        TransactionKind::kReconnect, TransactionKind::kResume}) {
    Volume volume = ToSwitch({"n1", "n2", "n3"});
    volume.Switch(Pair::Of("n1", "n2"), true);  // else LINSTOR would be told
    AskNode ask;
    ask.node = "n3";
    ask.request.kind = kind;
    volume.Start(ask, false);
    const VolumeDecision decision = volume.Decide();
    EXPECT_EQ(decision.kind, Kind::kWait);
    EXPECT_THAT(decision.ops, IsEmpty());
  }
}

// n1 died in its Lead and never comes back: the others must be able to mend what is theirs.
TEST(RunningTest, ANodeThatIsGoneDoesNotHoldTheOthers) {
  Volume volume = ToSwitch({"n1", "n2", "n3"}, false);  // runs TLS
  AskNode lead;
  lead.node = "n1";
  lead.request.kind = TransactionKind::kLead;
  volume.Start(lead, false);
  volume.agents["n1"].connected = false;
  volume.seen.nodes["n1"] = {};
  for (const char* peer : {"n2", "n3"}) {
    End(volume.seen, "n1", peer) = {};
    End(volume.seen, peer, "n1").state = "Connecting";
  }
  End(volume.seen, "n2", "n3").state = "StandAlone";
  End(volume.seen, "n3", "n2").state = "Connecting";
  const VolumeDecision decision = volume.DecideAfter(seconds(4));
  ASSERT_EQ(decision.kind, Kind::kAsk) << decision.why;
  EXPECT_EQ(decision.asks[0].request.kind, TransactionKind::kReconnect);
}

// ---- what keeps it from being switched

TEST(SwitchTest, WaitsOrSaysWhatToDo) {
  struct Case {
    const char* what;
    Kind kind;
    const char* says;
    std::function<void(Volume&)> change;
  };

  const std::vector<Case> cases = {
      {"no place", Kind::kNothing, "turn", [](Volume& v) { v.goal.may_switch = false; }},
      {"LINSTOR away", Kind::kWait, "LINSTOR", [](Volume& v) { v.seen.levels.known = false; }},
      {"node silent", Kind::kWait, "n3", [](Volume& v) { v.seen.nodes["n3"].known = false; }},
      {"unfit", Kind::kBlocked, "CertificateExpired",
       [](Volume& v) { v.goal.unfit["n3"] = "CertificateExpired"; }},
      {"no agent", Kind::kBlocked, "tlsHandshakeDaemon", [](Volume& v) { v.agents.erase("n2"); }},
      {"old agent", Kind::kBlocked, "update the image",
       [](Volume& v) { v.agents["n2"].too_old = true; }},
      {"agent away", Kind::kWait, "n2", [](Volume& v) { v.agents["n2"].connected = false; }},
      {"transport", Kind::kBlocked, "lb-tcp",
       [](Volume& v) { End(v.seen, "n1", "n2").bad_transport = "lb-tcp"; }},
      {"resync", Kind::kWait, "SyncSource",
       [](Volume& v) { End(v.seen, "n1", "n2").devices[0].replication = "SyncSource"; }},
      {"verify", Kind::kWait, "VerifyS",
       [](Volume& v) { End(v.seen, "n1", "n2").devices[0].replication = "VerifyS"; }},
      {"failed disk", Kind::kBlocked, "disk",
       [](Volume& v) { v.seen.nodes["n3"].devices[0].disk = "Failed"; }},
      // For a moment after each reconnect; the place must not be lost by it.
      {"outdated disk", Kind::kWait, "Outdated",
       [](Volume& v) { v.seen.nodes["n3"].devices[0].disk = "Outdated"; }},
      {"sockets not seen yet", Kind::kWait, "sockets",
       [](Volume& v) {
         EndView& end = End(v.seen, "n1", "n2");
         v.goal.wanted[Pair::Of("n1", "n2")] = true;
         end.tls = true;
         End(v.seen, "n2", "n1").tls = true;
         end.sockets = SocketProof::kUnknown;
       }},
      {"back-off", Kind::kWait, "next try",
       [](Volume& v) { v.memory.not_before = v.now + seconds(9); }},
      {"two Primaries", Kind::kBlocked, "more than one Primary",
       [](Volume& v) { v.seen.nodes["n2"].primary = true; }},
      {"a Primary that its own node does not know yet", Kind::kWait, "agree",
       [](Volume& v) { End(v.seen, "n3", "n2").peer_role = "Primary"; }},
      {"snapshot", Kind::kWait, "suspended",
       [](Volume& v) { v.seen.nodes["n1"].suspended_user = true; }},
  };
  for (const Case& test : cases) {
    Volume volume = ToSwitch({"n1", "n2", "n3"});
    test.change(volume);
    const VolumeDecision decision = volume.Decide();
    EXPECT_EQ(decision.kind, test.kind) << test.what << ": " << decision.why;
    EXPECT_THAT(decision.why, HasSubstr(test.says)) << test.what;
    EXPECT_THAT(decision.asks, IsEmpty()) << test.what;
  }
}

// A value that somebody set meanwhile would reach the other connections with the next adjust, and
// that comes with our own change of a pair (L17).
// A heal just ended and everything looks clean: a cut now would turn "healed" into "nobody knows".
TEST(SwitchTest, NothingIsCutBeforeAHealIsProven) {
  Volume volume = ToSwitch({"n1", "n2", "n3"});
  volume.goal.unproven[Pair::Of("n2", "n3")] = "n3";
  const VolumeDecision decision = volume.Decide();
  EXPECT_EQ(decision.kind, VolumeDecision::Kind::kWait);
  EXPECT_THAT(decision.why, HasSubstr("n3 is not proven to have all writes"));
  volume.goal.unproven.clear();
  EXPECT_EQ(volume.Decide().kind, VolumeDecision::Kind::kAsk);
}

TEST(SwitchTest, PinsOtherConnectionsBeforeACut) {
  Volume volume = ToSwitch({"n1", "n2", "n3"});
  volume.seen.levels.definition = {true, false, std::nullopt};
  const VolumeDecision decision = volume.Decide();
  ASSERT_EQ(decision.kind, Kind::kLinstor) << decision.why;
  EXPECT_EQ(decision.ops.size(), 3U);
  volume.goal.in_flight = volume.goal.may_switch = false;
  EXPECT_NE(volume.Decide().kind, Kind::kLinstor) << "PlanCluster pins what has no place";
}

TEST(SwitchTest, LinstorIsNotToldWhatIsNotProven) {
  Volume volume = ToSwitch({"n1", "n2", "n3"});
  volume.Switch(Pair::Of("n1", "n2"), true);
  End(volume.seen, "n2", "n1").sockets = SocketProof::kUnknown;
  const VolumeDecision decision = volume.Decide();
  EXPECT_EQ(decision.kind, Kind::kWait);
  EXPECT_THAT(decision.why, HasSubstr("do not prove"));
}

// The way back to plaintext needs no proof of encryption, or a node whose sockets cannot be seen
// could never be decrypted.
TEST(SwitchTest, TheWayBackNeedsNoProofOfEncryption) {
  Volume volume = ToSwitch({"n1", "n2", "n3"}, false);
  End(volume.seen, "n2", "n1").sockets = SocketProof::kUnknown;
  EXPECT_EQ(volume.Decide().kind, Kind::kAsk) << volume.Decide().why;
}

// LINSTOR's nodes adjust the whole resource, and an adjust connects what a person disconnected.
TEST(SwitchTest, LinstorIsLeftAloneWhileAConnectionIsStandAlone) {
  Volume volume = ToSwitch({"n1", "n2", "n3"}, false);
  volume.Switch(Pair::Of("n1", "n2"), false);  // LINSTOR is to be told
  volume.Switch(Pair::Of("n2", "n3"), false);
  volume.seen.levels.pairs["n2/n3"] = {false, true, true};
  ASSERT_EQ(volume.Decide().kind, Kind::kLinstor) << volume.Decide().why;
  End(volume.seen, "n3", "n2").state = "StandAlone";
  const VolumeDecision decision = volume.DecideAfter(seconds(10));
  EXPECT_EQ(decision.kind, Kind::kWait) << decision.why;
  EXPECT_THAT(decision.why, HasSubstr("StandAlone"));
  EXPECT_THAT(decision.ops, IsEmpty());
}

TEST(SwitchTest, AUsersOwnValueOnAPairIsNeverTouched) {
  Volume volume = ToSwitch({"n1", "n2"});
  volume.seen.levels.definition = {};
  volume.seen.levels.pairs["n1/n2"] = {true, false, std::nullopt};
  EXPECT_THAT(volume.Decide().ops, IsEmpty());
}

// ---- stale peers

Volume Stale(const std::vector<std::string>& names) {
  Volume volume = ToSwitch(names);
  End(volume.seen, names[0], names[1]).devices[0].peer_disk = "Outdated";
  return volume;
}

TEST(StaleTest, IsHealedByItsAgentBeforeAnythingElse) {
  Volume volume = Stale({"n1", "n2", "n3"});
  EXPECT_EQ(volume.Decide().kind, Kind::kWait) << "normal for a moment after a reconnect";
  volume.now += seconds(3);
  VolumeDecision decision = volume.Decide();
  ASSERT_EQ(decision.kind, Kind::kAsk) << decision.why;
  EXPECT_THAT(AskedNodes(decision), ElementsAre("n1"));
  EXPECT_EQ(decision.asks[0].request.kind, TransactionKind::kHeal);
  EXPECT_THAT(decision.asks[0].request.peers, ElementsAre("n2"));
  volume.goal.may_switch = volume.goal.may_repair = false;
  EXPECT_EQ(volume.Decide().kind, Kind::kAsk) << "neither place nor budget is needed";
  volume.goal.heal_only = true;
  EXPECT_EQ(volume.Decide().kind, Kind::kAsk);
  volume.goal.heal_stale = false;
  EXPECT_EQ(volume.Decide().kind, Kind::kBlocked);
}

// G8: a pod that has no agent.
TEST(StaleTest, IsHealedByExecWithoutAnAgent) {
  Volume volume = Stale({"n1", "n2", "n3"});
  volume.agents.clear();
  const VolumeDecision decision = volume.DecideAfter(seconds(3));
  ASSERT_EQ(decision.kind, Kind::kHealByExec) << decision.why;
  ASSERT_TRUE(decision.heal);
  EXPECT_EQ(decision.heal->primary, "n1");
  EXPECT_EQ(decision.heal->peer, "n2");
  volume.seen.nodes["n1"].suspended_user = true;
  EXPECT_EQ(volume.Decide().kind, Kind::kWait);
}

// A copy that lacks writes calls itself UpToDate: healed from it, the last good copy would go back
// in time.
TEST(StaleTest, IsNeverHealedFromACopyThatLacksWritesItself) {
  Volume volume = Stale({"n3", "n1", "n2"});  // n3 is Primary, n1 lacks writes
  End(volume.seen, "n1", "n2").devices[0].peer_disk = "Outdated";
  const VolumeDecision decision = volume.DecideAfter(seconds(3));
  ASSERT_EQ(decision.kind, Kind::kAsk) << decision.why;
  EXPECT_THAT(AskedNodes(decision), ElementsAre("n3")) << "the Primary has all writes";
  EXPECT_THAT(decision.asks[0].request.peers, ElementsAre("n1"));
}

TEST(StaleTest, ADisklessPrimaryHasNothingToSend) {
  Volume volume = Stale({"n1", "n2", "n3"});
  volume.seen.nodes["n1"].devices[0].disk = "Diskless";
  volume.seen.nodes["n1"].devices[0].client = true;
  volume.seen.nodes["n1"].quorum = "off";
  const VolumeDecision decision = volume.DecideAfter(seconds(3));
  EXPECT_EQ(decision.kind, Kind::kBlocked);
  EXPECT_THAT(decision.why, HasSubstr("drbdadm invalidate"));
}

// The heal needs the third node, and that does not come back by itself.
TEST(StaleTest, AHeldHealDoesNotKeepOtherConnectionsDown) {
  Volume volume = ToSwitch({"n1", "n2", "n3"}, false);
  End(volume.seen, "n1", "n2").devices[0].peer_disk = "Outdated";
  for (const char* node : {"n1", "n2"}) {
    End(volume.seen, node, "n3").state = "Connecting";
    End(volume.seen, "n3", node).state = "StandAlone";
    End(volume.seen, node, "n3").devices[0].peer_disk = "DUnknown";
  }
  const VolumeDecision decision = volume.DecideAfter(seconds(4));
  ASSERT_EQ(decision.kind, Kind::kAsk) << decision.why;
  EXPECT_EQ(decision.asks[0].request.kind, TransactionKind::kReconnect);
  EXPECT_EQ(decision.pair, Pair::Of("n1", "n3")) << "the Primary's connections first";
}

PeerDevice& Device(Volume& volume) {
  return End(volume.seen, "n1", "n2").devices[0];
}

// REVIEW-1 M5: perhaps the Primary's disk is the bad one, and a heal would lose the good copy.
TEST(VerifyTest, WhatItFoundIsReportedAndNeverHealed) {
  Volume volume = ToSwitch({"n1", "n2", "n3"});
  volume.goal.may_switch = false;
  volume.Decide();
  Device(volume).replication = "VerifyS";
  volume.Decide();
  Device(volume).replication = "Established";
  Device(volume).out_of_sync_kib = 8;
  const VolumeDecision decision = volume.DecideAfter(seconds(60));
  EXPECT_EQ(decision.kind, Kind::kBlocked);
  EXPECT_THAT(decision.asks, IsEmpty());
  EXPECT_THAT(decision.why, HasSubstr("verify"));
  End(volume.seen, "n2", "n1").state = "Connecting";  // a person reconnects; it stays unexplained
  Device(volume).replication = "Off";
  volume.Decide();
  End(volume.seen, "n2", "n1").state = "Connected";
  Device(volume).replication = "Established";
  EXPECT_EQ(volume.DecideAfter(seconds(60)).kind, Kind::kBlocked);
}

// A new leader, or a verify that ran between two looks.
TEST(VerifyTest, WhatNobodySawAriseIsNotHealed) {
  Volume volume = ToSwitch({"n1", "n2", "n3"});
  Device(volume).out_of_sync_kib = 8;
  EXPECT_EQ(volume.DecideAfter(seconds(60)).kind, Kind::kBlocked) << "first look";
  volume.memory = {};
  Device(volume).out_of_sync_kib = 0;
  volume.Decide();
  Device(volume).out_of_sync_kib = 8;
  EXPECT_EQ(volume.DecideAfter(seconds(60)).kind, Kind::kBlocked);
}

TEST(VerifyTest, WhatCameWithAReconnectIsHealed) {
  for (const bool seen_down : {true, false}) {
    Volume volume = ToSwitch({"n1", "n2", "n3"});
    volume.goal.may_switch = false;
    End(volume.seen, "n1", "n2").session = "7000-41000";
    volume.Decide();
    if (seen_down) {
      End(volume.seen, "n1", "n2").state = "Connecting";
      volume.Decide();
      End(volume.seen, "n1", "n2").state = "Connected";
    }
    End(volume.seen, "n1", "n2").session = "7000-42000";
    Device(volume).out_of_sync_kib = 8;
    EXPECT_EQ(volume.DecideAfter(seconds(2)).kind, Kind::kWait) << "writes under way";
    const VolumeDecision decision = volume.DecideAfter(seconds(4));
    ASSERT_EQ(decision.kind, Kind::kAsk) << decision.why;
    EXPECT_EQ(decision.asks[0].request.kind, TransactionKind::kHeal);
  }
}

TEST(MemoryTest, SilenceChangesNothing) {
  Volume volume = Stale({"n1", "n2", "n3"});
  volume.Decide();
  const auto since = volume.memory.stale_since;
  ASSERT_EQ(since.size(), 1U);
  const EndView end = End(volume.seen, "n1", "n2");
  End(volume.seen, "n1", "n2") = {};
  volume.seen.nodes["n1"].known = false;
  volume.now += seconds(1);
  volume.Decide();
  EXPECT_EQ(volume.memory.stale_since, since);
  End(volume.seen, "n1", "n2") = end;
  volume.seen.nodes["n1"].known = true;
  volume.now += seconds(2);
  EXPECT_EQ(volume.Decide().kind, Kind::kAsk) << "3 s in all";
}

// ---- suspended

// REVIEW-1 H4: a snapshot that is being taken, or a person's suspend-io.
TEST(SuspendedTest, OfOthersIsReportedAndNothingElseIsDone) {
  Volume volume = ToSwitch({"n1", "n2", "n3"});
  volume.Switch(Pair::Of("n1", "n2"), true);                       // LINSTOR would be told
  End(volume.seen, "n1", "n3").devices[0].peer_disk = "Outdated";  // and a peer be healed
  volume.seen.nodes["n1"].suspended_user = true;
  const VolumeDecision decision = volume.DecideAfter(seconds(600));
  EXPECT_EQ(decision.kind, Kind::kWait);
  EXPECT_THAT(decision.why, HasSubstr("somebody else on n1"));
  EXPECT_TRUE(decision.asks.empty() && decision.ops.empty());
}

// The agent restarts in the middle of its switch: what is ours ends by its journal.
TEST(SuspendedTest, WhatMayBeOursIsNotCalledSomebodyElses) {
  Volume volume = ToSwitch({"n1", "n2", "n3"});
  volume.seen.nodes["n1"].suspended_user = true;
  volume.agents["n1"].connected = false;
  volume.goal.resume_foreign_after = milliseconds(1);
  const VolumeDecision decision = volume.DecideAfter(seconds(60));
  EXPECT_EQ(decision.kind, Kind::kWait);
  EXPECT_EQ(decision.why.find("somebody else"), std::string::npos) << decision.why;
}

TEST(SuspendedTest, IsEndedOnlyWhereTheUserSaysSo) {
  Volume volume = ToSwitch({"n1", "n2", "n3"});
  volume.seen.nodes["n1"].suspended_user = true;
  volume.goal.resume_foreign_after = seconds(60);
  EXPECT_EQ(volume.DecideAfter(seconds(59)).kind, Kind::kWait);
  volume.now += seconds(1);
  const VolumeDecision decision = volume.Decide();
  ASSERT_EQ(decision.kind, Kind::kAsk) << decision.why;
  EXPECT_EQ(decision.asks[0].request.kind, TransactionKind::kResume);
  EXPECT_TRUE(decision.asks[0].request.of_others);
  volume.seen.nodes["n1"].suspended_user = false;
  volume.Decide();
  volume.seen.nodes["n1"].suspended_user = true;
  EXPECT_EQ(volume.Decide().kind, Kind::kWait) << "another one: its time begins anew";
}

// ---- repairs

Volume Down(const std::string& state_a, const std::string& state_b) {
  Volume volume = ToSwitch({"n1", "n2", "n3"}, false);  // runs TLS
  for (auto& [pair, wanted] : volume.goal.wanted) {
    wanted = true;
  }
  volume.goal.may_switch = volume.goal.in_flight = false;
  End(volume.seen, "n1", "n2").state = state_a;
  End(volume.seen, "n2", "n1").state = state_b;
  return volume;
}

TEST(RepairTest, AStandAloneEndIsReconnected) {
  Volume volume = Down("Connecting", "StandAlone");
  EXPECT_EQ(volume.DecideAfter(seconds(2)).kind, Kind::kWait);
  volume.now += seconds(2);
  VolumeDecision decision = volume.Decide();
  ASSERT_EQ(decision.kind, Kind::kAsk) << decision.why;
  EXPECT_THAT(AskedNodes(decision), ElementsAre("n2"));
  EXPECT_EQ(decision.asks[0].request.kind, TransactionKind::kReconnect);
  volume = Down("StandAlone", "StandAlone");
  decision = volume.DecideAfter(seconds(4));
  EXPECT_THAT(AskedNodes(decision), UnorderedElementsAre("n1", "n2"));
}

TEST(RepairTest, WhatIsHeldIsLeftAlone) {
  Volume volume = Down("Connecting", "StandAlone");
  volume.goal.hold[Pair::Of("n1", "n2")] = "its peer lacks writes";
  VolumeDecision decision = volume.DecideAfter(seconds(60));
  EXPECT_EQ(decision.kind, Kind::kBlocked);
  EXPECT_THAT(decision.why, HasSubstr("lacks writes"));
  volume = Down("Connecting", "StandAlone");
  volume.goal.may_repair = false;
  EXPECT_EQ(volume.DecideAfter(seconds(60)).kind, Kind::kWait)
      << "REVIEW-1 M1: the budget is spent";
  volume = Down("Connecting", "StandAlone");
  volume.goal.unfit["n2"] = "HandshakeDaemonNotReady";
  EXPECT_EQ(volume.DecideAfter(seconds(60)).kind, Kind::kBlocked);
  volume = Down("Connecting", "StandAlone");
  volume.agents.erase("n2");
  decision = volume.DecideAfter(seconds(60));
  EXPECT_EQ(decision.kind, Kind::kBlocked);
  EXPECT_THAT(decision.why, HasSubstr("drbdadm connect r0:n1"));
  volume = Down("Connecting", "StandAlone");  // in plaintext: no fault of TLS, a person's doing
  volume.Switch(Pair::Of("n1", "n2"), false);
  volume.goal.wanted[Pair::Of("n1", "n2")] = false;
  volume.seen.levels.pairs["n1/n2"] = {false, false, std::nullopt};
  EXPECT_THAT(volume.DecideAfter(seconds(60)).asks, IsEmpty());
}

// Left by a crash whose node lost its journal (REVIEW-1 C4): both ends keep trying in vain (F5).
TEST(RepairTest, EndsThatDifferAreBroughtTogether) {
  Volume volume = Down("Connecting", "Connecting");
  End(volume.seen, "n2", "n1").tls = false;
  volume.seen.levels.definition = {true, false, std::nullopt};
  VolumeDecision decision = volume.DecideAfter(seconds(4));
  ASSERT_EQ(decision.kind, Kind::kAsk) << decision.why;
  ASSERT_THAT(AskedNodes(decision), ElementsAre("n2", "n1"));
  EXPECT_EQ(decision.asks[0].request.kind, TransactionKind::kFollow);
  EXPECT_EQ(decision.asks[1].request.kind, TransactionKind::kLead);
  EXPECT_TRUE(decision.asks[0].request.tls && decision.asks[1].request.tls);
  volume.Start(decision.asks[0], false);  // the second ask was lost
  decision = volume.Decide();
  EXPECT_THAT(AskedNodes(decision), ElementsAre("n1"));
}

TEST(RepairTest, TheValueIsLinstorsOrWhatIsWantedWithAPlace) {
  const auto target = [](const std::function<void(Volume&)>& change) -> std::optional<bool> {
    Volume volume = Down("Connecting", "Connecting");
    End(volume.seen, "n2", "n1").tls = false;
    volume.seen.levels.definition = {false, true, false};  // pinned to plaintext
    change(volume);
    const VolumeDecision decision = volume.DecideAfter(seconds(4));
    return decision.asks.empty() ? std::nullopt : std::optional(decision.asks[0].request.tls);
  };
  EXPECT_EQ(target([](Volume&) {}), false);
  EXPECT_EQ(target([](Volume& v) { v.goal.may_switch = true; }), true);
  EXPECT_EQ(target([](Volume& v) { v.goal.floor_tls = true; }), true) << "the floor";
  EXPECT_EQ(target([](Volume& v) {
              v.goal.may_switch = true;
              v.goal.unfit["n2"] = "CertificateExpired";
            }),
            false);
  EXPECT_EQ(target([](Volume& v) { v.seen.levels.known = false; }), true)
      << "a guess never decrypts";
}

// REVIEW-2 S1: whoever writes a "no" into LINSTOR can write our marker beside it, and need only
// wait until a connection goes down.
TEST(RepairTest, AForgedMarkerDoesNotDecrypt) {
  const auto forged = [](const std::vector<std::string>& names) {
    Volume volume = ToSwitch(names, true);
    for (const auto& [pair, wanted] : volume.goal.wanted) {
      volume.Switch(pair, true);
    }
    volume.goal.may_switch = volume.goal.in_flight = false;
    for (EndView* end : {&End(volume.seen, "n1", "n2"), &End(volume.seen, "n2", "n1")}) {
      end->state = "Connecting";
      end->devices[0].replication = "Off";
      end->devices[0].peer_disk = "DUnknown";
    }
    End(volume.seen, "n2", "n1").tls = false;
    volume.seen.levels.controller = true;
    volume.seen.levels.definition = {};
    volume.seen.levels.pairs["n1/n2"] = {.value = false, .ours = true, .previous = false};
    volume.seen.levels.floor = true;
    return volume;
  };
  Volume volume = forged({"n1", "n2", "n3"});
  VolumeDecision decision = volume.DecideAfter(seconds(4));
  ASSERT_THAT(AskedNodes(decision), ElementsAre("n2", "n1")) << decision.why;
  EXPECT_TRUE(decision.asks[0].request.tls && decision.asks[1].request.tls);

  volume.goal.unfit["n2"] = "CertificateExpired";
  decision = volume.Decide();
  EXPECT_EQ(decision.kind, Kind::kBlocked) << "two copies are left: it waits for its encryption";
  EXPECT_THAT(decision.why, HasSubstr("node n2 is not ready: CertificateExpired"));
  volume.agents.erase("n2");
  EXPECT_EQ(volume.Decide().kind, Kind::kBlocked) << "the other end does not go down to it";

  Volume alone = forged({"n1", "n2"});
  alone.goal.unfit["n2"] = "CertificateExpired";
  decision = alone.DecideAfter(seconds(4));
  ASSERT_EQ(decision.kind, Kind::kAsk) << decision.why;
  EXPECT_FALSE(decision.asks[0].request.tls) << "data first: the Primary has the only copy";

  Volume begun = forged({"n1", "n2", "n3"});  // on its first way to TLS
  begun.goal.unfit["n2"] = "CertificateExpired";
  begun.Switch(Pair::Of("n1", "n3"), false);
  decision = begun.DecideAfter(seconds(4));
  ASSERT_EQ(decision.kind, Kind::kAsk) << decision.why;
  EXPECT_FALSE(decision.asks[0].request.tls) << "it has never been encrypted";
}

// A Follow that takes back waits for its connection for good: found by a walk in which both ends
// waited for each other.
TEST(RepairTest, AFollowThatGoesBackDoesNotKeepItsConnectionDown) {
  Volume volume = ToSwitch({"n1", "n2", "n3"}, false);
  AskNode follow;
  follow.node = "n3";
  follow.request = {.kind = TransactionKind::kFollow, .peers = {"n2"}, .tls = false};
  volume.Start(follow, false);
  volume.running[0].progress.undoing = true;
  End(volume.seen, "n2", "n3").state = "StandAlone";
  End(volume.seen, "n3", "n2").state = "Connecting";
  VolumeDecision decision = volume.DecideAfter(kRepairAfter);
  ASSERT_EQ(decision.kind, Kind::kAsk) << decision.why;
  EXPECT_EQ(decision.asks[0].request.kind, TransactionKind::kReconnect);
  EXPECT_THAT(AskedNodes(decision), ElementsAre("n2"));

  End(volume.seen, "n3", "n2").state = "StandAlone";
  decision = volume.Decide();
  EXPECT_THAT(AskedNodes(decision), ElementsAre("n2")) << "the Follow connects its own end";

  End(volume.seen, "n2", "n3").state = "Connecting";
  EXPECT_EQ(volume.Decide().kind, Kind::kWait) << "the Follow connects its own end";
}

TEST(RepairTest, AFollowThatGoesBackToAnotherValueIsMetByTheOtherEnd) {
  Volume volume = ToSwitch({"n1", "n2", "n3"}, false);
  for (const bool on_n2 : {true, false}) {
    Volume one = volume;
    AskNode follow;
    follow.node = on_n2 ? "n2" : "n3";
    follow.request = {
        .kind = TransactionKind::kFollow, .peers = {on_n2 ? "n3" : "n2"}, .tls = false};
    one.Start(follow, false);
    one.running[0].progress.undoing = true;
    for (EndView* end : {&End(one.seen, "n2", "n3"), &End(one.seen, "n3", "n2")}) {
      end->state = "Connecting";
    }
    End(one.seen, on_n2 ? "n3" : "n2", follow.node).tls = false;
    const VolumeDecision decision = one.DecideAfter(kRepairAfter);
    ASSERT_EQ(decision.kind, Kind::kAsk) << decision.why;
    EXPECT_EQ(decision.asks[0].request.kind, TransactionKind::kLead) << "it finds the value (F30)";
    EXPECT_THAT(AskedNodes(decision), ElementsAre(on_n2 ? "n3" : "n2"));
  }
}

TEST(RepairTest, AnEndWithoutAgentCannotBeChanged) {
  Volume volume = Down("Connecting", "Connecting");
  End(volume.seen, "n2", "n1").tls = false;
  volume.agents.erase("n2");
  VolumeDecision decision = volume.DecideAfter(seconds(4));
  ASSERT_THAT(AskedNodes(decision), ElementsAre("n1"));
  EXPECT_FALSE(decision.asks[0].request.tls);
  volume.goal.floor_tls = true;
  decision = volume.Decide();
  EXPECT_EQ(decision.kind, Kind::kBlocked);
  EXPECT_THAT(decision.why, HasSubstr("n2 has no agent"));
}

// ---- new session keys (REVIEW-2 M8)

Volume Encrypted(const std::vector<std::string>& names) {
  Volume volume = ToSwitch(names, true);
  volume.seen.levels = {};
  volume.seen.levels.known = true;
  volume.seen.levels.controller = true;
  for (auto& [pair, connection] : volume.seen.connections) {
    volume.Switch(pair, true);
    connection.a.session = "1-2,3-4";
    volume.goal.rekey[pair] = connection.a.session;
  }
  for (auto& [name, agent] : volume.agents) {
    agent.protocol = kProtocolVersion;
  }
  return volume;
}

TEST(RekeyTest, OneConnectionAfterTheOtherFromTheEndThatKnows) {
  Volume volume = Encrypted({"n1", "n2", "n3"});
  VolumeDecision decision = volume.Decide();
  ASSERT_EQ(decision.kind, Kind::kAsk) << decision.why;
  ASSERT_THAT(AskedNodes(decision), ElementsAre("n1")) << "the Primary's end cuts";
  const TransactionRequest& request = decision.asks[0].request;
  EXPECT_EQ(request.kind, TransactionKind::kLead);
  EXPECT_TRUE(request.rekey && request.tls && request.floor_tls);
  volume.StartAll(decision, false);
  EXPECT_EQ(volume.Decide().kind, Kind::kWait) << "one at a time";
  volume.running.clear();
  for (auto& [pair, connection] : volume.seen.connections) {
    connection.a.session = "5-2,3-6";  // reconnected: the plan that says otherwise is old
  }
  decision = volume.Decide();
  EXPECT_EQ(decision.kind, Kind::kNothing) << decision.why;
  EXPECT_TRUE(decision.done);
}

TEST(RekeyTest, IsACutLikeAnyOther) {
  const Pair pair = Pair::Of("n1", "n2");
  const auto why = [&](const std::function<void(Volume&)>& change) {
    Volume volume = Encrypted({"n1", "n2", "n3"});
    volume.goal.rekey = {{pair, "1-2,3-4"}};
    change(volume);
    EXPECT_THAT(volume.Decide().asks, IsEmpty());
    const auto obstacle = FindRekeyObstacle(volume.seen, volume.goal, volume.agents, pair);
    return obstacle ? obstacle->reason : "";
  };
  EXPECT_THAT(why([](Volume& v) { v.agents["n2"].protocol = 2; }),
              HasSubstr("cannot renew session keys yet"))
      << "an older agent would do nothing and call it done";
  EXPECT_THAT(why([](Volume& v) { v.goal.unfit["n2"] = "CertificateExpired"; }),
              HasSubstr("CertificateExpired"))
      << "the connection would not come back";
  EXPECT_THAT(why([](Volume& v) { End(v.seen, "n1", "n3").devices[0].replication = "SyncSource"; }),
              HasSubstr("SyncSource"));
  EXPECT_THAT(why([](Volume& v) { MakeDiskless(v.seen, "n3"); }), HasSubstr("allowSingleCopy"));
  EXPECT_EQ(why([](Volume& v) { v.goal.may_switch = false; }), "") << "it only waits for its turn";
}

// ---- strategies

StrategyPlan Plan(const ResourceObservation& seen,
                  StrategyChoice choice = StrategyChoice::kAuto,
                  bool single = false) {
  VolumeGoal goal;
  for (const auto& [pair, connection] : seen.connections) {
    goal.wanted[pair] = true;
  }
  goal.strategy = choice;
  goal.allow_single_copy = single;
  return ChooseStrategy(seen, goal);
}

TEST(StrategyTest, PrefersNoFreezeWhereTwoCopiesAreLeft) {
  const ResourceObservation three = testing_seen::Healthy({"n1", "n2", "n3"});
  EXPECT_EQ(Plan(three).strategy, Strategy::kPairByPair);
  ResourceObservation two = testing_seen::Healthy({"n1", "n2"});
  EXPECT_EQ(Plan(two).strategy, Strategy::kSuspendIo) << "else n1 is alone with its copy";
  // REVIEW-1 M9: a graceful cut keeps the quorum of two nodes (F4.7).
  EXPECT_EQ(Plan(two, StrategyChoice::kAuto, true).strategy, Strategy::kPairByPair);
  EXPECT_THAT(Plan(two, StrategyChoice::kPairByPair).reason, HasSubstr("allowSingleCopy"));
  two.nodes["n1"].quorum = "off";  // F4.6
  EXPECT_EQ(Plan(two, StrategyChoice::kAuto, true).strategy, Strategy::kPairByPair);
}

// Two copies and a tie-breaker, the commonest volume.
TEST(StrategyTest, TieBreaker) {
  ResourceObservation tie = testing_seen::Healthy({"n1", "n2", "n3"});
  MakeDiskless(tie, "n3");
  EXPECT_EQ(Plan(tie).strategy, Strategy::kSuspendIo);
  EXPECT_EQ(Plan(tie, StrategyChoice::kAuto, true).strategy, Strategy::kPairByPair);
  tie.nodes["n1"].primary = false;
  EXPECT_EQ(Plan(tie).strategy, Strategy::kPairByPair) << "nobody writes";
  tie.nodes["n3"].primary = true;  // F4.5
  EXPECT_EQ(Plan(tie).strategy, Strategy::kPairByPair);
}

TEST(StrategyTest, OtherQuorumRulesMustHoldWithoutThePeer) {
  ResourceObservation seen = testing_seen::Healthy({"n1", "n2", "n3"});
  seen.nodes["n1"].quorum = "all";
  const StrategyPlan all = Plan(seen);
  EXPECT_EQ(all.strategy, Strategy::kNone);
  EXPECT_THAT(all.reason, HasSubstr("quorum all"));
  seen.nodes["n1"].quorum = "2";
  EXPECT_EQ(Plan(seen).strategy, Strategy::kPairByPair);
  EXPECT_EQ(Plan(seen, StrategyChoice::kSuspendIo).strategy, Strategy::kNone)
      << "the freeze cuts both peers";
  seen.nodes["n1"].quorum = "1";
  EXPECT_EQ(Plan(seen, StrategyChoice::kSuspendIo).strategy, Strategy::kSuspendIo);
  seen.nodes["n1"].quorum = "";
  EXPECT_EQ(Plan(seen).strategy, Strategy::kNone) << "what is not known keeps no quorum";
}

// REVIEW-1 C1: resume-io would give the application I/O errors (F28).
TEST(StrategyTest, ADisklessPrimaryOfTheOnlyCopyIsNeverSuspended) {
  ResourceObservation seen = testing_seen::Healthy({"n1", "n2"});
  MakeDiskless(seen, "n1");
  seen.nodes["n1"].quorum = "off";
  for (const StrategyChoice choice : {StrategyChoice::kAuto, StrategyChoice::kSuspendIo}) {
    const StrategyPlan plan = Plan(seen, choice, true);
    EXPECT_EQ(plan.strategy, Strategy::kNone);
    EXPECT_THAT(plan.reason, HasSubstr("closed or moves"));
  }
  seen.nodes["n1"].primary = false;
  EXPECT_EQ(Plan(seen).strategy, Strategy::kPairByPair);
}

TEST(StrategyTest, IoErrorIsNeverSuspended) {  // F3
  ResourceObservation two = testing_seen::Healthy({"n1", "n2"});
  for (const char* policy : {"io-error", ""}) {
    two.nodes["n2"].on_no_quorum = policy;
    EXPECT_EQ(Plan(two).strategy, Strategy::kNone);
    EXPECT_EQ(Plan(two, StrategyChoice::kAuto, true).strategy, Strategy::kPairByPair);
  }
}

}  // namespace
}  // namespace breakwater::replication
