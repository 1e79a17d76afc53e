#include "operator/runtime/apply.h"

#include <string>

#include <gtest/gtest.h>

#include "operator/runtime/mini_kube.h"
#include "operator/runtime/test_support.h"

namespace breakwater::runtime {
namespace {

using api::Json;
using Action = ApplyOutcome::Action;

class ApplierTest : public ::testing::Test {
 protected:
  static Json Desired() {
    return {{"apiVersion", "v1"},
            {"kind", "ConfigMap"},
            {"metadata", {{"name", "a"}, {"namespace", "ns"}}},
            {"data", {{"k", "v"}, {"l", "w"}}}};
  }

  ApplyOutcome Apply(const Json& desired) {
    Result<ApplyOutcome, Error> outcome = applier_.Apply(services_.Ctx(), store_, desired);
    EXPECT_TRUE(outcome) << outcome.error().message;
    return *outcome;
  }

  /// What the watch would bring.
  void Sync() { store_.Replace(server_.All("ConfigMap"), server_.version()); }

  TestServices services_;
  MiniKube server_;
  MiniKubeClient client_{server_};
  Store store_{ConfigMaps()};
  Applier applier_{client_};
};

// Breaks: an idle operator writes to the API server for ever.
TEST_F(ApplierTest, WritesNothingTheSecondTime) {
  const ApplyOutcome first = Apply(Desired());
  EXPECT_EQ(first.action, Action::kCreated);
  EXPECT_EQ(first.why, "not there");
  Sync();
  const ApplyOutcome second = Apply(Desired());
  EXPECT_EQ(second.action, Action::kUnchanged);
  EXPECT_EQ(second.live, store_.Get(Key("a")));
  EXPECT_EQ(client_.calls().size(), 1U);
}

// Breaks: somebody's manual change of an object stays.
TEST_F(ApplierTest, PutsBackAForeignChange) {
  Apply(Desired());
  Sync();
  Json changed = store_.Get(Key("a"))->raw();
  changed["data"]["k"] = "hacked";
  store_.Upsert(changed);
  changed["metadata"]["resourceVersion"] = "99";
  store_.Upsert(changed);
  const ApplyOutcome outcome = Apply(Desired());
  EXPECT_EQ(outcome.action, Action::kUpdated);
  EXPECT_EQ(outcome.why, "differs at /data/k");
}

// Breaks: a setting that the user took out of the custom resource stays in the pods.
TEST_F(ApplierTest, AFieldThatIsNoLongerWantedIsAChange) {
  Apply(Desired());
  Sync();
  Json less = Desired();
  less["data"].erase("l");
  const ApplyOutcome outcome = Apply(less);
  EXPECT_EQ(outcome.action, Action::kUpdated);
  EXPECT_EQ(outcome.why, "desired state changed");
}

// Breaks: fields of other managers (kubectl scale, injected sidecars) make a write at every
// reconcile.
TEST_F(ApplierTest, ForeignFieldsDoNotCount) {
  Apply(Desired());
  Sync();
  Json more = store_.Get(Key("a"))->raw();
  more["metadata"]["resourceVersion"] = "99";
  more["metadata"]["labels"]["team"] = "x";
  more["data"]["extra"] = "y";
  store_.Upsert(more);
  EXPECT_EQ(Apply(Desired()).action, Action::kUnchanged);
}

// Breaks: objects of the Piraeus operator are never taken over at a switch.
TEST_F(ApplierTest, AnObjectWithoutOurHashIsAppliedOnce) {
  store_.Replace({Desired()}, "1");
  EXPECT_EQ(Apply(Desired()).why, "desired state changed");
}

// Breaks: a Secret is written at each reconcile, because the server never returns stringData.
TEST_F(ApplierTest, EncodesStringData) {
  const Json secret =
      NormalizeDesired({{"kind", "Secret"},
                        {"metadata", {{"name", "s"}, {"creationTimestamp", nullptr}}},
                        {"stringData", {{"a", "x"}, {"b", "xy"}, {"c", "xyz"}, {"d", ""}}},
                        {"status", {{"x", 1}}}});
  EXPECT_EQ(secret["data"].dump(), R"({"a":"eA==","b":"eHk=","c":"eHl6","d":""})");
  EXPECT_FALSE(secret.contains("stringData"));
  EXPECT_FALSE(secret.contains("status"));
  EXPECT_EQ(secret["metadata"].size(), 1U) << "nulls would delete fields of others";
}

// Breaks: without force, a conflict is retried many times a second and never tells with whom.
TEST_F(ApplierTest, AFieldConflictIsInvalidAndNamesTheManager) {
  const Applier polite(client_, {.force = false});
  client_.FailNext("apply", {.code = 409, .message = "conflict with \"kubectl\": .data.k"});
  const auto outcome = polite.Apply(services_.Ctx(), store_, Desired());
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().error_class, ErrorClass::kInvalid);
  EXPECT_EQ(outcome.error().message.find("apply ConfigMap ns/a: "), 0U) << outcome.error().message;
  EXPECT_NE(outcome.error().message.find("kubectl"), std::string::npos);
}

// Breaks: an object without a name ends in a confusing reply of the server.
TEST_F(ApplierTest, RefusesAnObjectWithoutAName) {
  const auto outcome = applier_.Apply(services_.Ctx(), store_, Json::object());
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().error_class, ErrorClass::kInvalid);
  EXPECT_TRUE(client_.calls().empty());
}

// Breaks: each reconcile writes the status, which makes an event, which makes a reconcile.
TEST_F(ApplierTest, WritesAStatusOnlyWhenItChanges) {
  Json item = Item("a", "1");
  item["status"] = {{"phase", "Ready"}};
  store_.Replace({item}, "1");
  const auto live = store_.Get(Key("a"));
  const Context ctx = services_.Ctx();
  EXPECT_EQ(applier_.ApplyStatus(ctx, ConfigMaps(), live, {{"phase", "Ready"}})->action,
            Action::kUnchanged);
  EXPECT_TRUE(client_.calls().empty());
  EXPECT_EQ(applier_.ApplyStatus(ctx, ConfigMaps(), live, {{"phase", "Bad"}})->action,
            Action::kUpdated);
  EXPECT_EQ(client_.last_body()["metadata"].dump(),
            R"({"name":"a","namespace":"ns","uid":"uid-a"})");
  EXPECT_FALSE(applier_.ApplyStatus(ctx, ConfigMaps(), nullptr, {{"phase", "Bad"}}));
}

// Breaks: the same object has two hashes and is written for ever.
TEST_F(ApplierTest, TheHashDoesNotDependOnTheOrderOfMembers) {
  EXPECT_EQ(DesiredHash(Json::parse(R"({"a":1,"b":[1,2]})")),
            DesiredHash(Json::parse(R"({"b":[1,2],"a":1})")));
  EXPECT_NE(DesiredHash(Json::parse(R"({"b":[1,2]})")), DesiredHash(Json::parse(R"({"b":[2,1]})")));
  EXPECT_EQ(DesiredHash(Json::object()).size(), 16U);
}

}  // namespace
}  // namespace breakwater::runtime
