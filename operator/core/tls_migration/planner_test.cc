// Table tests of gate, properties, strategy, preflight and the cluster plan. Each case is a
// situation that a user's cluster can be in.

#include "operator/core/tls_migration/planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/core/tls_migration/cluster_plan.h"
#include "operator/core/tls_migration/invariants.h"
#include "operator/core/tls_migration/preflight.h"
#include "operator/core/tls_migration/test_observations.h"
#include "operator/core/tls_migration/text.h"

namespace breakwater::tls_migration {
namespace {

using ::testing::HasSubstr;
using testing_seen::End;
using testing_seen::Healthy;
using testing_seen::kNow;
using testing_seen::Want;

TEST(GateTest, HoldsOnlyWhenEverythingIsPerfectSeenFromThePrimary) {
  using Kind = GateResult::Kind;

  struct Case {
    const char* what;
    Kind kind;
    std::function<void(ResourceObservation&)> change;
  };

  const std::vector<Case> cases = {
      {"healthy", Kind::kOk, [](auto&) {}},
      {"peer outdated", Kind::kStale,
       [](auto& s) { End(s, "n1", "n2").devices[0].peer_disk = "Outdated"; }},
      {"out of sync", Kind::kOutOfSync,
       [](auto& s) { End(s, "n1", "n2").devices[0].out_of_sync_kib = 4; }},
      {"out of sync between Secondaries is normal (F4.8)", Kind::kOk,
       [](auto& s) { End(s, "n2", "n3").devices[0].out_of_sync_kib = 4; }},
      {"resync", Kind::kResync,
       [](auto& s) { End(s, "n1", "n2").devices[0].replication = "SyncSource"; }},
      {"one end still connecting", Kind::kNotConnected,
       [](auto& s) { End(s, "n2", "n1").state = "Connecting"; }},
      {"ends configured differently", Kind::kNotConfigured,
       [](auto& s) { End(s, "n2", "n1").tls = true; }},
      {"TLS without proof", Kind::kNoProof,
       [](auto& s) { End(s, "n1", "n2").tls = End(s, "n2", "n1").tls = true; }},
      {"stuck Secondaries", Kind::kStuck,
       [](auto& s) { End(s, "n3", "n2").devices[0].replication = "WFBitMapT"; }},
      {"node silent", Kind::kUnknown, [](auto& s) { s.nodes["n3"].known = false; }},
      {"quorum lost", Kind::kQuorum, [](auto& s) { s.nodes["n1"].devices[0].quorum = false; }},
      {"suspended", Kind::kSuspended, [](auto& s) { s.nodes["n1"].suspended_user = true; }},
  };
  for (const Case& test : cases) {
    ResourceObservation seen = Healthy({"n1", "n2", "n3"});
    test.change(seen);
    const GateResult result = CheckGate(seen, {});
    EXPECT_EQ(result.kind, test.kind) << test.what << ": " << result.reason;
  }
}

TEST(CutTest, KnowsWhichCutsCostQuorumOrTheLastCopy) {
  ResourceObservation three = Healthy({"n1", "n2", "n3"});
  EXPECT_FALSE(CutObstacle(three, Pair::Of("n1", "n2")));
  ResourceObservation two = Healthy({"n1", "n2"});
  EXPECT_TRUE(CutObstacle(two, Pair::Of("n1", "n2")));
  two.nodes["n1"].quorum = "off";  // F4.6
  EXPECT_FALSE(CutObstacle(two, Pair::Of("n1", "n2")));
  ResourceObservation tie = Healthy({"n1", "n2", "n3"});
  tie.nodes["n3"].devices[0].disk = "Diskless";
  tie.nodes["n3"].devices[0].client = true;
  EXPECT_FALSE(CutObstacle(tie, Pair::Of("n1", "n2")));  // F4.5
  EXPECT_FALSE(CutObstacle(tie, Pair::Of("n1", "n3")));
  ResourceObservation diskless = Healthy({"n1", "n2"});
  diskless.nodes["n1"].devices[0].disk = "Diskless";
  diskless.nodes["n1"].devices[0].client = true;
  diskless.nodes["n1"].quorum = "off";
  EXPECT_THAT(CutObstacle(diskless, Pair::Of("n1", "n2")).value_or(""),
              HasSubstr("last up-to-date"));
}

TEST(StrategyTest, PrefersNoSuspension) {
  ResourceObservation three = Healthy({"n1", "n2", "n3"});
  EXPECT_EQ(ChooseStrategy(three, Want(three, true)).strategy, Strategy::kPairByPair);
  ResourceObservation two = Healthy({"n1", "n2"});
  EXPECT_EQ(ChooseStrategy(two, Want(two, true)).strategy, Strategy::kSuspendIo);
  two.nodes["n2"].on_no_quorum = "io-error";
  EXPECT_EQ(ChooseStrategy(two, Want(two, true)).strategy, Strategy::kNone);
  two.nodes["n2"].on_no_quorum = "";  // not known is not allowed either
  EXPECT_EQ(ChooseStrategy(two, Want(two, true)).strategy, Strategy::kNone);
}

TEST(PlannerTest, BeginsWithThePrimarysConnections) {
  const ResourceObservation seen = Healthy({"n3", "n1", "n2"});  // n3 is Primary
  const std::vector<Pair> pairs = PairsToSwitch(seen, Want(seen, true).wanted);
  ASSERT_EQ(pairs.size(), 3U);
  EXPECT_EQ(pairs.back(), Pair::Of("n1", "n2"));
}

TEST(PlannerTest, CutsOnThePrimarysEndAfterJournalling) {
  const ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  const Decision decision = Next(seen, Want(seen, true), {}, kNow);
  ASSERT_TRUE(std::holds_alternative<RunOnNodes>(decision.action)) << decision.why;
  const NodeOp& first = std::get<RunOnNodes>(decision.action).stages.at(0).at(0);
  EXPECT_EQ(first.kind, NodeOp::Kind::kDisconnect);
  EXPECT_EQ(first.node, "n1");
  EXPECT_EQ(decision.run.journal.step, Step::kCut);
  EXPECT_EQ(decision.run.journal.strategy, Strategy::kPairByPair);
}

TEST(PlannerTest, NeverCutsWhileThePeerIsStale) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  End(seen, "n1", "n2").devices[0].peer_disk = "Outdated";
  Decision decision = Next(seen, Want(seen, true), {}, kNow);
  EXPECT_TRUE(std::holds_alternative<Wait>(decision.action));
  decision = Next(seen, Want(seen, true), decision.run, kNow + std::chrono::seconds(3));
  ASSERT_TRUE(std::holds_alternative<RunOnNodes>(decision.action)) << decision.why;
  EXPECT_EQ(std::get<RunOnNodes>(decision.action).stages[0][0].kind,
            NodeOp::Kind::kInvalidateRemote);
  Goal off = Want(seen, true);
  off.heal_stale = false;
  RunState state;
  state.stale_since = decision.run.stale_since;
  decision = Next(seen, off, state, kNow + std::chrono::seconds(9));
  EXPECT_TRUE(std::holds_alternative<Wait>(decision.action)) << "held when healing is switched off";
}

// A copy that lacks writes calls itself UpToDate: healed from it, the last good copy would go back
// in time.
TEST(PlannerTest, NeverHealsFromACopyThatLacksWritesItself) {
  ResourceObservation seen = Healthy({"n3", "n1", "n2"});  // n3 is Primary
  End(seen, "n3", "n1").devices[0].peer_disk = "Outdated";
  End(seen, "n1", "n2").devices[0].peer_disk = "Outdated";
  const Decision first = Next(seen, Want(seen, false), {}, kNow);
  const Decision decision =
      Next(seen, Want(seen, false), first.run, kNow + std::chrono::seconds(3));
  ASSERT_TRUE(std::holds_alternative<RunOnNodes>(decision.action)) << decision.why;
  const NodeOp& op = std::get<RunOnNodes>(decision.action).stages[0][0];
  EXPECT_EQ(op.kind, NodeOp::Kind::kInvalidateRemote);
  EXPECT_EQ(op.node, "n3") << "the Primary has all writes";
  EXPECT_EQ(op.peer, "n1");
}

TEST(PlannerTest, AHealNeedsASourceThatThePrimarySeesAsGood) {
  ResourceObservation seen = Healthy({"n3", "n1", "n2"});
  End(seen, "n1", "n2").devices[0].peer_disk = "Outdated";
  const Decision first = Next(seen, Want(seen, false), {}, kNow);
  const auto later = kNow + std::chrono::seconds(3);
  EXPECT_TRUE(
      std::holds_alternative<RunOnNodes>(Next(seen, Want(seen, false), first.run, later).action));
  End(seen, "n3", "n1").devices[0].out_of_sync_kib = 4;
  End(seen, "n3", "n1").devices[0].peer_disk = "Inconsistent";
  const Decision held = Next(seen, Want(seen, false), first.run, later);
  EXPECT_TRUE(std::holds_alternative<Wait>(held.action)) << held.why;
  EXPECT_THAT(held.why, HasSubstr("n1"));
}

// `ss` on one node does not show TLS: the way back to plaintext must not need that proof, or a
// cluster could never be decrypted there.
TEST(PlannerTest, TheWayBackNeedsNoProofOfEncryption) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"}, true);
  for (auto& [pair, connection] : seen.connections) {
    connection.a.sockets = SocketProof::kUnknown;
    connection.b.sockets = SocketProof::kUnknown;
  }
  const Decision decision = Next(seen, Want(seen, false), {}, kNow);
  EXPECT_TRUE(std::holds_alternative<RunOnNodes>(decision.action)) << decision.why;
}

