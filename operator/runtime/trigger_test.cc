#include "operator/runtime/trigger.h"

#include <memory>

#include <gtest/gtest.h>

#include "operator/runtime/test_support.h"

namespace breakwater::runtime {
namespace {

using api::Json;

ChangeEvent Modified(const Json& before, const Json& after) {
  return {.type = ChangeEvent::Type::kModified,
          .key = Key("a"),
          .before = std::make_shared<const api::Object>(before),
          .after = std::make_shared<const api::Object>(after)};
}

// Breaks: the operator answers its own status writes for ever, or misses a changed spec or label.
TEST(TriggerTest, SpecOrMetadataChangedIgnoresOnlyTheStatus) {
  Json before = Item("a", "1");
  before["metadata"]["generation"] = 3;
  Json after = before;
  after["metadata"]["resourceVersion"] = "2";
  after["status"] = {{"x", 1}};
  EXPECT_FALSE(SpecOrMetadataChanged(Modified(before, after)));
  for (const char* field :
       {"labels", "annotations", "finalizers", "deletionTimestamp", "generation"}) {
    Json changed = after;
    changed["metadata"][field] = 4;
    EXPECT_TRUE(SpecOrMetadataChanged(Modified(before, changed))) << field;
  }
  ChangeEvent added = Modified(before, after);
  added.before = nullptr;
  EXPECT_TRUE(SpecOrMetadataChanged(added));
  EXPECT_TRUE(SpecOrMetadataChanged(Modified(Item("a", "1"), Item("a", "2")))) << "no generation";
}

// Breaks: with a thousand nodes every second brings a reconcile of everything.
TEST(TriggerTest, IgnoringHeartbeatsSeesWhatMatters) {
  Json before = Item("n", "1");
  before["status"]["conditions"] = {
      {{"type", "Ready"}, {"status", "True"}, {"lastHeartbeatTime", 1}}};
  Json after = before;
  after["status"]["conditions"][0]["lastHeartbeatTime"] = 2;
  EXPECT_FALSE(IgnoringHeartbeats(Modified(before, after)));
  after["status"]["conditions"][0]["status"] = "False";
  EXPECT_TRUE(IgnoringHeartbeats(Modified(before, after)));
  after = before;
  after["metadata"]["labels"]["zone"] = "b";
  EXPECT_TRUE(IgnoringHeartbeats(Modified(before, after)));
  after = before;
  after["spec"]["taints"] = {{{"key", "t"}}};
  EXPECT_TRUE(IgnoringHeartbeats(Modified(before, after)));
}

// Breaks: an object that moved from one owner to another is forgotten by the first.
TEST(TriggerTest, ControllerOwnersFindsBothOwners) {
  Store owners(ConfigMaps());
  owners.Replace({Item("p", "1"), Item("q", "1")}, "1");
  const auto owned_by = [](const std::string& uid) {
    Json item = Item("a", "1");
    item["metadata"]["ownerReferences"] = {{{"uid", uid}, {"controller", true}}};
    return item;
  };
  using Keys = std::vector<api::ObjectKey>;
  EXPECT_EQ(ControllerOwners(Modified(owned_by("uid-p"), owned_by("uid-q")), owners),
            (Keys{Key("p"), Key("q")}));
  EXPECT_EQ(ControllerOwners(Modified(owned_by("uid-p"), owned_by("uid-p")), owners),
            Keys{Key("p")});
  EXPECT_EQ(ControllerOwners(Modified(Item("a", "1"), owned_by("unknown")), owners), Keys{});
  EXPECT_EQ(AllKeys(owners), (Keys{Key("p"), Key("q")}));
}

}  // namespace
}  // namespace breakwater::runtime
