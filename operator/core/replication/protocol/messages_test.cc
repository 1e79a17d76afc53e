#include "operator/core/replication/protocol/messages.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>

#include "operator/testing/source_dir.h"

namespace breakwater::replication {
namespace {

using std::chrono::milliseconds;

ResourceReport FullReport() {
  ResourceReport report;
  report.status = {.name = "r1",
                   .node_id = 0,
                   .role = "Primary",
                   .suspended_user = true,
                   .suspended_no_data = true,
                   .suspended_quorum = true,
                   .devices = {{.volume = 0, .minor = 0, .disk = "UpToDate", .quorum = true},
                               {.volume = 3, .minor = 1003, .disk = "Diskless", .client = true}},
                   .connections = {{.peer_node_id = 0,
                                    .peer = "node-2.example",
                                    .state = "Connected",
                                    .peer_role = "Secondary",
                                    .tls = false,
                                    .paths = {{"10.0.0.1", 7000, "10.0.0.2", 7001}},
                                    .devices = {{.volume = 0,
                                                 .replication = "Established",
                                                 .peer_disk = "Outdated",
                                                 .out_of_sync_kib = 18446744073709551615U,
                                                 .peer_client = true}}}}};
  report.show = DrbdShow{.name = "r1",
                         .quorum = "majority",
                         .minimum_redundancy = "2",
                         .on_no_quorum = "suspend-io",
                         .on_no_data = "suspend-io",
                         .connections = {{.peer_node_id = 0,
                                          .peer = "node-2.example",
                                          .tls = true,
                                          .transport = "tcp",
                                          .load_balance_paths = true}}};
  report.sockets = {.reliable = true,
                    .sockets = {{.state = "ESTAB",
                                 .local_address = "10.0.0.1",
                                 .local_port = 7000,
                                 .remote_address = "10.0.0.2",
                                 .remote_port = 40000,
                                 .has_info = true,
                                 .tls = true}}};
  report.res = ResConfig{{{"node-2.example", false}, {"node-3", true}}};
  return report;
}

std::vector<AgentMessage> AgentMessages() {
  return {AgentHello{2, 1, "0.1.0", "node1", "boot-1", 7, 1 << 20},
          NodeFactsMessage{.versions = {"9.3.3", "9.34.0", true},
                           .tls_module = true,
                           .handshake_family = false,
                           .usermode_helper = "disabled",
                           .tls_stat = TlsStat{4, 4},
                           .sockets_reliable = true,
                           .complete = true,
                           .problem = "p",
                           .broken_res = "x.res"},
          NodeFactsMessage{},
          ResourceMessage{"r1", FullReport()},
          ResourceMessage{"r2", {.status = {.name = "r2"}}},
          GoneMessage{"r1"},
          SyncedMessage{},
          ProgressMessage{
              "id-1", TransactionKind::kFollow, "r1", {"node2"}, true, true, true, "Set", "why"},
          ResultMessage{"id-1",
                        TransactionKind::kSuspendedSwitch,
                        "r1",
                        {"node2", "node3"},
                        {.outcome = TransactionOutcome::kUndone,
                         .reason = "r",
                         .code = "Timeout",
                         .frozen = milliseconds(1700),
                         .cut = milliseconds(1200),
                         .healed = 1}},
          PongMessage{-3},
          PongMessage{7, 1767225600}};
}

TransactionRequest SomeRequest() {
  return {.id = "a.B-1_2",
          .epoch = 5,
          .kind = TransactionKind::kSuspendedSwitch,
          .resource = "r1",
          .peers = {"node2", "node3"},
          .tls = true,
          .floor_tls = true,
          .within = milliseconds(10000),
          .allow_single_copy = true,
          .volume = 2,
          .of_others = true};
}

TransactionState FullState() {
  const SteadyTime now{std::chrono::hours(5)};
  TransactionState state = StartTransaction(SomeRequest(), now);
  state.phase = TransactionState::Phase::kAlternate;
  state.undoing = true;
  state.cancelled = true;
  state.peers = {{"node2",
                  {.peer_id = 0,
                   .before = true,
                   .cut = now + milliseconds(3),
                   .last_set = false,
                   .stale = now + milliseconds(4),
                   .target = true,
                   .not_before = now + milliseconds(5),
                   .tries = 2,
                   .ours = true}},
                 {"node3", {.peer_id = 31}}};
  state.minors = {0, 1001};
  state.suspended_at = now + milliseconds(1);
  state.suspend_pending = true;
  state.no_data = true;
  state.next_alternation = now + milliseconds(7);
  state.settle_until = now + milliseconds(8);
  state.cuts = 2;
  state.attempts = 1;
  state.not_before = now + milliseconds(9);
  state.by_show = true;
  state.proving = true;
  state.failure = "why";
  state.failure_code = "Timeout";
  state.result = {.outcome = TransactionOutcome::kRefused, .code = "x", .frozen = milliseconds(1)};
  return state;
}

TEST(MessagesTest, EveryMessageMeansTheSameAtTheOtherEnd) {
  for (const AgentMessage& message : AgentMessages()) {
    const std::string line = Encode(message);
    ASSERT_TRUE(line.ends_with("}\n"));
    ASSERT_EQ(line.find('\n'), line.size() - 1) << "one line: " << line;
    const auto decoded = DecodeAgentMessage(line);
    ASSERT_TRUE(decoded) << decoded.error().message << " in " << line;
    ASSERT_TRUE(decoded->has_value()) << line;
    EXPECT_EQ(**decoded, message) << line;
  }
  const std::vector<OperatorMessage> messages = {OperatorHello{2, 1, "0.1.0", 9}, SomeRequest(),
                                                 CancelMessage{"id-1"}, PingMessage{1}};
  for (const OperatorMessage& message : messages) {
    const auto decoded = DecodeOperatorMessage(Encode(message));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(**decoded, message);
  }
}

TEST(MessagesTest, WhatANewerVersionAddsIsIgnored) {
  const auto unknown = DecodeAgentMessage(R"({"weather":{"rain":true}})");
  ASSERT_TRUE(unknown);
  EXPECT_FALSE(unknown->has_value());
  const auto more = DecodeOperatorMessage(
      R"({"request":{"id":"a","kind":"Lead","resource":"r","peers":["p"],"withinMs":5,"colour":{"a":[]}},"x":1})");
  ASSERT_TRUE(more) << more.error().message;
  EXPECT_EQ(std::get<TransactionRequest>(**more).within, milliseconds(5));
}

// A node that was taken over says anything: none of it may pass for a message, or crash.
TEST(MessagesTest, HostileLinesAreErrors) {
  const std::string deep = R"({"resource":{"name":"r","report":)" + std::string(100000, '[');
  for (
      const std::string& line : std::vector<std::string>{
          "",
          "hello",
          "[]",
          "{",
          "{\"hello\":{}}",  // no node
          "{\"hello\":[]}",
          R"({"gone":"../../etc"})",
          R"({"gone":1})",
          R"({"synced":false})",
          R"({"pong":1.5})",
          R"({"pong":18446744073709551615})",
          R"({"pong":1,"time":"noon"})",
          R"({"pong":1,"time":18446744073709551615})",
          R"({"gone":"r","synced":true})",
          R"({"resource":{"name":"r"}})",  // no report: no name of a status
          R"({"resource":{"name":"-rf","report":{}}})",
          R"({"resource":{"name":"r","report":{"status":{"name":"r","devices":{}}}}})",
          R"({"resource":{"name":"r","report":{"status":{"name":"r","nodeID":4294967296}}}})",
          R"({"resource":{"name":"r","report":{"status":{"name":"r","connections":[{"peer":"a b"}]}}}})",
          R"({"resource":{"name":"r","report":{"status":{"name":"r"},"res":{"tls":{"$x y" : true}
}
}
}
})",
          R"({"result":{"id":"a/b","kind":"Lead","resource":"r","result":{"outcome":"Done"}}})",
          R"({"result":{"id":"a","kind":"Lead","resource":"r","result":{"outcome":"Perhaps"}}})",
          R"({"progress":{"id":"a","kind":"Dance","resource":"r"}})",
          deep,
          R"({"gone":")" + std::string(kMaxLineBytes, 'x') + "\"}",
          R"({"node":{"problem":")" + std::string(5000, 'x') + "\"}}"}) {
    const auto decoded = DecodeAgentMessage(line);
    ASSERT_FALSE(decoded) << line.substr(0, 200);
    EXPECT_EQ(decoded.error().error_class, ErrorClass::kInvalid);
  }
  for (const std::string& line : std::vector<std::string>{
           R"({"cancel":""})", R"({"cancel":".."})",
           R"({"request":{"id":"a","kind":"Lead","resource":"r","peers":["--force"]}})",
           R"({"request":{"id":"a","kind":"Lead","resource":"r","peers":["p"],"withinMs":9e99}})",
           R"({"request":{"id":"a","kind":"Lead","resource":"r","peers":"p"}})"}) {
    EXPECT_FALSE(DecodeOperatorMessage(line)) << line;
  }
}

