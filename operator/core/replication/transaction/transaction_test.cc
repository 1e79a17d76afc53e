#include "operator/core/replication/transaction/transaction.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace breakwater::replication {
namespace {

using std::chrono::milliseconds;
using Phase = TransactionState::Phase;
using Command = DrbdCommand::Kind;

const SteadyTime kStart{std::chrono::hours(1)};

DrbdConnection Peer(const std::string& name, int id) {
  return {.peer_node_id = id,
          .peer = name,
          .state = "Connected",
          .peer_role = "Secondary",
          .tls = false,
          .paths = {{"10.0.0.1", 7000, "10.0.0." + std::to_string(id + 1), 7000}},
          .devices = {{.volume = 0, .replication = "Established", .peer_disk = "UpToDate"}}};
}

/// node1's view of r1: Primary, three good replicas, plaintext.
LocalView Good() {
  LocalView view;
  view.at = kStart;
  view.status =
      DrbdStatus{.name = "r1",
                 .node_id = 0,
                 .role = "Primary",
                 .devices = {{.volume = 0, .minor = 1000, .disk = "UpToDate", .quorum = true}},
                 .connections = {Peer("node2", 1), Peer("node3", 2)}};
  view.show = DrbdShow{.name = "r1",
                       .quorum = "majority",
                       .minimum_redundancy = "off",
                       .on_no_quorum = "suspend-io",
                       .on_no_data = "suspend-io"};
  return view;
}

TransactionRequest Request(TransactionKind kind) {
  TransactionRequest request{.id = "t1",
                             .epoch = 1,
                             .kind = kind,
                             .resource = "r1",
                             .peers = {"node2"},
                             .tls = true,
                             .within = milliseconds(10000)};
  if (kind == TransactionKind::kSuspendedSwitch) {
    request.peers = {"node2", "node3"};
  } else if (kind == TransactionKind::kResume) {
    request.peers = {};
  }
  return request;
}

/// One transaction played by hand: the test shows views and says how commands end.
class Play {
 public:
  explicit Play(TransactionKind kind) : Play(Request(kind)) {}

  explicit Play(const TransactionRequest& request) : state(StartTransaction(request, kStart)) {}

  /// The next decision on this view, read now.
  const TransactionStep& See(LocalView view) {
    view.at = now;
    decision = NextStep(view, state, now, random);
    state = decision.state;
    return decision.step;
  }

  std::optional<Command> Command_(const LocalView& view) {
    const auto* command = std::get_if<DrbdCommand>(&See(view));
    return command == nullptr ? std::nullopt : std::optional<Command>(command->kind);
  }

  /// The decided command ends.
  void End(int exit_code) {
    state = AfterCommand(state, std::get<DrbdCommand>(decision.step), exit_code, now);
  }

  std::optional<TransactionResult> Result() const {
    const auto* finished = std::get_if<TransactionFinished>(&decision.step);
    return finished == nullptr ? std::nullopt : std::optional<TransactionResult>(finished->result);
  }

  bool Waits() const { return std::holds_alternative<WaitUntil>(decision.step); }

  DrbdCommand Last() const { return std::get<DrbdCommand>(decision.step); }