TEST(PlannerTest, DoesNotStartWithoutPinOrLinstorOrFitNodes) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  seen.levels.definition = {};  // the cluster's value would reach it
  EXPECT_TRUE(std::holds_alternative<Finished>(Next(seen, Want(seen, true), {}, kNow).action));
  seen = Healthy({"n1", "n2", "n3"});
  seen.levels.known = false;
  EXPECT_THAT(Next(seen, Want(seen, true), {}, kNow).why, HasSubstr("LINSTOR"));
  seen = Healthy({"n1", "n2", "n3"});
  Goal goal = Want(seen, true);
  goal.unfit["n3"] = "CertificateExpired";
  EXPECT_THAT(Next(seen, goal, {}, kNow).why, HasSubstr("CertificateExpired"));
}

// An `ss` that cannot see TLS would keep the run, and its place, for ever.
TEST(PlannerTest, RollsBackWhatTheSocketsDoNotProve) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  for (const char* other : {"n1", "n2"}) {
    EndView& end = End(seen, other, other == std::string("n1") ? "n2" : "n1");
    end.tls = true;
    end.sockets = SocketProof::kUnknown;
  }
  seen.levels.pairs["n1/n2"] = Level{true, true, false};
  RunState state;
  state.journal = {.strategy = Strategy::kPairByPair,
                   .step = Step::kReconnect,
                   .pair = Pair::Of("n1", "n2"),
                   .started_at = kNow};
  EXPECT_FALSE(Next(seen, Want(seen, true), state, kNow + std::chrono::seconds(29))
                   .run.journal.rolling_back);
  const Decision decision = Next(seen, Want(seen, true), state, kNow + std::chrono::seconds(31));
  EXPECT_TRUE(decision.run.journal.rolling_back);
  EXPECT_THAT(decision.run.failure, HasSubstr("ss cannot prove TLS"));
}

