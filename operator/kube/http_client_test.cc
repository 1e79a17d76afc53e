#include "operator/kube/http_client.h"

#include <filesystem>
#include <fstream>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "operator/kube/watch_event.h"
#include "operator/net/loopback_server.h"
#include "operator/testing/scripted_transport.h"

namespace breakwater::kube {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only
using testing::ScriptedTransport;
using Kind = net::TransportError::Kind;

const ResourceInfo kPods{.kind = "Pod", .plural = "pods"};
const net::TransportError kReset{Kind::kReset, "reset"};
const net::TransportError kRefused{Kind::kConnect, "refused", true};
constexpr const char* kPod = "/api/v1/namespaces/n/pods/p";

class HttpClientTest : public ::testing::Test {
 protected:
  std::unique_ptr<KubeClient> Make(HttpClientOptions options = {}) {
    options.first_retry = 1ms;
    options.on_request = [this](const RequestReport& report) { codes_.push_back(report.code); };
    return MakeHttpKubeClient(transport_, nullptr, RealClock(), nullptr, std::move(options));
  }

  const Context ctx_ = Context(std::stop_token()).WithTimeout(5s);
  ScriptedTransport transport_;
  std::vector<int> codes_;
};

TEST_F(HttpClientTest, GetsAnObjectAndReports) {
  transport_.Expect("GET", kPod).Reply(200, R"({"kind":"Pod"})").Check([](const net::Request& r) {
    EXPECT_EQ(net::FindHeader(r.headers, "User-Agent"), "breakwater/" BREAKWATER_VERSION);
  });
  const auto pod = Make()->Get(ctx_, kPods, {"n", "p"});
  ASSERT_TRUE(pod);
  EXPECT_EQ(*pod, Json::parse(R"({"kind":"Pod"})"));
  EXPECT_EQ(codes_, std::vector<int>{200});
}

// List items come without kind; controllers that apply one back would be refused.
TEST_F(HttpClientTest, ListsAPageOfWholeObjects) {
  transport_.Expect("GET", "/api/v1/namespaces/n/pods?limit=500")
      .Reply(200, R"({"metadata":{"resourceVersion":"9","continue":"c"},
                      "items":[{"metadata":{"name":"p"}}]})");
  const auto page = Make()->List(ctx_, kPods, {.ns = "n"});
  ASSERT_TRUE(page);
  EXPECT_EQ(page->resource_version, "9");
  EXPECT_EQ(page->continue_token, "c");
  ASSERT_EQ(page->items.size(), 1U);
  EXPECT_EQ(page->items[0]["kind"], "Pod");
}

// A proxy's page with status 200 taken for an empty list would delete everything.
TEST_F(HttpClientTest, RubbishIsADecodeErrorNotAnEmptyList) {
  for (const char* body : {"<html>", "[]", "{}", R"({"items":5})", ""}) {
    transport_.Expect("GET", "/api/v1/namespaces/n/pods?limit=500").Reply(200, body);
    EXPECT_FALSE(Make()->List(ctx_, kPods, {.ns = "n"})) << body;
  }
}

// One restart of an API server must not surface in every controller.
TEST_F(HttpClientTest, ReadsAreRepeated) {
  transport_.Expect("GET", kPod).Fail(kReset);
  transport_.Expect("GET", kPod).Reply(500, "");
  transport_.Expect("GET", kPod).Reply(503, "");
  transport_.Expect("GET", kPod).Reply(200, "{}");
  EXPECT_TRUE(Make()->Get(ctx_, kPods, {"n", "p"}));
  EXPECT_EQ(codes_, (std::vector<int>{0, 500, 503, 200}));
}

TEST_F(HttpClientTest, AttemptsAreLimited) {
  for (int i = 0; i < 4; ++i) {
    transport_.Expect("GET", kPod).Reply(500, "");
  }
  const auto pod = Make()->Get(ctx_, kPods, {"n", "p"});
  ASSERT_FALSE(pod);
  EXPECT_EQ(pod.error().code(), 500);
}