  TransactionState state;
  TransactionDecision decision{};
  SteadyTime now = kStart;
  std::uint32_t random = 0;
};

struct Case {
  const char* what;
  std::function<void(LocalView*)> change;
  std::string code;
};

std::vector<Case> CasesOfTheGuard() {
  const auto status = [](const std::function<void(DrbdStatus*)>& change) {
    return [change](LocalView* view) { change(&*view->status); };
  };
  return {
      {"resource is down", [](LocalView* v) { v->status.reset(); }, "NotUp"},
      {"suspended by a person (H4)", status([](auto* s) { s->suspended_user = true; }),
       "Suspended"},
      {"no data", status([](auto* s) { s->suspended_no_data = true; }), "NoData"},
      {"frozen by quorum", status([](auto* s) { s->suspended_quorum = true; }), "NoQuorum"},
      {"no quorum", status([](auto* s) { s->devices[0].quorum = false; }), "NoQuorum"},
      {"no volumes", status([](auto* s) { s->devices.clear(); }), "NotUp"},
      {"peer is gone", status([](auto* s) { s->connections.erase(s->connections.begin()); }),
       "NoPeer"},
      {"other connection down", status([](auto* s) { s->connections[1].state = "Connecting"; }),
       "NotConnected"},
      {"stale peer (F12)",
       status([](auto* s) { s->connections[0].devices[0].peer_disk = "Outdated"; }), "StalePeer"},
      {"other peer stale",
       status([](auto* s) { s->connections[1].devices[0].peer_disk = "Outdated"; }), "StalePeer"},
      {"stale is said before a resync", status([](auto* s) {
         s->connections[0].devices[0].replication = "SyncSource";
         s->connections[1].devices[0].peer_disk = "Outdated";
       }),
       "StalePeer"},
      {"peer disk inconsistent",
       status([](auto* s) { s->connections[1].devices[0].peer_disk = "Inconsistent"; }),
       "PeerDisk"},
      {"peer disk failed, no client",
       status([](auto* s) { s->connections[1].devices[0].peer_disk = "Diskless"; }), "PeerDisk"},
      {"blocks out of sync",
       status([](auto* s) { s->connections[1].devices[0].out_of_sync_kib = 4; }), "OutOfSync"},
      {"resync", status([](auto* s) { s->connections[1].devices[0].replication = "SyncSource"; }),
       "Resync"},
      {"verify (M5)", status([](auto* s) { s->connections[1].devices[0].replication = "VerifyS"; }),
       "Verify"},
      {"a volume is not shown", status([](auto* s) { s->connections[1].devices.clear(); }),
       "Unknown"},
      {"two Primaries", status([](auto* s) { s->connections[1].peer_role = "Primary"; }),
       "TwoPrimaries"},
      {"quorum rule unknown", [](LocalView* v) { v->show->quorum = ""; }, "NoQuorum"},
      {"quorum all", [](LocalView* v) { v->show->quorum = "all"; }, "NoQuorum"},
      {"redundancy of three", [](LocalView* v) { v->show->minimum_redundancy = "3"; }, "NoQuorum"},
  };
}

TEST(LeadGuardTest, RefusesWhateverIsNotGood) {
  std::vector<Case> cases = CasesOfTheGuard();
  cases.push_back({"quorum of three", [](LocalView* v) { v->show->quorum = "3"; }, "NoQuorum"});
  cases.push_back(
      {"own disk", [](LocalView* v) { v->status->devices[0].disk = "Inconsistent"; }, "OwnDisk"});
  cases.push_back({"own disk failed", [](LocalView* v) { v->status->devices[0].disk = "Diskless"; },
                   "OwnDisk"});
  cases.push_back({"the peer became Primary",
                   [](LocalView* v) {
                     v->status->role = "Secondary";
                     v->status->connections[0].peer_role = "Primary";
                   },
                   "PeerIsPrimary"});
  cases.push_back(
      {"alone with its copy", [](LocalView* v) { v->status->connections.pop_back(); }, "LastCopy"});
  cases.push_back({"the last data of a diskless Primary (F26.5)",
                   [](LocalView* v) {
                     v->status->devices[0].disk = "Diskless";
                     v->status->devices[0].client = true;
                     v->status->connections.pop_back();
                   },
                   "LastCopy"});
  for (const Case& c : cases) {
    Play play(TransactionKind::kLead);
    LocalView view = Good();
    c.change(&view);
    play.See(view);
    ASSERT_TRUE(play.Result()) << c.what << ": " << play.decision.why;
    EXPECT_EQ(play.Result()->outcome, TransactionOutcome::kRefused) << c.what;
    EXPECT_EQ(play.Result()->code, c.code) << c.what;
    EXPECT_NE(play.Result()->reason, "") << c.what;
  }
}

TEST(SuspendedSwitchGuardTest, RefusesWhateverIsNotGood) {
  std::vector<Case> cases = CasesOfTheGuard();
  cases.push_back(
      {"not Primary", [](LocalView* v) { v->status->role = "Secondary"; }, "NotPrimary"});
  cases.push_back({"no data of its own (F28, C1)",
                   [](LocalView* v) {
                     v->status->devices[0].disk = "Diskless";
                     v->status->devices[0].client = true;
                   },
                   "NoOwnData"});
  cases.push_back(
      {"io-error (F3, I4)", [](LocalView* v) { v->show->on_no_quorum = "io-error"; }, "IoError"});
  cases.push_back({"policy unknown", [](LocalView* v) { v->show->on_no_quorum = ""; }, "IoError"});
  cases.push_back({"quorum of two", [](LocalView* v) { v->show->quorum = "2"; }, "NoQuorum"});
  cases.push_back({"no minor", [](LocalView* v) { v->status->devices[0].minor = -1; }, "Unknown"});
  for (const Case& c : cases) {
    Play play(TransactionKind::kSuspendedSwitch);
    LocalView view = Good();
    c.change(&view);
    play.See(view);
    ASSERT_TRUE(play.Result()) << c.what << ": " << play.decision.why;
    EXPECT_EQ(play.Result()->outcome, TransactionOutcome::kRefused) << c.what;
    EXPECT_EQ(play.Result()->code, c.code) << c.what;
  }
}

TEST(LeadGuardTest, AllowsWhatKeepsQuorumAndACopy) {
  const std::vector<std::pair<const char*, std::function<void(LocalView*, TransactionRequest*)>>>
      cases = {
          {"good", [](auto*, auto*) {}},
          {"two nodes, the user accepts one copy (M9)",
           [](LocalView* v, TransactionRequest* r) {
             v->status->connections.pop_back();
             r->allow_single_copy = true;
           }},
          {"a tiebreaker takes no copy away",
           [](LocalView* v, TransactionRequest*) {
             v->status->connections[0].devices[0].peer_disk = "Diskless";
             v->status->connections[0].devices[0].peer_client = true;
           }},
          {"diskless Primary with another copy",
           [](LocalView* v, TransactionRequest*) {
             v->status->devices[0].disk = "Diskless";
             v->status->devices[0].client = true;
           }},
          {"io-error: a graceful cut keeps quorum (F4.7)",
           [](LocalView* v, TransactionRequest*) { v->show->on_no_quorum = "io-error"; }},
          {"quorum of two holds", [](LocalView* v, TransactionRequest*) { v->show->quorum = "2"; }},
          {"quorum off",
           [](LocalView* v, TransactionRequest*) {
             v->show->quorum = "off";
             v->show->minimum_redundancy = "all";
           }},
          {"between Secondaries out-of-sync says nothing (F4.8)",
           [](LocalView* v, TransactionRequest*) {
             v->status->role = "Secondary";
             v->status->connections[0].devices[0].out_of_sync_kib = 4096;
             v->status->connections[1].peer_role = "Primary";
           }},
      };
  for (const auto& [what, change] : cases) {
    TransactionRequest request = Request(TransactionKind::kLead);
    LocalView view = Good();
    change(&view, &request);
    Play play(request);
    EXPECT_EQ(play.Command_(view), Command::kDisconnect) << what << ": " << play.decision.why;
    EXPECT_EQ(play.state.phase, Phase::kCut) << "in the journal before the command";
  }
}

// C2: what was seen some time ago is no guard.
TEST(GuardTest, AnOldLookIsNoGuard) {
  for (const auto kind : {TransactionKind::kLead, TransactionKind::kSuspendedSwitch}) {
    Play play(kind);
    LocalView view = Good();
    view.at = kStart;
    play.now = kStart + milliseconds(2500);
    play.decision = NextStep(view, play.state, play.now, 0);
    EXPECT_TRUE(play.Waits());
    EXPECT_EQ(play.Command_(Good()),
              kind == TransactionKind::kLead ? Command::kDisconnect : Command::kSuspendIo);
  }
}

TEST(LeadTest, ADeclinedCutIsTriedAFewTimesAndThenRefused) {
  Play play(TransactionKind::kLead);
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(play.Command_(Good()), Command::kDisconnect) << i;
    play.End(11);  // F4.4
    play.See(Good());
    if (i < 3) {
      EXPECT_TRUE(play.Waits()) << "not at once";
    }
    play.now += milliseconds(250);
  }
  play.See(Good());
  ASSERT_TRUE(play.Result());
  EXPECT_EQ(play.Result()->outcome, TransactionOutcome::kRefused);
  EXPECT_EQ(play.Result()->code, "Declined");
}