TEST(MessagesTest, BytesThatAreNoTextDoNotBreakTheLine) {
  ResourceMessage message{"r1", {.status = {.name = "r1", .role = "Pri\xff\n\x01mary"}}};
  const std::string line = Encode(AgentMessage(message));
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_TRUE(DecodeAgentMessage(line));
}

// One resource with DRBD's most peers must fit into a line, or it could never be reported.
TEST(MessagesTest, TheLargestResourceFitsIntoALine) {
  ResourceReport report = FullReport();
  DrbdConnection connection = report.status.connections[0];
  connection.devices.resize(16, connection.devices[0]);
  report.status.connections.assign(32, connection);
  report.show->connections.assign(32, report.show->connections[0]);
  report.sockets.sockets.assign(64, report.sockets.sockets[0]);
  EXPECT_LT(Encode(AgentMessage(ResourceMessage{"r1", report})).size(), kMaxLineBytes / 4);
}

// G7: what an agent of protocol 1 said is understood; what it did not know reads as not known.
TEST(MessagesTest, ATranscriptOfProtocolOneIsUnderstood) {
  std::ifstream file(testing::SourceDir() +
                     "/operator/core/replication/protocol/testdata/protocol1.jsonl");
  ASSERT_TRUE(file);
  std::vector<AgentMessage> messages;
  for (std::string line; std::getline(file, line);) {
    const auto decoded = DecodeAgentMessage(line);
    ASSERT_TRUE(decoded) << decoded.error().message << " in " << line;
    ASSERT_TRUE(decoded->has_value()) << line;
    messages.push_back(**decoded);
  }
  ASSERT_EQ(messages.size(), 8U);
  EXPECT_EQ(std::get<AgentHello>(messages[0]).protocol, 1);
  const auto& report = std::get<ResourceMessage>(messages[2]).report;
  EXPECT_FALSE(report.res.has_value());
  EXPECT_EQ(report.status.connections[0].devices[0].peer_disk, "UpToDate");
  const auto& result = std::get<ResultMessage>(messages[6]).result;
  EXPECT_EQ(result.outcome, TransactionOutcome::kUndone);
  EXPECT_EQ(result.code, "");
  EXPECT_EQ(result.cut, milliseconds(10400));
}