// The operator restarted while LINSTOR is down: nobody says what is wanted.
TEST(PlannerTest, AGuessNeverDecrypts) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"}, true);
  seen.levels = {};
  End(seen, "n1", "n2").state = "StandAlone";
  End(seen, "n2", "n1").state = "Connecting";
  Decision decision = Next(seen, Goal{}, {}, kNow);
  ASSERT_TRUE(std::holds_alternative<RunOnNodes>(decision.action)) << decision.why;
  EXPECT_EQ(std::get<RunOnNodes>(decision.action).stages.at(0).at(0).kind, NodeOp::Kind::kConnect);
  End(seen, "n2", "n1").tls = false;
  decision = Next(seen, Goal{}, {}, kNow);
  EXPECT_FALSE(std::holds_alternative<RunOnNodes>(decision.action)) << decision.why;
}

// A value that somebody sets during the run must not reach connections that are up.
TEST(PlannerTest, PinsOtherConnectionsBeforeACut) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  seen.levels.definition = Level{true, false, std::nullopt};
  seen.levels.pairs["n1/n2"] = Level{false, true, false};
  RunState state;
  state.journal = {.strategy = Strategy::kPairByPair,
                   .step = Step::kCut,
                   .pair = Pair::Of("n1", "n2"),
                   .started_at = kNow};
  const Decision decision = Next(seen, Want(seen, true), state, kNow);
  ASSERT_TRUE(std::holds_alternative<ChangeLinstor>(decision.action)) << decision.why;
  EXPECT_EQ(std::get<ChangeLinstor>(decision.action).ops.size(), 2U);
}