TEST(LeadTest, ACutThatTheKernelForbidsIsNotRepeated) {
  Play play(TransactionKind::kLead);
  ASSERT_EQ(play.Command_(Good()), Command::kDisconnect);
  play.End(17);  // F26.5
  play.See(Good());
  ASSERT_TRUE(play.Result());
  EXPECT_EQ(play.Result()->code, "LastCopy");
}

TEST(LeadTest, SetsBeforeItConnectsAndRetriesWhatAHandshakeRefuses) {
  Play play(TransactionKind::kLead);
  play.See(Good());
  play.End(0);
  LocalView down = Good();
  down.status->connections[0].state = "StandAlone";
  ASSERT_EQ(play.Command_(down), Command::kNetOptions);
  EXPECT_TRUE(play.Last().tls);
  EXPECT_EQ(play.Last().peer_id, 1);
  play.End(10);  // F19.3
  play.See(down);
  EXPECT_TRUE(play.Waits());
  play.now += milliseconds(200);
  ASSERT_EQ(play.Command_(down), Command::kNetOptions);
  play.End(0);
  down.status->connections[0].tls = true;
  ASSERT_EQ(play.Command_(down), Command::kConnect);
  EXPECT_EQ(play.state.phase, Phase::kConnect);
}

LocalView Switched(const LocalView& from, bool proof) {
  LocalView view = from;
  view.status->connections[0].tls = true;
  view.sockets.reliable = proof;
  if (proof) {
    view.sockets.sockets = {{"ESTAB", "10.0.0.1", 7000, "10.0.0.2", 40000, true, true},
                            {"ESTAB", "10.0.0.1", 40001, "10.0.0.2", 7000, true, true}};
  }
  return view;
}

TEST(LeadTest, IsDoneOnlyWithTheProofOfTheSockets) {
  Play play(TransactionKind::kLead);
  play.See(Switched(Good(), false));
  EXPECT_TRUE(play.Waits());
  EXPECT_TRUE(ScopeOf(play.state).sockets);
  play.See(Switched(Good(), true));
  ASSERT_TRUE(play.Result());
  EXPECT_EQ(play.Result()->outcome, TransactionOutcome::kDone);
  EXPECT_EQ(play.Result()->code, "");
}

// R6: a socket may become TLS between two reads; F24.2: an ss that sees nothing proves nothing.
TEST(LeadTest, WithoutProofItIsDoneButDoesNotClaim) {
  Play play(TransactionKind::kLead);
  play.See(Switched(Good(), false));
  play.now += milliseconds(1000);
  play.See(Switched(Good(), false));
  EXPECT_TRUE(play.Waits()) << "a moment of patience";
  play.now += milliseconds(1500);
  play.See(Switched(Good(), false));
  ASSERT_TRUE(play.Result());
  EXPECT_EQ(play.Result()->outcome, TransactionOutcome::kDone);
  EXPECT_EQ(play.Result()->code, "NoProof");
}