// A create that ran twice makes two objects (or a 409 that looks like somebody else's object).
TEST_F(HttpClientTest, UnsafeWritesAreRepeatedOnlyWhenNothingWasSent) {
  transport_.Expect("POST", "/api/v1/namespaces/n/pods").Fail(kReset);
  EXPECT_FALSE(Make()->Create(ctx_, kPods, "n", Json::object()));
  transport_.Expect("POST", "/api/v1/namespaces/n/pods").Reply(500, "");
  EXPECT_FALSE(Make()->Create(ctx_, kPods, "n", Json::object()));
  transport_.Expect("POST", "/api/v1/namespaces/n/pods").Fail(kRefused);
  transport_.Expect("POST", "/api/v1/namespaces/n/pods").Reply(429, "", {{"Retry-After", "0"}});
  transport_.Expect("POST", "/api/v1/namespaces/n/pods").Reply(201, "{}");
  EXPECT_TRUE(Make()->Create(ctx_, kPods, "n", Json::object()));
}

// The library below repeats a POST on a stale connection: with generateName that makes two objects.
TEST_F(HttpClientTest, CreateWithoutANameGetsItsOwnConnection) {
  transport_.Expect("POST", "/api/v1/namespaces/n/pods").Reply(201, "{}").Check([](const auto& r) {
    EXPECT_TRUE(r.fresh_connection);
  });
  EXPECT_TRUE(Make()->Create(ctx_, kPods, "n", {{"metadata", {{"generateName", "a-"}}}}));
  transport_.Expect("POST", "/api/v1/namespaces/n/pods").Reply(201, "{}").Check([](const auto& r) {
    EXPECT_FALSE(r.fresh_connection);
  });
  EXPECT_TRUE(Make()->Create(ctx_, kPods, "n", {{"metadata", {{"name", "a"}}}}));
}

// A stale kept-alive connection fails on the first write after a pause: apply may simply run again.
TEST_F(HttpClientTest, ApplyIsRepeatedOnceAfterAReset) {
  const std::string target = std::string(kPod) + "?fieldManager=piraeus.io%2Foperator&force=true";
  transport_.Expect("PATCH", target).Fail(kReset);
  transport_.Expect("PATCH", target).Fail(kReset);
  EXPECT_FALSE(Make()->Apply(ctx_, kPods, {"n", "p"}, Json::object(), {}));
  transport_.Expect("PATCH", target).Fail(kReset);
  transport_.Expect("PATCH", target).Reply(200, "{}");
  EXPECT_TRUE(Make()->Apply(ctx_, kPods, {"n", "p"}, Json::object(), {}));
}

// Waiting longer than the caller has would turn "throttled" into "timed out".
TEST_F(HttpClientTest, RetryAfterBeyondTheDeadlineIsGivenToTheCaller) {
  transport_.Expect("GET", kPod).Reply(429, "", {{"Retry-After", "60"}});
  const auto pod = Make()->Get(ctx_, kPods, {"n", "p"});
  ASSERT_FALSE(pod);
  EXPECT_EQ(pod.error().retry_after(), 60s);
  EXPECT_EQ(pod.error().ToError().error_class, ErrorClass::kThrottled);
}

// When everything fails, retries would multiply the load that made it fail.
TEST_F(HttpClientTest, RetriesHaveABudget) {
  const auto client = Make({.retry_budget = 1});
  transport_.Expect("GET", kPod).Reply(500, "");
  transport_.Expect("GET", kPod).Reply(500, "");
  EXPECT_FALSE(client->Get(ctx_, kPods, {"n", "p"}));
  transport_.Expect("GET", kPod).Reply(500, "");
  EXPECT_FALSE(client->Get(ctx_, kPods, {"n", "p"}));
}

