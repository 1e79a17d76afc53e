// The journal. What is not written down must not be asked for; and a thousand volumes must not make
// a thousand writes of the same object.

#include "operator/controllers/replication/report/status_writer.h"

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/resources.h"
#include "operator/base/thread.h"
#include "operator/testing/fake_kube.h"

namespace breakwater::controllers {
namespace {

using testing::FakeKube;

class StatusWriterTest : public ::testing::Test {
 protected:
  StatusWriterTest() {
    kube_.Put(api::kLinstorCluster, {{"metadata", {{"name", "cluster"}}}});
    EXPECT_TRUE(writer_.Load(ctx_));
  }

  static api::InFlightMigration Entry(const std::string& resource, const std::string& step) {
    api::InFlightMigration entry;
    entry.resource = resource;
    entry.strategy = "PairByPair";
    entry.step = step;
    entry.pair = "node1/node2";
    entry.started_at = step == "Follow" ? "2026-01-01T00:00:00Z" : "2026-01-01T00:00:09Z";
    return entry;
  }

  api::Json Written() {
    const auto object = kube_.Find(api::kLinstorCluster, {.ns = "", .name = "cluster"});
    const api::Json* entries = api::FindPath(*object, {"status", "replicationTLS", "inFlight"});
    return entries == nullptr ? api::Json::array() : *entries;
  }