TEST(LeadTest, AStalePeerAfterTheReconnectIsHealedNotCut) {
  Play play(TransactionKind::kLead);
  play.See(Good());
  play.End(0);
  LocalView down = Good();
  down.status->connections[0].state = "Connecting";
  down.status->connections[0].tls = true;
  play.See(down);
  LocalView stale = Switched(Good(), true);
  stale.status->connections[0].devices[0].peer_disk = "Outdated";
  play.See(stale);
  EXPECT_TRUE(play.Waits()) << "normal for a moment (F14.1)";
  play.now += milliseconds(2100);
  ASSERT_EQ(play.Command_(stale), Command::kInvalidateRemote);
  EXPECT_EQ(ToArguments(play.Last()),
            (std::vector<std::string>{"drbdsetup", "invalidate-remote", "r1", "1", "0",
                                      "--reset-bitmap=no"}));
  play.End(0);
  EXPECT_EQ(play.state.result.healed, 1);
}

// The operator would blame the TLS of a node, and hold its connections back for a minute.
TEST(LeadTest, AnUndoAfterARestartOfTheAgentDoesNotSpeakOfTheConnection) {
  for (const bool restarted : {false, true}) {
    Play play(TransactionKind::kLead);
    play.See(Good());
    play.End(0);
    play.state = restarted ? AfterRestart(play.state) : play.state;
    LocalView down = Good();
    down.status->connections[0].state = "Connecting";
    down.status->connections[0].tls = true;
    play.now = play.state.until;
    play.See(down);
    play.state = AfterRestart(play.state);  // in the undo: its reason is known
    play.See(Good());
    ASSERT_TRUE(play.Result()) << play.decision.why;
    EXPECT_EQ(play.Result()->code, restarted ? "Interrupted" : "Timeout");
  }
}

// F30, REVIEW-2, agent: only from some time after the undo, at random periods, and only where the
// floor allows both.
TEST(LeadTest, AlternatesAtRandomPeriodsWithinTheFloor) {
  for (const bool floor : {false, true}) {
    TransactionRequest request = Request(TransactionKind::kLead);
    request.floor_tls = floor;
    Play play(request);
    play.See(Good());
    play.End(0);
    LocalView down = Good();
    down.status->connections[0].state = "Connecting";
    down.status->connections[0].tls = true;
    play.now = play.state.until;
    std::vector<bool> values;
    std::vector<milliseconds> periods;
    SteadyTime last = play.now;
    for (int i = 0; i < 400; ++i) {
      play.random = static_cast<std::uint32_t>(i) * 7919U;
      if (play.Command_(down) == Command::kNetOptions) {
        values.push_back(play.Last().tls);
        periods.push_back(std::chrono::duration_cast<milliseconds>(play.now - last));
        last = play.now;
        down.status->connections[0].tls = play.Last().tls;
        play.End(0);
      }
      play.now += milliseconds(100);
    }
    if (floor) {
      EXPECT_TRUE(values.empty()) << "tls stays";
      continue;
    }
    ASSERT_GE(values.size(), 5U);
    for (std::size_t i = 0; i < values.size(); ++i) {
      EXPECT_EQ(values[i], i % 2 == 1) << "the old value first, then in turn";
    }
    EXPECT_EQ(periods[0], milliseconds(0)) << "the undo begins at once";
    EXPECT_GE(periods[1], milliseconds(5000));
    for (std::size_t i = 2; i < periods.size(); ++i) {
      EXPECT_GE(periods[i], milliseconds(2000));
      EXPECT_LE(periods[i], milliseconds(6100));
    }
  }
}

// F19.1: a bounded number of further cuts, each after the whole guard.
TEST(LeadTest, AForeignReconnectIsCutAgainOnlyAFewTimes) {
  Play play(TransactionKind::kLead);
  LocalView down = Good();
  down.status->connections[0].state = "StandAlone";
  int cuts = 0;
  while (!play.Result() && cuts < 10) {
    if (play.Command_(Good()) == Command::kDisconnect) {
      ++cuts;
      play.End(0);
      play.See(down);
      play.End(0);
    }
    play.now += milliseconds(200);
  }
  EXPECT_EQ(cuts, 3);
  ASSERT_TRUE(play.Result());
  EXPECT_EQ(play.Result()->code, "ForeignChange");
  EXPECT_EQ(play.Result()->outcome, TransactionOutcome::kUndone);
}

// REVIEW-2 M8: new session keys. The value is the same, so only the cut tells what was done.
TEST(LeadTest, ARekeyCutsOnceAndNeverLeavesTls) {
  TransactionRequest request = Request(TransactionKind::kLead);
  request.rekey = true;
  EXPECT_TRUE(RequestProblem(request)) << "it could end in plaintext";
  request.floor_tls = true;
  EXPECT_FALSE(RequestProblem(request));
  LocalView up = Good();
  for (DrbdConnection& connection : up.status->connections) {
    connection.tls = true;
  }
  Play play(request);
  ASSERT_EQ(play.Command_(up), Command::kDisconnect);
  play.End(0);
  LocalView down = up;
  down.status->connections[0].state = "StandAlone";
  ASSERT_EQ(play.Command_(down), Command::kConnect) << "no value is set";
  play.End(0);
  down.status->connections[0].state = "Connecting";
  for (int i = 0; i < 300; ++i) {  // the handshake fails, for longer than it may take
    const std::optional<Command> command = play.Command_(down);
    EXPECT_NE(command, Command::kNetOptions);
    if (command) {
      play.End(0);
    }
    play.now += milliseconds(200);
  }
  EXPECT_FALSE(play.Result()) << "it is not left alone in this state";
  play.See(up);
  while (!play.Result()) {
    ASSERT_TRUE(play.Waits()) << "no second cut";
    play.now += milliseconds(500);
    play.See(up);
  }
  EXPECT_EQ(play.Result()->outcome, TransactionOutcome::kDone) << "it came back, if late";
}