TEST(MessagesTest, TheHighestCommonProtocolIsUsed) {
  EXPECT_EQ(AgreeOnProtocol(2, 1, 2, 1), 2);
  EXPECT_EQ(AgreeOnProtocol(2, 1, 1, 1), 1);
  EXPECT_EQ(AgreeOnProtocol(2, 1, 5, 2), 2);
  EXPECT_EQ(AgreeOnProtocol(2, 1, 5, 3), std::nullopt);
  EXPECT_EQ(AgreeOnProtocol(4, 3, 2, 1), std::nullopt);
}

TEST(JournalTest, AnEntryIsReadAsItWasWritten) {
  const auto read = DecodeJournal(EncodeJournal(FullState()));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, FullState());
}

// Commands are made from it: whoever can write into the directory must not get other ones.
TEST(JournalTest, AnEntryThatCannotBeOursIsAnError) {
  const auto broken = [](const std::function<void(TransactionState*)>& change) {
    TransactionState state = FullState();
    change(&state);
    return !DecodeJournal(EncodeJournal(state));
  };
  EXPECT_FALSE(broken([](TransactionState*) {}));
  EXPECT_TRUE(broken([](TransactionState* s) { s->request.resource = "--force"; }));
  EXPECT_TRUE(broken([](TransactionState* s) { s->request.kind = TransactionKind::kLead; }));
  EXPECT_TRUE(broken([](TransactionState* s) { s->minors = {-1}; }));
  EXPECT_TRUE(broken([](TransactionState* s) { s->minors = {}; }));
  EXPECT_TRUE(broken([](TransactionState* s) { s->peers["node4"] = {.peer_id = 1}; }));
  EXPECT_TRUE(broken([](TransactionState* s) { s->peers["node2"].peer_id = 32; }));
  EXPECT_TRUE(broken([](TransactionState* s) { s->until += milliseconds(1); }));
  EXPECT_TRUE(broken([](TransactionState* s) { s->cuts = -1; }));
  for (const char* text : {"", "{}", "null", R"({"journal":2})", R"({"journal":1})",
                           R"({"journal":1,"phase":"Guard","request":{}})"}) {
    EXPECT_FALSE(DecodeJournal(text)) << text;
  }
}

TEST(LineSplitterTest, LinesCutAnywhereComeOutWhole) {
  const std::string text = "one\n\ntwo three\nrest";
  for (std::size_t step = 1; step <= text.size(); ++step) {
    LineSplitter splitter;
    std::vector<std::string> lines;
    for (std::size_t i = 0; i < text.size(); i += step) {
      const auto fed = splitter.Feed(std::string_view(text).substr(i, step));
      ASSERT_TRUE(fed);
      lines.insert(lines.end(), fed->begin(), fed->end());
    }
    EXPECT_EQ(lines, (std::vector<std::string>{"one", "", "two three"})) << step;
  }
}

TEST(LineSplitterTest, ALineWithoutEndIsCutOffForGood) {
  LineSplitter splitter(8);
  const auto first = splitter.Feed("12345678\n123456789");
  ASSERT_TRUE(first) << "what came before is still delivered";
  EXPECT_EQ(*first, std::vector<std::string>{"12345678"});
  EXPECT_FALSE(splitter.Feed("\n"));
  EXPECT_FALSE(splitter.Feed("ok\n"));
}

}  // namespace
}  // namespace breakwater::replication
