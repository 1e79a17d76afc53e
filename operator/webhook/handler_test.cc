// The webhook over HTTP. What would break for a user: with failurePolicy Fail every apply is
// refused because the API server cannot read the answer; with Ignore nothing is checked, and nobody
// notices.

#include "operator/webhook/handler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/object.h"

namespace breakwater::webhook {
namespace {

using api::Json;
using ::testing::HasSubstr;

constexpr const char* kPath = "/validate-piraeus-io-v1-linstorcluster?timeout=10s";

net::Request Post(const std::string& body) {
  return {.method = "POST",
          .target = kPath,
          .headers = {{"content-type", "application/json"}},
          .body = body};
}

Json Review(Json spec) {
  return {{"apiVersion", "admission.k8s.io/v1"},
          {"kind", "AdmissionReview"},
          {"request",
           {{"uid", "705ab4f5"},
            {"kind", {{"group", "piraeus.io"}, {"version", "v1"}, {"kind", "LinstorCluster"}}},
            {"name", "linstorcluster"},
            {"operation", "CREATE"},
            {"object", {{"spec", std::move(spec)}}},
            {"oldObject", nullptr}}}};
}

Json Answer(const net::Response& response) {
  EXPECT_EQ(response.status, 200) << response.body;
  const Json review = Json::parse(response.body);
  EXPECT_EQ(review["apiVersion"], "admission.k8s.io/v1");
  EXPECT_EQ(review["kind"], "AdmissionReview");
  EXPECT_EQ(review["response"]["uid"], "705ab4f5");
  return review["response"];
}

TEST(WebhookHandlerTest, AllowsAndRefuses) {
  const Json allowed = Answer(Serve(Post(Review(Json::object()).dump())));
  EXPECT_EQ(allowed["allowed"], true);
  EXPECT_FALSE(allowed.contains("status"));

  const Json refused = Answer(Serve(Post(Review({{"patches", {{{"patch", "nonsense"}}}}}).dump())));
  EXPECT_EQ(refused["allowed"], false);
  EXPECT_EQ(refused["status"]["code"], 422);
  EXPECT_EQ(refused["status"]["reason"], "Invalid");
  EXPECT_THAT(refused["status"]["message"].get<std::string>(), HasSubstr("spec.patches[0].patch"));
  EXPECT_EQ(refused["status"]["details"]["causes"][0]["field"], "spec.patches[0].patch");
}

// A patch of a megabyte, cut in the middle of a character, must not make an answer that the API
// server cannot decode.
TEST(WebhookHandlerTest, AnswersStayShort) {
  std::string text;
  while (text.size() < (1U << 20U)) {
    text += "ü";
  }
  const net::Response response =
      Serve(Post(Review({{"externalController", {{"url", text}}}}).dump()));
  EXPECT_EQ(Answer(response)["allowed"], false);
  EXPECT_LT(response.body.size(), 16U << 10U);
}

// One object with a mistake in each of countless items kept a thread of the webhook busy for
// minutes, and its answer was larger than the object.
TEST(WebhookHandlerTest, CountlessMistakesAreCut) {
  const Json wrong = Json::array_t(100'000, 0);
  const net::Response created = Serve(Post(Review({{"patches", wrong}}).dump()));
  EXPECT_EQ(Answer(created)["allowed"], false);
  EXPECT_EQ(Answer(created)["status"]["details"]["causes"].size(), 32U);
  EXPECT_LT(created.body.size(), 16U << 10U);
}

// Half a megabyte of brackets: copying or writing the value recurses, and one request of anybody in
// the cluster ended the operator.
TEST(WebhookHandlerTest, DeepNestingIsRefused) {
  for (const char* member : {"object", "oldObject", "kind"}) {
    const std::string body =
        R"({"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1",")" +
        std::string(member) + "\":" + std::string(500'000, '[') + std::string(500'000, ']') + "}}";
    const net::Response response = Serve(Post(body));
    EXPECT_EQ(response.status, 400) << member;
    EXPECT_THAT(response.body, HasSubstr("200 levels")) << member;
  }
}

struct BadRequest {
  const char* name;
  net::Request request;
  int status;
};

net::Request With(void (*change)(net::Request&)) {
  net::Request request = Post(Review(Json::object()).dump());
  change(request);
  return request;
}

class WhatCannotBeAnswered : public ::testing::TestWithParam<BadRequest> {};

TEST_P(WhatCannotBeAnswered, IsAnError) {
  EXPECT_EQ(Serve(GetParam().request).status, GetParam().status);
}

INSTANTIATE_TEST_SUITE_P(
    Requests,
    WhatCannotBeAnswered,
    ::testing::Values(
        BadRequest{"NotJson", Post("{"), 400},
        BadRequest{"NoReview", Post("[]"), 400},
        BadRequest{"NoUid",
                   Post(R"({"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview",)"
                        R"("request":{}})"),
                   400},
        BadRequest{"OldVersion",
                   Post(R"({"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview",)"
                        R"("request":{"uid":"1"}})"),
                   400},
        BadRequest{"OtherKind", With([](net::Request& r) {
                     r.target = "/validate-piraeus-io-v1-linstorsatellite";
                   }),
                   400},
        BadRequest{"Path", With([](net::Request& r) { r.target = "/"; }), 404},
        BadRequest{"Get", With([](net::Request& r) { r.method = "GET"; }), 405},
        BadRequest{"NoType", With([](net::Request& r) { r.headers.clear(); }), 415}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace breakwater::webhook