TEST(LeadTest, ARekeyIsRefusedLikeAnyCut) {
  TransactionRequest request = Request(TransactionKind::kLead);
  request.rekey = request.floor_tls = true;
  LocalView view = Good();
  for (DrbdConnection& connection : view.status->connections) {
    connection.tls = true;
  }
  view.status->connections[1].state = "Connecting";
  Play play(request);
  play.See(view);
  ASSERT_TRUE(play.Result());
  EXPECT_EQ(play.Result()->outcome, TransactionOutcome::kRefused);
  EXPECT_EQ(play.Result()->code, "NotConnected");
}

// The process died in the disconnect: the journal says that it was begun.
TEST(LeadTest, ARekeyThatWasKilledInItsCutDoesNotCutAgain) {
  TransactionRequest request = Request(TransactionKind::kLead);
  request.rekey = request.floor_tls = true;
  LocalView up = Good();
  for (DrbdConnection& connection : up.status->connections) {
    connection.tls = true;
  }
  Play play(request);
  ASSERT_EQ(play.Command_(up), Command::kDisconnect);
  play.state = AfterRestart(play.state);
  LocalView down = up;
  down.status->connections[0].state = "StandAlone";
  ASSERT_EQ(play.Command_(down), Command::kConnect);
  play.End(0);
  for (int i = 0; i < 100 && !play.Result(); ++i) {
    EXPECT_FALSE(play.Command_(up));
    play.now += milliseconds(500);
  }
  ASSERT_TRUE(play.Result());
}

TEST(FollowTest, WaitsArmedAndTouchesNothingThatIsUp) {
  Play play(TransactionKind::kFollow);
  play.See(Good());
  EXPECT_TRUE(play.Waits());
  EXPECT_TRUE(Armed(play.state));
  play.now = play.state.until;
  play.See(Good());
  ASSERT_TRUE(play.Result());
  EXPECT_EQ(play.Result()->outcome, TransactionOutcome::kUndone);
  EXPECT_EQ(play.Result()->code, "Timeout");
}

TEST(FollowTest, SetsInEveryStateThatIsDown) {
  for (const char* state :
       {"TearDown", "Connecting", "NetworkFailure", "BrokenPipe", "Unconnected", "StandAlone"}) {
    Play play(TransactionKind::kFollow);
    play.See(Good());
    LocalView down = Good();
    down.status->connections[0].state = state;
    ASSERT_EQ(play.Command_(down), Command::kNetOptions) << state;
    play.End(0);
    down.status->connections[0].tls = true;
    const auto next = play.Command_(down);
    EXPECT_EQ(next,
              state == std::string("StandAlone") ? std::optional(Command::kConnect) : std::nullopt);
    play.See(Switched(Good(), false));
    ASSERT_TRUE(play.Result()) << state;
    EXPECT_EQ(play.Result()->outcome, TransactionOutcome::kDone);
  }
}

TEST(FollowTest, GoesBackAtItsTimeAndStaysUntilItIsConnected) {
  Play play(TransactionKind::kFollow);
  LocalView down = Good();
  down.status->connections[0].state = "Connecting";
  play.See(down);
  play.End(0);
  down.status->connections[0].tls = true;
  play.now = play.state.until;
  ASSERT_EQ(play.Command_(down), Command::kNetOptions);
  EXPECT_FALSE(play.Last().tls);
  EXPECT_FALSE(Armed(play.state));
  play.End(0);
  down.status->connections[0].tls = false;
  for (int i = 0; i < 100; ++i) {
    play.now += milliseconds(500);
    play.See(down);
    ASSERT_TRUE(play.Waits()) << "one end alternates, not both (F30)";
  }
  play.See(Good());
  ASSERT_TRUE(play.Result());
  EXPECT_EQ(play.Result()->outcome, TransactionOutcome::kUndone);
}

TEST(FollowTest, ACancelledFollowEndsAtOnceWhenNothingWasTouched) {
  Play play(TransactionKind::kFollow);
  play.See(Good());
  play.state = Cancel(play.state);
  play.See(Good());
  ASSERT_TRUE(play.Result());
  EXPECT_EQ(play.Result()->code, "Cancelled");
}

LocalView Suspended(LocalView view) {
  view.status->suspended_user = true;
  return view;
}

LocalView WithState(LocalView view, const std::string& state, const std::string& disk) {
  for (DrbdConnection& connection : view.status->connections) {
    connection.state = state;
    connection.devices[0].replication = state == "Connected" ? "Established" : "Off";
    connection.devices[0].peer_disk = disk;
  }
  return view;
}