// An admin disconnected it on purpose, or nobody knows why it is down: not ours to undo.
TEST(PlannerTest, LeavesHeldConnectionsAlone) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"}, true);
  seen.levels.controller = true;
  End(seen, "n1", "n2").state = "StandAlone";
  End(seen, "n2", "n1").state = "Connecting";
  Goal goal = Want(seen, true);
  EXPECT_TRUE(std::holds_alternative<RunOnNodes>(Next(seen, goal, {}, kNow).action));
  goal.hold.insert(Pair::Of("n1", "n2"));
  EXPECT_FALSE(std::holds_alternative<RunOnNodes>(Next(seen, goal, {}, kNow).action));
}

// Nor on the way to another one, which would come after the Primary's.
TEST(PlannerTest, ARepairLeavesTheHeldConnectionOfThePrimaryAlone) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"}, true);
  seen.levels.controller = true;
  for (const auto& [from, to] : {std::pair("n1", "n2"), std::pair("n2", "n3")}) {
    End(seen, from, to).state = "StandAlone";
    End(seen, to, from).state = "Connecting";
  }
  Goal goal = Want(seen, true);
  goal.hold.insert(Pair::Of("n1", "n2"));
  const Decision decision = Next(seen, goal, {}, kNow);
  ASSERT_TRUE(std::holds_alternative<RunOnNodes>(decision.action)) << decision.why;
  for (const auto& stage : std::get<RunOnNodes>(decision.action).stages) {
    for (const NodeOp& op : stage) {
      EXPECT_FALSE(op.node == "n1" || op.peer == "n1") << decision.why;
    }
  }
}

TEST(PlannerTest, JournalNamesAreReversible) {
  for (const Step step : {Step::kIdle, Step::kCut, Step::kReconnect, Step::kPrepare, Step::kSuspend,
                          Step::kResume, Step::kFinish, Step::kHeal}) {
    for (const bool back : {false, true}) {
      Step read = Step::kIdle;
      bool read_back = !back;
      ASSERT_TRUE(ParseStep(StepName(step, back), &read, &read_back));
      EXPECT_EQ(read, step);
      EXPECT_EQ(read_back, back);
    }
  }
  Step step = Step::kIdle;
  bool back = false;
  EXPECT_FALSE(ParseStep("Dance", &step, &back));
}

TEST(PropertiesTest, FollowsLinstorsOrder) {
  ResourceLevels levels;
  levels.controller = true;
  EXPECT_TRUE(Effective(levels, "a/b"));
  levels.group = false;
  EXPECT_FALSE(Effective(levels, "a/b"));
  levels.node_connections["a/b"] = true;
  EXPECT_TRUE(Effective(levels, "a/b"));
  levels.definition.value = false;
  EXPECT_FALSE(Effective(levels, "a/b"));
  levels.pairs["a/b"] = Level{true, true, false};
  EXPECT_TRUE(Effective(levels, "a/b"));
  EXPECT_FALSE(EffectiveWithoutOurs(levels, "a/b"));
}

// A person sets "yes" on a definition that we pinned to "no": that is a wish, not our pin.
TEST(PropertiesTest, AnotherValueBesideOurMarkIsAPersons) {
  std::map<std::string, std::string> props = {{std::string(kTlsProperty), "no"},
                                              {std::string(kPinMarker), "no"}};
  EXPECT_TRUE(ReadLevel(props, kPinMarker).ours);
  props[std::string(kTlsProperty)] = "yes";
  EXPECT_FALSE(ReadLevel(props, kPinMarker).ours);
}

