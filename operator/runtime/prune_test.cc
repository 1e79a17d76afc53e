#include "operator/runtime/prune.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "operator/runtime/mini_kube.h"
#include "operator/runtime/test_support.h"

namespace breakwater::runtime {
namespace {

using api::Json;

Json Owned(const std::string& name, const std::string& owner, const std::string& ns = "ns") {
  Json item = Item(name, "7");
  item["metadata"]["namespace"] = ns;
  item["metadata"]["ownerReferences"] = {{{"uid", owner}, {"controller", true}}};
  return item;
}

class PruneTest : public ::testing::Test {
 protected:
  void Fill(std::vector<Json> items) {
    for (const Json& item : items) {
      const api::Object object(item);
      (void)server_.Write(
          {"ConfigMap", object.ns(), object.name()}, [](const Json*) { return std::nullopt; },
          [&](const Json*) { return item; });
    }
    store_.Replace(std::move(items), "1");
  }

  std::vector<std::string> Run(const std::vector<std::string>& keep) {
    request_.keep.clear();
    for (const std::string& name : keep) {
      request_.keep.insert({"", "ConfigMap", Key(name)});
    }
    const auto deleted = Prune(services_.Ctx(), client_, request_);
    std::vector<std::string> names;
    if (deleted) {
      for (const ObjectId& id : *deleted) {
        names.push_back(id.key.name);
      }
    } else {
      names.push_back("error: " + deleted.error().message);
    }
    return names;
  }

  using Names = std::vector<std::string>;

  TestServices services_;
  MiniKube server_;
  MiniKubeClient client_{server_};
  Store store_{ConfigMaps()};
  PruneRequest request_{.owner_uid = "me", .stores = {&store_}, .operator_namespace = "ns"};
};

// Breaks: what a user switched off keeps running.
TEST_F(PruneTest, DeletesWhatTheOwnerNoLongerWants) {
  Fill({Owned("keep", "me"), Owned("old", "me")});
  EXPECT_EQ(Run({"keep"}), Names{"old"});
  EXPECT_EQ(client_.last_preconditions().uid, "uid-old");
  EXPECT_EQ(client_.last_preconditions().resource_version, "7");
}

// Breaks: objects of other people are deleted.
TEST_F(PruneTest, TouchesNothingElse) {
  Json deleting = Owned("deleting", "me");
  deleting["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  Json not_controller = Owned("not-controller", "me");
  not_controller["metadata"]["ownerReferences"][0]["controller"] = false;
  Fill({Owned("theirs", "other"), Item("nobodys", "1"), Owned("elsewhere", "me", "other-ns"),
        deleting, not_controller});
  EXPECT_EQ(Run({}), Names{});
  request_.owner_uid = "";
  EXPECT_EQ(Run({}), Names{}) << "an owner without uid owns nothing";
}

// Breaks: after a restart everything is deleted, because an empty store looks like "not wanted".
TEST_F(PruneTest, AStoreThatIsNotSyncedPrunesNothing) {
  store_.Upsert(Owned("old", "me"));
  EXPECT_EQ(Run({}), Names{});
}

// Breaks: an object that was just replaced by somebody is deleted.
TEST_F(PruneTest, LeavesWhatChangedOrIsGone) {
  Fill({Owned("a", "me"), Owned("b", "me")});
  client_.FailNext("delete", {.code = 409});
  server_.Erase({"ConfigMap", "ns", "b"});
  EXPECT_EQ(Run({}), Names{});
}

// Breaks: one object that cannot be deleted keeps all the others.
TEST_F(PruneTest, GoesOnAfterAnErrorAndReportsIt) {
  Fill({Owned("a", "me"), Owned("b", "me")});
  client_.FailNext("delete", {.code = 403, .message = "no"});
  const Names result = Run({});
  ASSERT_EQ(result.size(), 1U);
  EXPECT_EQ(result[0].find("error: prune ConfigMap ns/a: "), 0U) << result[0];
  EXPECT_FALSE(server_.Find({"ConfigMap", "ns", "b"}));
}

}  // namespace
}  // namespace breakwater::runtime
