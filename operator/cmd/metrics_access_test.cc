// Who may read the metrics. What would break for a user: any pod of the cluster reads the names of
// all volumes, claims and nodes; or Prometheus gets nothing because the API server is asked anew
// for each scrape.

#include "operator/cmd/metrics_access.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/object.h"
#include "operator/testing/fake_clock.h"

namespace breakwater::cmd {
namespace {

using api::Json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// The two reviews of an API server; everything else is refused.
class Reviews final : public kube::KubeWriter {
 public:
  kube::KubeResult<Json> Create(const Context&,
                                const kube::ResourceInfo& resource,
                                const std::string&,
                                const Json& object) override {
    asked.emplace_back(resource.kind);
    if (down) {
      return Unexpected{kube::KubeError(kube::Status{500, "InternalError", "down", {}})};
    }
    Json reply = object;
    if (resource.kind == "TokenReview") {
      const std::string token = object["spec"].value("token", "");
      reply["status"] = {{"authenticated", token != "stolen"},
                         {"user", {{"username", token}, {"groups", {"g"}}, {"uid", "7"}}}};
    } else {
      EXPECT_EQ(object["spec"]["nonResourceAttributes"]["path"], "/metrics");
      EXPECT_EQ(object["spec"]["groups"], Json::array({"g"}));
      reply["status"] = {{"allowed", object["spec"].value("user", "") == "prometheus"}};
    }
    return reply;
  }

  kube::KubeResult<Json> Apply(const Context&,
                               const kube::ResourceInfo&,
                               const kube::ObjectKey&,
                               const Json&,
                               const kube::ApplyOptions&) override {
    return No();
  }

  kube::KubeResult<Json> Replace(const Context&,
                                 const kube::ResourceInfo&,
                                 const kube::ObjectKey&,
                                 const Json&,
                                 const std::string&) override {
    return No();
  }

  kube::KubeResult<Json> Patch(const Context&,
                               const kube::ResourceInfo&,
                               const kube::ObjectKey&,
                               kube::PatchType,
                               const Json&,
                               const std::string&) override {
    return No();
  }

  kube::KubeResult<void> Delete(const Context&,
                                const kube::ResourceInfo&,
                                const kube::ObjectKey&,
                                const kube::DeletePreconditions&) override {
    return Unexpected{No().error()};
  }

  std::vector<std::string> asked{};
  bool down = false;

 private:
  static kube::KubeResult<Json> No() {
    return Unexpected{kube::KubeError(kube::Status{405, "MethodNotAllowed", "only reviews", {}})};
  }
};

class MetricsAccessTest : public ::testing::Test {
 protected:
  int Read(const std::string& authorization) {
    net::Request request{.target = "/metrics"};
    if (!authorization.empty()) {
      request.headers = {{"authorization", authorization}};
    }
    const auto refusal = access_.Refuse(Context(std::stop_token(), clock_), request);
    if (refusal) {
      EXPECT_THAT(refusal->body, Not(HasSubstr("stolen"))) << "a token is repeated to nobody";
    }
    return refusal ? refusal->status : 200;
  }

  testing::FakeClock clock_;
  Reviews reviews_;
  MetricsAccess access_{reviews_, clock_};
};

TEST_F(MetricsAccessTest, OnlyAUserWithTheRightReads) {
  EXPECT_EQ(Read("Bearer prometheus"), 200);
  EXPECT_EQ(Read("Bearer somebody"), 403);
  EXPECT_EQ(Read("Bearer stolen"), 401);
  reviews_.asked.clear();
  for (const char* header : {"", "Bearer", "Bearer ", "Basic cHJvbWV0aGV1cw==", "prometheus"}) {
    EXPECT_EQ(Read(header), 401) << header;
  }
  EXPECT_THAT(reviews_.asked, ElementsAre()) << "nothing to ask about";
}

TEST_F(MetricsAccessTest, AsksOnceAMinute) {
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(Read("Bearer prometheus"), 200);
    clock_.Advance(std::chrono::seconds(14));
  }
  EXPECT_THAT(reviews_.asked, ElementsAre("TokenReview", "SubjectAccessReview"));
  clock_.Advance(std::chrono::seconds(14));
  EXPECT_EQ(Read("Bearer prometheus"), 200);
  EXPECT_EQ(reviews_.asked.size(), 4U) << "a right that was taken away ends within a minute";
}

TEST_F(MetricsAccessTest, AnApiServerThatDoesNotAnswerLetsNobodyIn) {
  reviews_.down = true;
  EXPECT_EQ(Read("Bearer prometheus"), 503);
  reviews_.down = false;
  EXPECT_EQ(Read("Bearer prometheus"), 200) << "and that is not remembered";
}

TEST_F(MetricsAccessTest, WrongTokensDoNotPushOutTheRightOnes) {
  EXPECT_EQ(Read("Bearer prometheus"), 200);
  for (int i = 0; i < 500; ++i) {
    EXPECT_EQ(Read("Bearer guess" + std::to_string(i)), 403);
  }
  reviews_.asked.clear();
  EXPECT_EQ(Read("Bearer prometheus"), 200);
  EXPECT_THAT(reviews_.asked, ElementsAre());
}

}  // namespace
}  // namespace breakwater::cmd