NodeFacts FitNode() {
  NodeFacts facts;
  facts.name = "n1";
  facts.answered = facts.observed = facts.satellite_ready = facts.tls_module = true;
  facts.tlshd_container = facts.tlshd_ready = true;
  facts.versions = {"9.3.3", "9.34.0", true};
  CertificateFacts certificate;
  certificate.present = certificate.parsed = certificate.name_matches = true;
  certificate.server_auth = certificate.client_auth = certificate.trusted_here = true;
  certificate.not_before = kNow - std::chrono::hours(1);
  certificate.not_after = kNow + std::chrono::hours(24 * 90);
  certificate.key_mode = "600";
  facts.certificate = certificate;
  return facts;
}

ClusterInput Input(std::vector<ResourceObservation> resources) {
  ClusterInput input;
  input.linstor_known = true;
  input.cluster_value = true;
  input.resources = std::move(resources);
  return input;
}

ResourceObservation Unpinned(const std::string& name) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  seen.resource = name;
  seen.levels.definition = {};
  seen.levels.controller.reset();
  return seen;
}

// Without this order LINSTOR's adjust fails on every connected volume and is repeated for ever (F1,
// L22).
TEST(ClusterPlanTest, PinsBeforeItPushesAndPushesBeforeItStarts) {
  ClusterInput input = Input({Unpinned("r0"), Unpinned("r1")});
  ClusterPlan plan = PlanCluster(input);
  EXPECT_EQ(plan.pins.size(), 2U);
  EXPECT_FALSE(plan.push);
  EXPECT_TRUE(plan.start.empty());
  for (ResourceObservation& seen : input.resources) {
    seen.levels.definition = Level{false, true, false};
  }
  plan = PlanCluster(input);
  EXPECT_TRUE(plan.pins.empty());
  ASSERT_TRUE(plan.push);
  EXPECT_EQ(plan.push->value, true);
}

TEST(ClusterPlanTest, ABadNodeHoldsBackOnlyWhatTouchesIt) {
  ResourceObservation touches = Unpinned("r0");
  ResourceObservation other = Healthy({"n4", "n5", "n6"});
  other.resource = "r1";
  touches.levels.definition = Level{false, true, false};
  other.levels.controller.reset();
  ClusterInput input = Input({touches, other});
  input.unfit["n2"] = "CertificateExpired";
  const ClusterPlan plan = PlanCluster(input);
  EXPECT_FALSE(plan.push) << "a new volume could be placed on n2 and would not connect";
  EXPECT_THAT(plan.push_held, HasSubstr("n2"));
  EXPECT_THAT(plan.start, ::testing::ElementsAre("r1"));
  EXPECT_THAT(plan.held.at("r0"), HasSubstr("n2"));
}

TEST(ClusterPlanTest, KeepsTheLimits) {
  std::vector<ResourceObservation> resources;
  for (int i = 0; i < 6; ++i) {
    resources.push_back(Unpinned("r" + std::to_string(i)));
    resources.back().levels.definition = Level{false, true, false};
  }
  ClusterInput input = Input(resources);
  input.linstor_value = true;
  EXPECT_EQ(PlanCluster(input).start.size(), 2U);  // per node
  input.policy.max_parallel_per_node = 10;
  EXPECT_EQ(PlanCluster(input).start.size(), 4U);
  input.in_flight = {"r0", "r1", "r2"};
  EXPECT_EQ(PlanCluster(input).start.size(), 1U);
  input.policy.manual = true;
  EXPECT_TRUE(PlanCluster(input).start.empty());
  input.policy.released = {"r5"};
  EXPECT_THAT(PlanCluster(input).start, ::testing::ElementsAre("r5"));
}

// A value that a user or a StorageClass put on the definition migrates the volume as well (A4).
// Somebody set one end to plaintext while the connection was down: LINSTOR's "yes" is what is
// right, and a pin must not tell it otherwise.
TEST(ClusterPlanTest, OneEndThatDiffersIsNoReasonToPin) {
  for (const char* node : {"n1", "n2"}) {
    ResourceObservation seen = Healthy({"n1", "n2", "n3"}, true);
    seen.levels.definition = {};
    seen.levels.controller = true;
    EndView& end = End(seen, node, std::string(node) == "n1" ? "n2" : "n1");
    end.tls = false;
    end.state = "Connecting";
    ClusterInput input = Input({seen});
    input.linstor_value = true;
    input.cluster_value = true;
    EXPECT_TRUE(PlanCluster(input).pins.empty()) << node;
  }
}