/// A SuspendedSwitch after its cuts, both ends StandAlone.
Play AfterTheCuts() {
  Play play(TransactionKind::kSuspendedSwitch);
  play.See(Good());
  play.End(0);
  LocalView view = Suspended(Good());
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(play.Command_(view), Command::kDisconnect);
    play.End(0);
    view.status->connections[i].state = "StandAlone";
    view.status->connections[i].devices[0].peer_disk = "Outdated";
  }
  return play;
}

TEST(SuspendedSwitchTest, TheGuardianKnowsFromBeforeTheSuspensionUntilItsEnd) {
  Play play(TransactionKind::kSuspendedSwitch);
  EXPECT_TRUE(GuardedMinors(play.state).empty());
  ASSERT_EQ(play.Command_(Good()), Command::kSuspendIo);
  EXPECT_EQ(GuardedMinors(play.state), std::vector<int>{1000}) << "before it is run";
  play.End(0);
  EXPECT_EQ(GuardedMinors(play.state), std::vector<int>{1000});
  EXPECT_EQ(GuardedUntil(play.state), play.state.until);
  LocalView view = Suspended(Good());
  for (DrbdConnection& connection : view.status->connections) {
    connection.tls = true;
  }
  play.now += milliseconds(1500);
  ASSERT_EQ(play.Command_(view), Command::kResumeIo) << play.decision.why;
  EXPECT_EQ(GuardedMinors(play.state), std::vector<int>{1000});
  play.End(0);
  EXPECT_TRUE(GuardedMinors(play.state).empty());
  EXPECT_EQ(play.state.result.frozen, milliseconds(1500));
}

TEST(SuspendedSwitchTest, ResumesFirstAndThenGoesBack) {
  Play play = AfterTheCuts();
  const LocalView view = Suspended(WithState(Good(), "StandAlone", "Outdated"));
  play.now = play.state.until - milliseconds(2000);
  ASSERT_EQ(play.Command_(view), Command::kResumeIo);  // F26.4
  EXPECT_TRUE(play.state.undoing);
  play.End(0);
  LocalView resumed = view;
  resumed.status->suspended_user = false;
  resumed.status->connections[0].tls = true;  // was set already
  ASSERT_EQ(play.Command_(resumed), Command::kNetOptions);
  EXPECT_FALSE(play.Last().tls);
}

TEST(SuspendedSwitchTest, WithoutQuorumItConnectsFirstButResumesAtTheDeadline) {
  Play play = AfterTheCuts();
  LocalView view = Suspended(WithState(Good(), "StandAlone", "DUnknown"));
  view.status->devices[0].quorum = false;
  play.now = play.state.until - milliseconds(2000);
  EXPECT_EQ(play.Command_(view), Command::kConnect);
  play.End(0);
  play.now = play.state.until - milliseconds(100);
  EXPECT_EQ(play.Command_(view), Command::kResumeIo) << "the kernel's own suspension holds (F2.6)";
}

// F28, C1: EIO is worse than a freeze; nobody may resume, also no guardian.
TEST(SuspendedSwitchTest, WithoutDataItNeverResumes) {
  Play play = AfterTheCuts();
  LocalView view = Suspended(WithState(Good(), "StandAlone", "Outdated"));
  view.status->devices[0].disk = "Diskless";  // the own disk failed in the freeze
  view.status->suspended_no_data = true;
  for (int i = 0; i < 300; ++i) {
    ASSERT_NE(play.Command_(view), Command::kResumeIo);
    EXPECT_TRUE(GuardedMinors(play.state).empty());
    if (std::holds_alternative<DrbdCommand>(play.decision.step)) {
      play.End(0);
    }
    play.now += milliseconds(100);
  }
  LocalView back = Suspended(WithState(Good(), "Connected", "UpToDate"));
  back.status->devices[0].disk = "Diskless";
  EXPECT_EQ(play.Command_(back), Command::kResumeIo) << "a peer with data is back";
}

// Closed in the freeze and opened elsewhere: who opens it here next would find it frozen.
TEST(SuspendedSwitchTest, ASecondaryWithoutDataIsResumedInTime) {
  Play play = AfterTheCuts();
  LocalView view = Suspended(WithState(Good(), "StandAlone", "Outdated"));
  view.status->role = "Secondary";
  view.status->devices[0].disk = "Outdated";
  view.status->devices[0].quorum = false;
  play.now = play.state.until - milliseconds(100);
  EXPECT_EQ(play.Command_(view), Command::kResumeIo) << play.decision.why;
}

// F27.3: nobody writes, so it need not be waited for as long.
TEST(SuspendedSwitchTest, HealsAStalePeerBeforeItResumes) {
  Play play = AfterTheCuts();
  LocalView stale = Suspended(WithState(Good(), "Connected", "UpToDate"));
  stale.status->connections[0].tls = true;
  stale.status->connections[1].tls = true;
  stale.status->connections[1].devices[0].peer_disk = "Outdated";
  play.See(stale);
  EXPECT_TRUE(play.Waits());
  play.now += milliseconds(250);
  ASSERT_EQ(play.Command_(stale), Command::kInvalidateRemote);
  EXPECT_EQ(play.Last().peer_id, 2);
  play.End(0);
  stale.status->connections[1].devices[0].replication = "SyncSource";
  stale.status->connections[1].devices[0].peer_disk = "Inconsistent";
  play.See(stale);
  EXPECT_TRUE(play.Waits()) << "until it is good again";
}

