// The socket. What would break for a user: an operator that is slow, old or hostile takes the
// node's agent down, or reads a state that never was.

#include "operator/agent/talk/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "operator/agent/testing/test_support.h"
#include "operator/base/clock.h"

namespace breakwater::agent {
namespace {

using replication::AgentMessage;
using replication::OperatorMessage;
using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Backend final : public ServerBackend {
 public:
  const Resources& resources() const override { return resources_; }

  const replication::NodeFactsMessage& facts() const override { return facts_; }

  std::vector<replication::ProgressMessage> Progress() const override { return progress_; }

  std::int64_t epoch() const override { return epoch_; }

  void OnHello(std::int64_t epoch) override { epoch_ = std::max(epoch_, epoch); }

  void OnRequest(const replication::TransactionRequest& request) override {
    requests_.push_back(request.id);
  }

  void OnCancel(const std::string& id) override { cancels_.push_back(id); }

  void Set(const std::string& name, std::uint64_t out_of_sync) {
    replication::ResourceReport report;
    report.status.name = name;
    replication::DrbdConnection connection;
    connection.peer = "node2";
    connection.devices.push_back({.volume = 0, .out_of_sync_kib = out_of_sync});
    report.status.connections.push_back(connection);
    resources_[name] = std::make_shared<const replication::ResourceReport>(report);
  }

  Resources resources_{};
  replication::NodeFactsMessage facts_{};
  std::vector<replication::ProgressMessage> progress_{};
  std::int64_t epoch_ = 4;
  std::vector<std::string> requests_{};
  std::vector<std::string> cancels_{};
};

class Peer {
 public:
  explicit Peer(const std::string& path) : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    fcntl(fd_.get(), F_SETFL, O_NONBLOCK);
  }

  void Say(std::string_view text) {
    EXPECT_EQ(send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }

  void Hello(std::int64_t epoch = 5) {
    Say(Encode(OperatorMessage(replication::OperatorHello{.protocol = replication::kProtocolVersion,
                                                          .oldest = replication::kOldestProtocol,
                                                          .version = "1",
                                                          .epoch = epoch})));
  }

  // Takes in what has come.
  void Read() {
    char buffer[65536];
    for (ssize_t size = 0; (size = recv(fd_.get(), buffer, sizeof(buffer), 0)) >= 0;) {
      if (size == 0) {
        closed = true;
        return;
      }
      const auto lines = splitter_.Feed(std::string_view(buffer, static_cast<std::size_t>(size)));
      ASSERT_TRUE(lines);
      for (const std::string& line : *lines) {
        const auto message = replication::DecodeAgentMessage(line);
        ASSERT_TRUE(message && *message) << line;
        messages.push_back(**message);
      }
    }
    closed = closed || (errno != EAGAIN && errno != EINTR);
  }

  template <typename T>
  std::vector<T> All() const {
    std::vector<T> all;
    for (const AgentMessage& message : messages) {
      if (const auto* held = std::get_if<T>(&message)) {
        all.push_back(*held);
      }
    }
    return all;
  }

  std::vector<AgentMessage> messages{};
  bool closed = false;

 private:
  UniqueFd fd_;
  replication::LineSplitter splitter_{};
};

class ServerTest : public ::testing::Test {
 protected:
  void Start() {
    options_.path = dir_.Path("run/agent.sock");
    options_.node = "node1";
    options_.boot = "boot-1";
    server_ = std::make_unique<Server>(&loop_, options_, &backend_);
    const Result<void, Error> started = server_->Start();
    ASSERT_TRUE(started) << started.error().message;
  }

  bool Until(const std::function<bool()>& condition) {
    bool held = false;
    loop_.BeforeWait([&] {
      if (condition()) {
        held = true;
        loop_.Stop();
      }
    });
    Loop::TimerId tick{};
    const std::function<void()> again = [&] { tick = loop_.After(milliseconds(2), again); };
    again();
    const Loop::TimerId limit = loop_.After(testing::kPatience, [this] { loop_.Stop(); });
    loop_.Run();
    loop_.Cancel(limit);
    loop_.Cancel(tick);
    loop_.BeforeWait({});
    return held;
  }

  bool Synced(Peer* peer) {
    return Until([&] {
      peer->Read();
      return !peer->All<replication::SyncedMessage>().empty();
    });
  }

  bool Closed(Peer* peer) {
    return Until([&] {
      peer->Read();
      return peer->closed;
    });
  }

  std::unique_ptr<Peer> NewPeer() { return std::make_unique<Peer>(options_.path); }