TEST(ClusterPlanTest, PinsThePairsOfAResourceWithAValueOfItsOwn) {
  ResourceObservation seen = Unpinned("r0");
  seen.levels.definition = Level{true, false, std::nullopt};
  ClusterInput input = Input({seen});
  input.cluster_value.reset();
  const ClusterPlan plan = PlanCluster(input);
  ASSERT_EQ(plan.pins.size(), 3U);
  EXPECT_EQ(std::get<SetPair>(plan.pins[0].op).value, false);
  for (const PinOp& pin : plan.pins) {
    input.resources[0].levels = After(input.resources[0].levels, pin.op);
  }
  EXPECT_THAT(PlanCluster(input).start, ::testing::ElementsAre("r0"));
}

// "true" is not "no", and a deleted line is not the wish to decrypt.
TEST(ClusterPlanTest, AWrongOrRemovedValueMovesNothing) {
  ResourceObservation encrypted = Healthy({"n1", "n2", "n3"}, true);
  encrypted.levels.definition = {};
  encrypted.levels.controller = true;
  ClusterInput input = Input({encrypted});
  input.linstor_value = true;
  input.linstor_value_ours = true;
  input.cluster_value.reset();
  ClusterPlan plan = PlanCluster(input);
  EXPECT_EQ(plan.problem.reason, "ValueRemoved");
  EXPECT_TRUE(plan.pins.empty() && !plan.push && plan.start.empty());
  EXPECT_TRUE(plan.wanted.at("r0").begin()->second);
  input.invalid = "the value 'true' is neither yes nor no";
  input.linstor_value_ours = false;
  input.linstor_value.reset();
  plan = PlanCluster(input);
  EXPECT_EQ(plan.problem.reason, "InvalidValue");
  EXPECT_TRUE(plan.pins.empty() && !plan.push && plan.start.empty());
}

// One volume with lb-tcp must not make its nodes unfit for all others (F8.5).
TEST(ClusterPlanTest, ATransportWithoutTlsHoldsOnlyItsVolume) {
  NodeFacts facts = FitNode();
  facts.bad_transports = {"lb-tcp"};
  EXPECT_FALSE(FirstBlocker(CheckNode(facts, kNow)));
  ClusterInput input = Input({Unpinned("r0"), Unpinned("r1")});
  for (ResourceObservation& seen : input.resources) {
    seen.levels.definition = Level{false, true, false};
  }
  input.linstor_value = true;
  End(input.resources[0], "n1", "n2").bad_transport = "lb-tcp";
  const ClusterPlan plan = PlanCluster(input);
  EXPECT_THAT(plan.start, ::testing::ElementsAre("r1"));
  EXPECT_THAT(plan.held.at("r0"), HasSubstr("lb-tcp"));
}

// LINSTOR adjusts everything for a cluster-wide value, and resumes what is suspended (L17, L24).
TEST(ClusterPlanTest, TheClustersValueWaitsForWhatIsBeingSwitched) {
  ClusterInput input = Input({Unpinned("r0"), Unpinned("r1")});
  for (ResourceObservation& seen : input.resources) {
    seen.levels.definition = Level{false, true, false};
  }
  input.in_flight = input.journalled = {"r0"};
  const ClusterPlan plan = PlanCluster(input);
  EXPECT_FALSE(plan.push);
  EXPECT_THAT(plan.push_held, HasSubstr("r0"));
  EXPECT_TRUE(plan.start.empty()) << "else the value would never have its turn";
}

TEST(ClusterPlanTest, DoesNothingWhenNothingIsAsked) {
  ClusterInput input = Input({Unpinned("r0")});
  input.cluster_value.reset();
  const ClusterPlan plan = PlanCluster(input);
  EXPECT_TRUE(plan.pins.empty());
  EXPECT_TRUE(plan.start.empty());
  EXPECT_FALSE(plan.push);
}