  const Context ctx_{std::stop_token{}};
  FakeKube kube_;
  ClaimBoard claims_;
  StatusWriter writer_{kube_, claims_, "cluster"};
};

TEST_F(StatusWriterTest, ReturnsWhenTheServerHasTheEntry) {
  ASSERT_TRUE(writer_.SetJournal(ctx_, Entry("r0", "Follow")));
  ASSERT_EQ(Written().size(), 1U);
  EXPECT_EQ(Written()[0].value("step", ""), "Follow");
  kube_.FailCall(1, kube::Status{503, "ServiceUnavailable", "down", {}});
  EXPECT_FALSE(writer_.SetJournal(ctx_, Entry("r1", "Follow")));
  EXPECT_EQ(Written().size(), 1U);
}

// Who reads the status knows the claims of his pods, not the names that LINSTOR has for them (K6).
TEST_F(StatusWriterTest, EveryEntryNamesItsClaim) {
  claims_.Set(std::make_shared<const std::map<std::string, std::string>>(
      std::map<std::string, std::string>{{"pvc-1", "shop/orders"}}));
  api::ReplicationTlsStatus status;
  status.failures.resize(2);
  status.failures[0].resource = "pvc-1";
  status.exempt.resize(1);
  status.exempt[0].resource = "pvc-1";
  ASSERT_TRUE(writer_.SetJournal(ctx_, Entry("pvc-1", "Follow")));
  EXPECT_EQ(Written()[0].value("claim", ""), "shop/orders");
  std::vector<api::StaleConnection> stale(1);
  stale[0].resource = "pvc-1";
  ASSERT_TRUE(writer_.SetStale(ctx_, stale));
  ASSERT_TRUE(writer_.Update(ctx_, status, {}));
  const auto object = kube_.Find(api::kLinstorCluster, {.ns = "", .name = "cluster"});
  const api::Json& written = *api::FindPath(*object, {"status", "replicationTLS"});
  for (const char* list : {"failures", "exempt", "inFlight", "stalePeers"}) {
    EXPECT_EQ(written[list][0].value("claim", ""), "shop/orders") << list;
  }
  EXPECT_FALSE(written["failures"][1].contains("claim")) << "about the cluster as a whole";
  kube_.ClearCalls();
  ASSERT_TRUE(writer_.SetStale(ctx_, stale));
  ASSERT_TRUE(writer_.Update(ctx_, status, {}));
  EXPECT_EQ(kube_.write_count(), 0) << "nothing changed";
}

// The operator is newer than the definitions: a migration must not stand still because of a field
// that only people read.
TEST_F(StatusWriterTest, DefinitionsWithoutClaimsKeepTheJournal) {
  claims_.Set(std::make_shared<const std::map<std::string, std::string>>(
      std::map<std::string, std::string>{{"r0", "shop/orders"}, {"r1", "shop/mail"}}));
  kube_.Undeclare(api::kLinstorCluster, {"/status/replicationTLS/inFlight/0/claim",
                                         "/status/replicationTLS/inFlight/1/claim"});
  ASSERT_TRUE(writer_.SetJournal(ctx_, Entry("r0", "Follow")));
  EXPECT_EQ(Written()[0].value("step", ""), "Follow");
  EXPECT_FALSE(Written()[0].contains("claim"));
  kube_.ClearCalls();
  ASSERT_TRUE(writer_.SetJournal(ctx_, Entry("r1", "Follow")));
  EXPECT_EQ(kube_.calls().size(), 1U) << "it is known by then";
}

TEST_F(StatusWriterTest, DefinitionsWithoutAPartOfTheJournalHoldEverything) {
  kube_.Undeclare(api::kLinstorCluster, {"/status/replicationTLS/inFlight/0/transaction"});
  api::InFlightMigration entry = Entry("r0", "Follow");
  entry.transaction = "1-a-1";
  EXPECT_FALSE(writer_.SetJournal(ctx_, entry));
}

TEST_F(StatusWriterTest, AnotherStepOfTheSamePairCostsNoRequest) {
  ASSERT_TRUE(writer_.SetJournal(ctx_, Entry("r0", "Follow")));
  kube_.ClearCalls();
  ASSERT_TRUE(writer_.SetJournal(ctx_, Entry("r0", "Lead")));
  EXPECT_EQ(kube_.write_count(), 0);
  ASSERT_TRUE(writer_.SetJournal(ctx_, Entry("r1", "Follow")));
  EXPECT_EQ(kube_.write_count(), 1);
  EXPECT_EQ(Written()[0].value("step", ""), "Lead") << "it went with the next one";
  EXPECT_EQ(Written()[0].value("startedAt", ""), "2026-01-01T00:00:00Z");
}

TEST_F(StatusWriterTest, ADroppedEntryGoesWithTheNextWrite) {
  ASSERT_TRUE(writer_.SetJournal(ctx_, Entry("r0", "Follow")));
  writer_.DropJournal("r0");
  EXPECT_FALSE(writer_.InFlight("r0"));
  EXPECT_EQ(Written().size(), 1U);
  ASSERT_TRUE(writer_.Update(ctx_, {}, {}));
  EXPECT_TRUE(Written().empty());
  kube_.ClearCalls();
  ASSERT_TRUE(writer_.Update(ctx_, {}, {}));
  EXPECT_EQ(kube_.write_count(), 0);
}

TEST_F(StatusWriterTest, TheNextLeaderFindsEntriesAndStalePeers) {
  ASSERT_TRUE(writer_.SetJournal(ctx_, Entry("r0", "Follow")));
  api::StaleConnection stale;
  stale.resource = "r0";
  stale.node = "node1";
  stale.peer = "node2";
  stale.since = "2026-01-01T00:00:00Z";
  ASSERT_TRUE(writer_.SetStale(ctx_, {stale}));
  StatusWriter next(kube_, claims_, "cluster");
  ASSERT_TRUE(next.Load(ctx_));
  EXPECT_TRUE(next.InFlight("r0"));
  ASSERT_EQ(next.stale().size(), 1U);
  EXPECT_EQ(next.stale()[0].peer, "node2");
}

// Eight workers write at once while the server is slow: they share requests.
TEST_F(StatusWriterTest, WritersThatWaitShareARequest) {
  std::atomic<int> inside = 0;
  kube_.on_call([&](const FakeKube::Call& call) -> std::optional<FakeKube::Fault> {
    if (call.verb == "apply" && ++inside == 1) {
      // The first one waits until the others stand behind it.
      for (int i = 0; i < 2000 && writer_.in_flight().size() < 9; ++i) {
        ctx_.SleepFor(std::chrono::milliseconds(1));
      }
    }
    return std::nullopt;
  });
  kube_.ClearCalls();
  std::vector<Thread> threads;
  for (int i = 0; i < 9; ++i) {
    threads.emplace_back("writer", [this, i](const std::stop_token&) {
      EXPECT_TRUE(writer_.SetJournal(ctx_, Entry("r" + std::to_string(i), "Follow")));
    });
  }
  for (Thread& thread : threads) {
    thread.Join();
  }
  EXPECT_EQ(Written().size(), 9U);
  EXPECT_LE(kube_.write_count(), 3);
}

}  // namespace
}  // namespace breakwater::controllers