TEST_F(HttpClientTest, CanceledIsNotRepeated) {
  transport_.Expect("GET", kPod).Fail({Kind::kCanceled, "canceled"});
  const auto pod = Make()->Get(ctx_, kPods, {"n", "p"});
  ASSERT_FALSE(pod);
  EXPECT_TRUE(pod.error().IsCanceled());
}

// DELETE with an empty name would empty the namespace: no request may leave at all.
TEST_F(HttpClientTest, EmptyNamesNeverReachTheServer) {
  EXPECT_EQ(Make()->Delete(ctx_, kPods, {"n", ""}, {}).error().code(), 400);
  EXPECT_EQ(Make()->Get(ctx_, kPods, {"", "p"}).error().code(), 400);
}

TEST_F(HttpClientTest, WatchesUntilTheServerCloses) {
  const std::string target =
      "/api/v1/pods?watch=true&allowWatchBookmarks=true&timeoutSeconds=290&resourceVersion=5";
  transport_.Expect("GET", target)
      .Stream({R"({"type":"ADDED","obj)", "ect\":{\"metadata\":{\"resourceVersion\":\"6\"}}}\n"});
  auto watch = Make()->Watch(ctx_, kPods, {.resource_version = "5"});
  ASSERT_TRUE(watch);
  const auto event = (*watch)->Next(ctx_);
  ASSERT_TRUE(event && event->has_value());
  EXPECT_EQ((**event).resource_version, "6");
  const auto end = (*watch)->Next(ctx_);
  ASSERT_TRUE(end);
  EXPECT_FALSE(end->has_value());
}

// 410 as HTTP status: the reflector must list again instead of resuming for ever.
TEST_F(HttpClientTest, WatchReportsGone) {
  transport_
      .Expect(
          "GET",
          "/api/v1/pods?watch=true&allowWatchBookmarks=true&timeoutSeconds=290&resourceVersion=5")
      .Reply(410, R"({"kind":"Status","reason":"Expired","code":410})");
  const auto watch = Make()->Watch(ctx_, kPods, {.resource_version = "5"});
  ASSERT_FALSE(watch);
  EXPECT_TRUE(watch.error().IsGone());
}

TEST_F(HttpClientTest, WatchCutInsideAnEventIsAnError) {
  transport_.Expect("GET", "/api/v1/pods?watch=true&allowWatchBookmarks=true&timeoutSeconds=290")
      .Stream({R"({"type":"ADD)"});
  const auto watch = Make()->Watch(ctx_, kPods, {});
  ASSERT_TRUE(watch);
  const auto event = (*watch)->Next(ctx_);
  ASSERT_FALSE(event);
  EXPECT_EQ(event.error().transport()->kind, Kind::kReset);
}

// The whole stack against a server that rejects the first token: a renewed one must be used at
// once.
TEST(ConnectKubeTest, RenewsTheTokenAfter401) {
  const net::TestPki pki;
  const std::string token_file = ::testing::TempDir() + "/connect-kube-token";
  std::ofstream(token_file) << "old";
  net::LoopbackServer server(
      [&](net::LoopbackPeer& peer) {
        while (true) {
          const std::string request = peer.ReadRequest();
          if (request.empty()) {
            return;
          }
          if (request.find("Bearer new") == std::string::npos) {
            std::ofstream(token_file) << "new";
            peer.Reply(401, R"({"kind":"Status","code":401})");
          } else {
            peer.Reply(200, R"({"kind":"Pod"})");
          }
        }
      },
      pki.Leaf("server"));
  KubeConfig config;
  config.server = server.url();
  config.ca.data = pki.ca.certificate.ToPem();
  config.token_file = token_file;
  const auto connection = ConnectKube(config, RealClock(), Logger::Null());
  ASSERT_TRUE(connection) << connection.error().message;
  const auto pod =
      connection->client->Get(Context(std::stop_token()).WithTimeout(5s), kPods, {"n", "p"});
  EXPECT_TRUE(pod) << pod.error().message();
}

}  // namespace
}  // namespace breakwater::kube