TEST(PreflightTest, NamesEachReason) {
  struct Case {
    const char* reason;
    std::function<void(NodeFacts&)> change;
  };

  const std::vector<Case> cases = {
      {"DRBDTooOld", [](NodeFacts& f) { f.versions.module = "9.2.5"; }},
      {"DRBDDefective", [](NodeFacts& f) { f.versions.module = "9.3.2"; }},
      {"DRBDUtilsTooOld", [](NodeFacts& f) { f.versions.utils = "9.25.0"; }},
      {"KernelTLSMissing", [](NodeFacts& f) { f.tls_module = false; }},
      {"SocketProofMissing", [](NodeFacts& f) { f.no_socket_proof = true; }},
      {"HandshakeDaemonMissing", [](NodeFacts& f) { f.tlshd_container = false; }},
      {"HandshakeDaemonNotReady", [](NodeFacts& f) { f.tlshd_ready = false; }},
      {"CertificateMissing", [](NodeFacts& f) { f.certificate.reset(); }},
      {"CertificateNameMismatch", [](NodeFacts& f) { f.certificate->name_matches = false; }},
      {"CertificateExpired", [](NodeFacts& f) { f.certificate->not_after = kNow; }},
      {"CertificateUntrusted", [](NodeFacts& f) { f.certificate->trusted_here = false; }},
      {"CertificateKeyMismatch", [](NodeFacts& f) { f.certificate->key_fits = false; }},
      {"CertificateUntrustedByPeer", [](NodeFacts& f) { f.certificate->untrusted_by = {"n2"}; }},
      {"NodeNameTooLong", [](NodeFacts& f) { f.name = std::string(64, 'n'); }},
      {"NotObserved", [](NodeFacts& f) { f.observed = false; }},
      {"DRBDNotLoaded", [](NodeFacts& f) { f.observed = f.versions.loaded = false; }},
  };
  EXPECT_TRUE(CheckNode(FitNode(), kNow).empty());
  for (const Case& test : cases) {
    NodeFacts facts = FitNode();
    test.change(facts);
    const auto blocker = FirstBlocker(CheckNode(facts, kNow));
    ASSERT_TRUE(blocker) << test.reason;
    EXPECT_EQ(blocker->reason, test.reason);
  }
}

TEST(InvariantTest, RefusesDangerousOperations) {
  const ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  using Kind = NodeOp::Kind;
  const auto check = [&](const ResourceObservation& s, std::vector<NodeOp> ops) {
    return CheckOperations(s, RunOnNodes{{std::move(ops)}}).value_or("");
  };
  EXPECT_EQ(check(seen, {{.kind = Kind::kDisconnect, .node = "n1", .peer = "n2"}}), "");
  EXPECT_THAT(check(seen, {{.kind = Kind::kSuspend, .node = "n1"}}), HasSubstr("I1"));
  EXPECT_THAT(check(seen, {{.kind = Kind::kForceDisconnect, .node = "n2"}}), HasSubstr("I2"));
  EXPECT_THAT(check(seen, {{.kind = Kind::kForceDisconnect, .node = "n1"}}), HasSubstr("I2"));
  ResourceObservation cut = seen;
  cut.connections.at(Pair::Of("n1", "n3")).a.state = "StandAlone";
  EXPECT_THAT(check(cut, {{.kind = Kind::kDisconnect, .node = "n1", .peer = "n2"}}),
              HasSubstr("I2"));
  EXPECT_THAT(check(cut, {{.kind = Kind::kResume, .node = "n1"}}), HasSubstr("I3"));
  ResourceObservation error = seen;
  error.nodes["n1"].on_no_quorum = "io-error";
  EXPECT_THAT(check(error, {{.kind = Kind::kArm, .node = "n1", .seconds = 9},
                            {.kind = Kind::kSuspend, .node = "n1"}}),
              HasSubstr("I4"));
  ResourceObservation stale = seen;
  End(stale, "n1", "n2").devices[0].peer_disk = "Outdated";
  EXPECT_THAT(check(stale, {{.kind = Kind::kDisconnect, .node = "n1", .peer = "n2"}}),
              HasSubstr("I5"));
}

TEST(TextTest, OnlySafeNamesReachANode) {
  EXPECT_TRUE(IsSafeName("pvc-1234.a_b"));
  for (const char* bad : {"", "-x", ".x", "a b", "a;b", "a/b", "a:b", "$(x)", "a\nb"}) {
    EXPECT_FALSE(IsSafeName(bad)) << bad;
  }
}

}  // namespace
}  // namespace breakwater::tls_migration