// The guardian resumed, and the other peer's node is down: what is written meanwhile is not on the
// stale peer, and would be lost if the volume were moved there (F12).
TEST(SuspendedSwitchTest, AStalePeerIsHealedWhileAnotherOneIsAway) {
  Play play = AfterTheCuts();
  LocalView stale = WithState(Good(), "Connected", "UpToDate");
  stale.status->connections[0].tls = true;
  stale.status->connections[0].devices[0].peer_disk = "Outdated";
  stale.status->connections[1].state = "Connecting";
  stale.status->connections[1].tls = true;
  play.See(stale);
  EXPECT_TRUE(play.Waits()) << "normal for a moment (F14.1)";
  play.now += milliseconds(2100);
  ASSERT_EQ(play.Command_(stale), Command::kInvalidateRemote) << play.decision.why;
  EXPECT_EQ(play.Last().peer_id, 1);
}

// L24: LINSTOR resumes on its own. Safe after graceful cuts; what is not cut yet stays uncut.
TEST(SuspendedSwitchTest, WhenSomebodyElseResumesNothingMoreIsCut) {
  Play play(TransactionKind::kSuspendedSwitch);
  play.See(Good());
  play.End(0);
  ASSERT_EQ(play.Command_(Suspended(Good())), Command::kDisconnect);
  play.End(0);
  LocalView resumed = Good();
  resumed.status->connections[0].state = "StandAlone";
  EXPECT_EQ(play.Command_(resumed), Command::kConnect) << play.decision.why;
  EXPECT_EQ(play.state.failure_code, "SuspensionLost");
  EXPECT_TRUE(GuardedMinors(play.state).empty());
}

// A suspension that begins after ours has ended is somebody else's (H4: a snapshot's).
TEST(SuspendedSwitchTest, AForeignSuspensionIsNotResumed) {
  Play play = AfterTheCuts();
  play.now = play.state.until - milliseconds(2000);
  const LocalView cut = Suspended(WithState(Good(), "StandAlone", "Outdated"));
  ASSERT_EQ(play.Command_(cut), Command::kResumeIo);
  play.End(0);
  for (int i = 0; i < 50; ++i) {
    ASSERT_NE(play.Command_(cut), Command::kResumeIo);
    if (std::holds_alternative<DrbdCommand>(play.decision.step)) {
      play.End(0);
    }
    play.now += milliseconds(200);
  }
}

// F2.7: it may come into effect late, with nobody left who would resume.
TEST(SuspendedSwitchTest, ASuspensionThatFailedIsWatchedUntilItCannotComeAnyMore) {
  Play play(TransactionKind::kSuspendedSwitch);
  ASSERT_EQ(play.Command_(Good()), Command::kSuspendIo);
  play.End(20);
  play.See(Good());
  EXPECT_TRUE(play.Waits());
  EXPECT_GT(GuardedUntil(play.state), play.state.until);
  play.now = play.state.until;
  ASSERT_EQ(play.Command_(Suspended(Good())), Command::kResumeIo);
  EXPECT_EQ(GuardedUntil(play.state), play.state.until) << "it has come: no longer than was said";
  play.End(0);
  play.now += milliseconds(2500);
  play.See(Good());
  ASSERT_TRUE(play.Result()) << play.decision.why;
  EXPECT_EQ(play.Result()->code, "SuspendFailed");
  EXPECT_EQ(play.Result()->outcome, TransactionOutcome::kUndone);
}

TEST(SuspendedSwitchTest, APeerThatIsStaleAlreadyIsNotCut) {
  Play play(TransactionKind::kSuspendedSwitch);
  play.See(Good());
  play.End(0);
  LocalView stale = Suspended(Good());
  stale.status->connections[0].devices[0].peer_disk = "Outdated";
  const auto next = play.Command_(stale);
  EXPECT_NE(next, Command::kDisconnect);
  EXPECT_EQ(play.state.failure_code, "StalePeer");
}

TEST(HealTest, HealsOnlyWithOwnDataAndQuorum) {
  LocalView stale = Good();
  stale.status->connections[0].devices[0].peer_disk = "Outdated";
  Play good(TransactionKind::kHeal);
  ASSERT_EQ(good.Command_(stale), Command::kInvalidateRemote);
  good.End(0);
  good.See(Good());
  ASSERT_TRUE(good.Result());
  EXPECT_EQ(good.Result()->outcome, TransactionOutcome::kDone);
  const std::vector<Case> cases = {
      {"nothing to heal from", [](LocalView* v) { v->status->devices[0].disk = "Outdated"; },
       "NoOwnData"},
      {"no quorum", [](LocalView* v) { v->status->devices[0].quorum = false; }, "NoQuorum"},
      {"the peer is Primary", [](LocalView* v) { v->status->connections[0].peer_role = "Primary"; },
       "PeerIsPrimary"},
      {"another resync",
       [](LocalView* v) { v->status->connections[1].devices[0].replication = "SyncSource"; },
       "Resync"},
      {"suspended", [](LocalView* v) { v->status->suspended_user = true; }, "Suspended"},
      {"down", [](LocalView* v) { v->status->connections[0].state = "Connecting"; },
       "NotConnected"}};
  for (const Case& c : cases) {
    Play play(TransactionKind::kHeal);
    LocalView view = stale;
    c.change(&view);
    play.See(view);
    ASSERT_TRUE(play.Result()) << c.what;
    EXPECT_EQ(play.Result()->outcome, TransactionOutcome::kRefused) << c.what;
    EXPECT_EQ(play.Result()->code, c.code) << c.what;
  }
}

