#include "operator/runtime/finalizer.h"

#include <string>

#include <gtest/gtest.h>

#include "operator/runtime/mini_kube.h"
#include "operator/runtime/test_support.h"

namespace breakwater::runtime {
namespace {

using api::Json;

constexpr const char* kOurs = "x/ours";

class FinalizerTest : public ::testing::Test {
 protected:
  api::Object Put(const Json& finalizers) {
    Json item = Item("a", "1");
    if (!finalizers.is_null()) {
      item["metadata"]["finalizers"] = finalizers;
    }
    return api::Object(*server_.Write(
        {"ConfigMap", "ns", "a"}, [](const Json*) { return std::nullopt; },
        [&](const Json*) { return item; }));
  }

  std::string Finalizers() const {
    const auto item = server_.Find({"ConfigMap", "ns", "a"});
    return item->at("metadata").value("finalizers", Json::array()).dump();
  }

  Result<void, Error> Add(const api::Object& object) {
    return AddFinalizer(services_.Ctx(), client_, ConfigMaps(), object, kOurs);
  }

  Result<void, Error> Remove(const api::Object& object) {
    return RemoveFinalizer(services_.Ctx(), client_, ConfigMaps(), object, kOurs);
  }

  TestServices services_;
  MiniKube server_;
  MiniKubeClient client_{server_};
};

// Breaks: a LinstorSatellite vanishes before its node was taken out of LINSTOR.
TEST_F(FinalizerTest, AddsToNoneAndToSome) {
  EXPECT_TRUE(Add(Put(nullptr)));
  EXPECT_EQ(Finalizers(), R"(["x/ours"])");
  EXPECT_TRUE(Add(Put({"theirs"})));
  EXPECT_EQ(Finalizers(), R"(["theirs","x/ours"])");
}

// Breaks: an object can never be deleted, or the finalizer of another controller is dropped with
// ours.
TEST_F(FinalizerTest, RemovesOnlyOurs) {
  EXPECT_TRUE(Remove(Put({"first", kOurs, "last"})));
  EXPECT_EQ(Finalizers(), R"(["first","last"])");
}

// Breaks: a patch that was made from an old state hits the wrong position.
TEST_F(FinalizerTest, AConcurrentChangeIsAConflict) {
  const api::Object old = Put({"first", kOurs});
  Put({kOurs, "first"});
  const auto removed = Remove(old);
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().error_class, ErrorClass::kConflict);
  EXPECT_EQ(Finalizers(), R"(["x/ours","first"])");
  const api::Object none = Put(nullptr);
  Put({"new"});
  EXPECT_FALSE(Add(none));
  EXPECT_EQ(Finalizers(), R"(["new"])");
}

// Breaks: requests without effect at each reconcile; an error for an object that is gone already.
TEST_F(FinalizerTest, DoesNothingWhenThereIsNothingToDo) {
  EXPECT_TRUE(Add(Put({kOurs})));
  EXPECT_TRUE(Remove(Put({"theirs"})));
  Json deleting = Item("a", "1");
  deleting["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  EXPECT_TRUE(Add(api::Object(deleting)));
  EXPECT_TRUE(client_.calls().empty());
  const api::Object gone = Put({kOurs});
  server_.Erase({"ConfigMap", "ns", "a"});
  EXPECT_TRUE(Remove(gone));
}

}  // namespace
}  // namespace breakwater::runtime