  testing::TempDir dir_{};
  Loop loop_{};
  Backend backend_{};
  ServerOptions options_{};
  std::unique_ptr<Server> server_{};
};

TEST_F(ServerTest, TellsEverythingThenChanges) {
  Start();
  server_->SetReady();
  backend_.Set("r1", 0);
  backend_.Set("r2", 0);
  const auto peer = NewPeer();
  peer->Hello(9);
  ASSERT_TRUE(Synced(peer.get()));
  const auto* hello = std::get_if<replication::AgentHello>(&peer->messages.at(0));
  ASSERT_NE(hello, nullptr);
  EXPECT_EQ(hello->node, "node1");
  EXPECT_EQ(hello->boot, "boot-1");
  EXPECT_EQ(hello->epoch, 4);
  EXPECT_EQ(backend_.epoch_, 9);
  EXPECT_EQ(peer->All<replication::NodeFactsMessage>().size(), 1U);
  EXPECT_EQ(peer->All<replication::ResourceMessage>().size(), 2U);
  peer->messages.clear();
  backend_.Set("r1", 7);
  server_->ResourceChanged("r1");
  backend_.resources_.erase("r2");
  server_->ResourceChanged("r2");
  backend_.facts_.complete = true;
  server_->FactsChanged();
  ASSERT_TRUE(Until([&] {
    peer->Read();
    return peer->messages.size() == 3;
  }));
  EXPECT_TRUE(peer->All<replication::NodeFactsMessage>().at(0).complete);
  EXPECT_EQ(peer->All<replication::ResourceMessage>().at(0).report, *backend_.resources_.at("r1"));
  EXPECT_EQ(peer->All<replication::GoneMessage>().at(0).name, "r2");
}

TEST_F(ServerTest, NoReportBeforeEverythingWasRead) {
  // An empty "full" report would say that the volumes of the node are gone.
  Start();
  const auto peer = NewPeer();
  peer->Hello();
  peer->Say(Encode(OperatorMessage(replication::PingMessage{1})));
  ASSERT_TRUE(Until([&] {
    peer->Read();
    return !peer->All<replication::PongMessage>().empty();
  }));
  EXPECT_EQ(peer->messages.size(), 2U);
  const auto now =
      std::chrono::duration_cast<std::chrono::seconds>(RealClock().SystemNow().time_since_epoch())
          .count();
  const std::int64_t said = peer->All<replication::PongMessage>().at(0).time.value_or(0);
  EXPECT_LE(said, now) << "T3: a clock that jumps is seen by it";
  EXPECT_GE(said, now - 60);
  backend_.Set("r1", 0);
  server_->SetReady();
  ASSERT_TRUE(Synced(peer.get()));
  EXPECT_EQ(peer->All<replication::ResourceMessage>().size(), 1U);
}

TEST_F(ServerTest, PassesOnRequestsAndTellsAllClientsWhatComesOfThem) {
  Start();
  server_->SetReady();
  const auto one = NewPeer();
  const auto other = NewPeer();
  other->Hello();
  ASSERT_TRUE(Synced(other.get()));
  one->Hello();
  ASSERT_TRUE(Synced(one.get()));
  replication::TransactionRequest request;
  request.id = "t1";
  request.resource = "r1";
  request.peers = {"node2"};
  request.within = milliseconds(1000);
  one->Say(Encode(OperatorMessage(request)) +
           Encode(OperatorMessage(replication::CancelMessage{"t0"})));
  ASSERT_TRUE(Until([&] { return !backend_.cancels_.empty(); }));
  EXPECT_THAT(backend_.requests_, ElementsAre("t1"));
  EXPECT_THAT(backend_.cancels_, ElementsAre("t0"));
  replication::ResultMessage result;
  result.id = "t1";
  result.resource = "r1";
  result.peers = {"node2"};
  server_->Tell(result);
  for (Peer* peer : {one.get(), other.get()}) {
    EXPECT_TRUE(Until([&] {
      peer->Read();
      return peer->All<replication::ResultMessage>().size() == 1;
    }));
  }
}

// What an operator said on a stream that it gave up comes late; it counts on nothing of it. A
// former leader is answered, by the Runner.
TEST_F(ServerTest, OnlyTheNewestStreamIsObeyed) {
  Start();
  server_->SetReady();
  const auto former = NewPeer();
  former->Hello(5);
  ASSERT_TRUE(Synced(former.get()));
  const auto given_up = NewPeer();
  given_up->Hello(6);
  ASSERT_TRUE(Synced(given_up.get()));
  const auto newest = NewPeer();
  newest->Hello(6);
  ASSERT_TRUE(Synced(newest.get()));
  const auto late = NewPeer();
  late->Hello(5);
  ASSERT_TRUE(Synced(late.get()));
  replication::TransactionRequest request;
  request.resource = "r1";
  request.peers = {"node2"};
  request.within = milliseconds(1000);
  const auto say = [&](Peer* peer, const std::string& id, std::int64_t epoch) {
    request.id = id;
    request.epoch = epoch;
    peer->Say(Encode(OperatorMessage(replication::CancelMessage{"c-" + id})) +
              Encode(OperatorMessage(request)) +
              Encode(OperatorMessage(replication::PingMessage{7})));
    ASSERT_TRUE(Until([&] {
      peer->Read();
      return !peer->All<replication::PongMessage>().empty();
    }));
  };
  say(former.get(), "former", 5);
  say(given_up.get(), "given-up", 6);
  say(late.get(), "late", 5);
  say(newest.get(), "newest", 6);
  EXPECT_THAT(backend_.cancels_, ElementsAre("c-newest"));
  EXPECT_THAT(backend_.requests_, ElementsAre("former", "late", "newest"));
}

TEST_F(ServerTest, WhoConnectsLaterIsToldWhatRunsAndWhatEnded) {
  Start();
  server_->SetReady();
  replication::ResultMessage result;
  result.id = "t1";
  result.resource = "r1";
  result.peers = {"node2"};
  server_->Keep(result);
  replication::ProgressMessage progress;
  progress.id = "t2";
  progress.resource = "r1";
  progress.peers = {"node3"};
  backend_.progress_.push_back(progress);
  const auto peer = NewPeer();
  peer->Hello();
  ASSERT_TRUE(Synced(peer.get()));
  EXPECT_THAT(peer->All<replication::ResultMessage>(), ElementsAre(result));
  EXPECT_THAT(peer->All<replication::ProgressMessage>(), ElementsAre(progress));
}

TEST_F(ServerTest, AClientThatReadsLateGetsTheNewestStateNotAllThatItMissed) {
  Start();
  server_->SetReady();
  for (int i = 0; i < 50; ++i) {
    backend_.Set("r" + std::to_string(i), 0);
  }
  const auto slow = NewPeer();
  const auto fast = NewPeer();
  slow->Hello();
  fast->Hello();
  ASSERT_TRUE(Synced(fast.get()));
  constexpr std::uint64_t kRounds = 300;
  std::uint64_t round = 0;
  ASSERT_TRUE(Until([&] {
    fast->Read();
    fast->messages.clear();
    ++round;
    for (int i = 0; i < 50; ++i) {
      const std::string name = "r" + std::to_string(i);
      backend_.Set(name, round);
      server_->ResourceChanged(name);
    }
    return round == kRounds;
  }));
  ASSERT_TRUE(Until([&] {
    slow->Read();
    const auto reports = slow->All<replication::ResourceMessage>();
    std::set<std::string> newest;
    for (const auto& message : reports) {
      if (message.report.status.connections[0].devices[0].out_of_sync_kib == kRounds) {
        newest.insert(message.name);
      }
    }
    return newest.size() == 50;
  }));
  EXPECT_FALSE(slow->closed);
  EXPECT_EQ(slow->All<replication::SyncedMessage>().size(), 1U);
  EXPECT_LT(slow->All<replication::ResourceMessage>().size(), 3000U) << "of 15000 changes";
}

TEST_F(ServerTest, AClientThatNeverReadsIsDropped) {
  options_.stall = milliseconds(200);
  Start();
  server_->SetReady();
  for (int i = 0; i < 5000; ++i) {
    backend_.Set("r" + std::to_string(i), 0);
  }
  const auto stuck = NewPeer();
  stuck->Hello();
  const auto good = NewPeer();
  good->Hello();
  ASSERT_TRUE(Synced(good.get()));
  std::size_t rounds = 0;
  ASSERT_TRUE(Until([&] { return ++rounds > 300; }));
  ASSERT_TRUE(Closed(stuck.get()));
  EXPECT_TRUE(stuck->All<replication::SyncedMessage>().empty());
  EXPECT_FALSE(good->closed);
}

TEST_F(ServerTest, AClientThatSaysNothingIsDropped) {
  options_.hello = milliseconds(50);
  Start();
  const auto silent = NewPeer();
  EXPECT_TRUE(Closed(silent.get()));
}

TEST_F(ServerTest, HostileLinesEndTheirClientAndNobodyElse) {
  Start();
  server_->SetReady();
  const auto good = NewPeer();
  good->Hello();
  ASSERT_TRUE(Synced(good.get()));
  const std::string hello = Encode(OperatorMessage(replication::OperatorHello{
      .protocol = replication::kProtocolVersion, .oldest = 1, .version = "1", .epoch = 1}));
  const std::vector<std::string> hostile = {
      "\n",
      "nonsense\n",
      "[]\n",
      std::string(50000, '[') + "\n",
      "{\"request\":{\"id\":\"../../etc\"}}\n",
      Encode(OperatorMessage(replication::PingMessage{1})),  // without hello
      hello + "{\"request\":{\"id\":7}}\n",
      hello + "{\"cancel\":{}}\n",
      hello + std::string("\0\xff\xfe\n", 4),
      "{\"hello\":{\"protocol\":99,\"oldest\":98,\"version\":\"x\",\"epoch\":1}}\n",
      "{\"hello\":{\"protocol\":\"2\"}}\n",
  };
  for (const std::string& text : hostile) {
    const auto peer = NewPeer();
    peer->Say(text);
    EXPECT_TRUE(Closed(peer.get())) << text.substr(0, 100);
  }
  EXPECT_THAT(backend_.requests_, IsEmpty());
  EXPECT_THAT(backend_.cancels_, IsEmpty());
  good->Read();
  EXPECT_FALSE(good->closed);
}

TEST_F(ServerTest, ALineWithoutEndIsCutOff) {
  Start();
  const auto peer = NewPeer();
  std::size_t sent = 0;
  EXPECT_TRUE(Until([&] {
    peer->Read();
    if (!peer->closed && sent < 3 * options_.max_line) {
      peer->Say(std::string(1000, 'x'));
      sent += 1000;
    }
    return peer->closed;
  }));
}

TEST_F(ServerTest, MessagesOfANewerVersionAreIgnored) {
  Start();
  server_->SetReady();
  const auto peer = NewPeer();
  peer->Hello();
  peer->Say("{\"future\":{\"a\":1}}\n" + Encode(OperatorMessage(replication::PingMessage{5})));
  EXPECT_TRUE(Until([&] {
    peer->Read();
    return !peer->All<replication::PongMessage>().empty();
  }));
}

TEST_F(ServerTest, TheOldestClientWithTheLowestEpochMakesRoom) {
  options_.max_clients = 3;
  Start();
  server_->SetReady();
  const auto newest = NewPeer();
  newest->Hello(9);
  const auto old = NewPeer();
  old->Hello(3);
  const auto middle = NewPeer();
  middle->Hello(7);
  ASSERT_TRUE(Synced(newest.get()) && Synced(old.get()) && Synced(middle.get()));
  const auto next = NewPeer();
  next->Hello(9);
  ASSERT_TRUE(Synced(next.get()));
  EXPECT_TRUE(Closed(old.get()));
  newest->Read();
  middle->Read();
  EXPECT_FALSE(newest->closed || middle->closed);
}

// REVIEW-2, agent: the socket opens every volume of the node.
TEST_F(ServerTest, OnlyItsOwnUserReachesIt) {
  Start();

  struct stat status {};

  ASSERT_EQ(lstat(options_.path.c_str(), &status), 0);
  EXPECT_TRUE(S_ISSOCK(status.st_mode));
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  ASSERT_EQ(stat(dir_.Path("run").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0700U);
  if (geteuid() != 0) {
    GTEST_SKIP() << "cannot become another user";
  }
  // Also when somebody opens the directory by mistake: the kernel says who it is.
  ASSERT_EQ(chmod(dir_.Path("").c_str(), 0755), 0);
  ASSERT_EQ(chmod(dir_.Path("run").c_str(), 0755), 0);
  ASSERT_EQ(chmod(options_.path.c_str(), 0666), 0);
  const pid_t child = fork();
  if (child == 0) {
    if (setuid(65534) != 0) {
      _exit(2);
    }
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    options_.path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
      _exit(3);
    }
    char byte = 0;
    _exit(::read(fd, &byte, 1) == 0 ? 0 : 4);  // closed without a word
  }
  int code = 0;
  ASSERT_TRUE(Until([&] { return waitpid(child, &code, WNOHANG) == child; }));
  EXPECT_EQ(WEXITSTATUS(code), 0);
}

TEST_F(ServerTest, ASocketThatWasLeftIsReplacedAndAFileIsNot) {
  Start();
  Server second(&loop_, options_, &backend_);
  EXPECT_TRUE(second.Start()) << "as after a kill";
  testing::WriteText(dir_.Path("file"), "x");
  options_.path = dir_.Path("file");
  Server third(&loop_, options_, &backend_);
  EXPECT_FALSE(third.Start());
  EXPECT_EQ(testing::ReadText(dir_.Path("file")), "x");
}

}  // namespace
}  // namespace breakwater::agent