TEST(ReconnectTest, ConnectsWhatStandsAloneAndNeverSetsAValue) {
  Play play(TransactionKind::kReconnect);
  LocalView alone = Good();
  alone.status->connections[0].state = "StandAlone";
  ASSERT_EQ(play.Command_(alone), Command::kConnect);
  play.End(0);
  play.See(Good());
  ASSERT_TRUE(play.Result());
  EXPECT_EQ(play.Result()->outcome, TransactionOutcome::kDone);

  TransactionRequest request = Request(TransactionKind::kReconnect);
  request.floor_tls = true;
  Play floored(request);
  floored.See(alone);
  ASSERT_TRUE(floored.Result());
  EXPECT_EQ(floored.Result()->code, "Floor");
}

// F2.5, F23: the flag is per resource, a frozen file system per volume.
TEST(ResumeTest, ResumesEveryVolumeUnlessItWouldGiveErrors) {
  Play play(TransactionKind::kResume);
  LocalView view = Suspended(Good());
  view.status->devices.push_back({.volume = 1, .minor = 1001, .disk = "UpToDate", .quorum = true});
  ASSERT_EQ(play.Command_(view), Command::kResumeIo);
  EXPECT_EQ(play.Last().minor, 1000);
  play.End(0);
  view.status->suspended_user = false;
  ASSERT_EQ(play.Command_(view), Command::kResumeIo);
  EXPECT_EQ(play.Last().minor, 1001);
  play.End(0);
  play.See(view);
  ASSERT_TRUE(play.Result());
  EXPECT_EQ(play.Result()->outcome, TransactionOutcome::kDone);

  Play no_data(TransactionKind::kResume);  // C1
  LocalView lost = Suspended(WithState(Good(), "StandAlone", "Outdated"));
  lost.status->devices[0].disk = "Diskless";
  no_data.See(lost);
  EXPECT_TRUE(no_data.Waits());
  no_data.now = no_data.state.until;
  no_data.See(lost);
  ASSERT_TRUE(no_data.Result());
  EXPECT_EQ(no_data.Result()->code, "NoData");
}

TEST(RequestTest, WhatCannotBeARequestIsSaid) {
  EXPECT_EQ(RequestProblem(Request(TransactionKind::kLead)), std::nullopt);
  const std::vector<std::function<void(TransactionRequest*)>> wrong = {
      [](auto* r) { r->id = "../x"; },
      [](auto* r) { r->id = std::string(65, 'a'); },
      [](auto* r) { r->epoch = -1; },
      [](auto* r) { r->resource = "--all"; },
      [](auto* r) { r->peers = {}; },
      [](auto* r) {
        r->peers = {"a", "b"};
      },
      [](auto* r) { r->peers = {"a b"}; },
      [](auto* r) { r->within = milliseconds(0); },
      [](auto* r) { r->within = std::chrono::hours(2); },
      [](auto* r) { r->kind = TransactionKind::kResume; },
      [](auto* r) {
        r->kind = TransactionKind::kSuspendedSwitch;
        r->within = milliseconds(500);
      },
      [](auto* r) {
        r->tls = false;
        r->floor_tls = true;
      },
      [](auto* r) { r->volume = -1; }};
  for (std::size_t i = 0; i < wrong.size(); ++i) {
    TransactionRequest request = Request(TransactionKind::kLead);
    wrong[i](&request);
    EXPECT_TRUE(RequestProblem(request)) << i;
  }
}

// M8, F26: by ids and minors, and never by force.
TEST(RequestTest, CommandsAreDrbdsetupByIdWithoutForce) {
  for (const auto kind : {Command::kSuspendIo, Command::kResumeIo, Command::kDisconnect,
                          Command::kNetOptions, Command::kConnect, Command::kInvalidateRemote}) {
    const auto words = ToArguments({.kind = kind, .resource = "r1", .peer_id = 2, .minor = 1000});
    ASSERT_GE(words.size(), 3U);
    EXPECT_EQ(words[0], "drbdsetup");
    EXPECT_EQ(std::count(words.begin(), words.end(), "--force"), 0);
  }
}

// drbd-utils before 9.28 do not show tls in the status (F10): the configuration has it.
TEST(LeadTest, OldToolsAreAskedForTheConfigurationToo) {
  Play play(TransactionKind::kFollow);
  LocalView view = Good();
  view.show.reset();
  for (DrbdConnection& connection : view.status->connections) {
    connection.tls.reset();
  }
  play.See(view);
  EXPECT_TRUE(play.Waits());
  EXPECT_TRUE(ScopeOf(play.state).show);
  view.show = Good().show;
  view.show->connections = {{.peer_node_id = 1, .peer = "node2", .tls = false}};
  play.See(view);
  EXPECT_TRUE(Armed(play.state));
}

}  // namespace
}  // namespace breakwater::replication
