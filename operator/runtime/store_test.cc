#include "operator/runtime/store.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "operator/runtime/test_support.h"

namespace breakwater::runtime {
namespace {

using api::Json;

std::string Describe(const ChangeEvent& change) {
  static const char* const kSigns[] = {"+", "~", "-"};
  const std::string version = change.after ? "@" + change.after->resource_version() : "";
  return kSigns[static_cast<int>(change.type)] + change.key.name + version;
}

class StoreTest : public ::testing::Test {
 protected:
  void Record() {
    store_.Subscribe([this](const ChangeEvent& change) { events_.push_back(Describe(change)); });
  }

  std::vector<std::string> Names(const std::vector<api::ObjectPtr>& objects) const {
    std::vector<std::string> names;
    for (const api::ObjectPtr& object : objects) {
      names.push_back(object->name());
    }
    return names;
  }

  using List = std::vector<std::string>;

  Store store_{ConfigMaps()};
  std::vector<std::string> events_;
};

// Breaks: an object that was deleted while the watch was down lives on for ever in the operator.
TEST_F(StoreTest, RelistMakesDeletesForWhatIsGone) {
  store_.Replace({Item("a", "1"), Item("b", "1")}, "10");
  Record();
  events_.clear();
  store_.Replace({Item("b", "2"), Item("c", "3")}, "20");
  EXPECT_EQ(events_, (List{"-a", "~b@2", "+c@3"}));
  EXPECT_EQ(store_.Get(Key("a")), nullptr);
  EXPECT_EQ(store_.resource_version(), "20");
}

// Breaks: after each relist everything is reconciled again although nothing changed.
TEST_F(StoreTest, SameVersionMakesNoEvent) {
  store_.Replace({Item("a", "1")}, "10");
  Record();
  events_.clear();
  store_.Replace({Item("a", "1")}, "11");
  store_.Upsert(Item("a", "1"));
  EXPECT_TRUE(events_.empty());
}

// Breaks: state that belongs to a deleted object is carried over to a new one of the same name.
TEST_F(StoreTest, ANewUidIsADeletionAndAnAddition) {
  store_.Replace({Item("a", "1", "old")}, "10");
  Record();
  events_.clear();
  store_.Upsert(Item("a", "5", "new"));
  EXPECT_EQ(events_, (List{"-a", "+a@5"}));
  EXPECT_EQ(store_.FindByUid("old"), nullptr);
  EXPECT_NE(store_.FindByUid("new"), nullptr);
}

// Breaks: a controller that is wired after the first list never hears of the objects in it.
TEST_F(StoreTest, SubscribersHearOfPresentObjectsFirst) {
  store_.Replace({Item("a", "1")}, "10");
  Record();
  store_.Remove(Item("a", "2"));
  EXPECT_EQ(events_, (List{"+a@1", "-a"}));
}

// Breaks: a controller that was stopped is called after its memory is gone.
TEST_F(StoreTest, UnsubscribedIsNotCalled) {
  int calls = 0;
  const auto id = store_.Subscribe([&](const ChangeEvent&) { ++calls; });
  store_.Upsert(Item("a", "1"));
  store_.Unsubscribe(id);
  store_.Upsert(Item("b", "2"));
  EXPECT_EQ(calls, 1);
}

// Breaks: prune and owner triggers miss objects, or find ones that have moved to another owner.
TEST_F(StoreTest, IndexesFollowChanges) {
  Json owned = Item("a", "1");
  owned["metadata"]["ownerReferences"] = {{{"uid", "o1"}, {"controller", true}}, {{"uid", "o2"}}};
  owned["metadata"]["labels"] = {{"app", "x"}};
  store_.Replace({owned, Item("b", "1")}, "10");
  EXPECT_EQ(Names(store_.ListByController("o1")), List{"a"});
  EXPECT_TRUE(store_.ListByController("o2").empty()) << "not the controller";
  EXPECT_EQ(Names(store_.ListByLabel("app", "x")), List{"a"});
  store_.AddIndex("name", [](const api::Object& o) { return std::vector{o.name()}; });
  EXPECT_EQ(Names(store_.ListByIndex("name", "b")), List{"b"});
  owned["metadata"]["labels"] = {{"app", "y"}};
  owned["metadata"]["resourceVersion"] = "2";
  store_.Upsert(owned);
  EXPECT_TRUE(store_.ListByLabel("app", "x").empty());
  EXPECT_EQ(Names(store_.ListByLabel("app", "y")), List{"a"});
  store_.IndexLabels();
  EXPECT_EQ(Names(store_.ListByLabel("app", "y")), List{"a"});
  EXPECT_TRUE(store_.ListByLabel("app", "x").empty());
  store_.Remove(owned);
  EXPECT_TRUE(store_.ListByIndex("name", "a").empty());
  EXPECT_TRUE(store_.ListByIndex("no such index", "a").empty());
}

// Breaks: one malformed object hides all others, or disappears without a word.
TEST_F(StoreTest, KeepsAndReportsInvalidObjects) {
  Store store(ConfigMaps(), {.validate = [](const api::Object& object) {
                return object.raw().contains("spec") ? std::nullopt
                                                     : std::optional<std::string>("no spec");
              }});
  Json good = Item("good", "1");
  good["spec"] = Json::object();
  store.Replace({good, Item("bad", "1"), Json("text"), {{"metadata", 7}}}, "10");
  EXPECT_EQ(store.size(), 2U);
  EXPECT_NE(store.Get(Key("bad")), nullptr) << "must not look deleted: prune would act on it";
  ASSERT_EQ(store.Invalid().size(), 2U);
  EXPECT_EQ(store.Invalid()[0].key.name, "");
  EXPECT_EQ(store.Invalid()[1].why, "no spec");
  Json healed = Item("bad", "2");
  healed["spec"] = Json::object();
  store.Upsert(healed);
  EXPECT_EQ(store.Invalid().size(), 1U);
}

// Breaks: a reader acts on half of a relist, e.g. creates what is merely not read yet.
TEST_F(StoreTest, RelistIsAtomicForReaders) {
  std::vector<Json> odd;
  std::vector<Json> even;
  for (int i = 0; i < 50; ++i) {
    odd.push_back(Item("o" + std::to_string(i), "1"));
    even.push_back(Item("e" + std::to_string(i), "1"));
  }
  store_.Replace(odd, "1");
  std::atomic<bool> mixed{false};
  std::atomic<int> reads{0};
  std::jthread reader([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const auto objects = store_.List();
      mixed =
          mixed || objects.size() != 50 || objects.front()->name()[0] != objects.back()->name()[0];
      ++reads;
    }
  });
  for (int i = 0; i < 100 || reads < 20; ++i) {
    store_.Replace(i % 2 == 0 ? even : odd, std::to_string(i));
  }
  reader.request_stop();
  reader.join();
  EXPECT_FALSE(mixed);
}

// Breaks: workers start on an empty store and prune everything.
TEST_F(StoreTest, WaitSyncedWaitsForTheFirstListAndObeysStop) {
  TestServices services;
  Store store(ConfigMaps(), services.clock);
  EXPECT_FALSE(store.WaitSynced(services.Ctx().WithTimeout(std::chrono::seconds(0))));
  std::jthread stopped(
      [&](const std::stop_token& stop) { EXPECT_FALSE(store.WaitSynced(services.Ctx(stop))); });
  services.clock.WaitForSleepers(1);
  EXPECT_LT(Took([&] {
              stopped.request_stop();
              stopped.join();
            }),
            kPromptly);
  std::jthread waiter([&] { EXPECT_TRUE(store.WaitSynced(services.Ctx())); });
  services.clock.WaitForSleepers(1);
  store.Upsert(Item("a", "1"));
  EXPECT_FALSE(store.Synced()) << "an event is no list";
  store.Replace({}, "1");
}

// Breaks: memory: the managedFields of 10,000 objects are larger than the objects.
TEST_F(StoreTest, DropsManagedFieldsAndAddsTheKind) {
  Json item = Item("a", "1");
  item["metadata"]["managedFields"] = {{{"manager", "x"}}};
  store_.Upsert(item);
  EXPECT_FALSE(store_.Get(Key("a"))->raw().at("metadata").contains("managedFields"));
  EXPECT_EQ(store_.Get(Key("a"))->raw().at("kind"), "ConfigMap");
  EXPECT_EQ(store_.Get(Key("a"))->raw().at("apiVersion"), "v1");
}

// Breaks: a field that the renderer or the rollout reads is trimmed away.
TEST_F(StoreTest, TrimsNodesToWhatIsUsed) {
  Json node = {{"kind", "Node"},
               {"metadata", {{"name", "n"}, {"uid", "u"}, {"labels", {{"a", "b"}}}}},
               {"spec", {{"podCIDR", "x"}, {"taints", {{{"key", "t"}}}}, {"unschedulable", true}}},
               {"status",
                {{"images", {1, 2, 3}},
                 {"addresses", {{{"type", "InternalIP"}, {"address", "10.0.0.1"}}}},
                 {"nodeInfo", {{"osImage", "Debian"}, {"bootID", "x"}}},
                 {"conditions",
                  {{{"type", "DiskPressure"}, {"status", "False"}},
                   {{"type", "Ready"}, {"status", "True"}, {"lastHeartbeatTime", "now"}}}}}}};
  TrimFor("Node")(node);
  EXPECT_EQ(node["spec"].size(), 2U);
  EXPECT_FALSE(node["status"].contains("images"));
  EXPECT_EQ(node["status"]["nodeInfo"].dump(), R"({"osImage":"Debian"})");
  EXPECT_EQ(node["status"]["conditions"].dump(), R"([{"status":"True","type":"Ready"}])");
  EXPECT_EQ(node["metadata"]["labels"]["a"], "b");
}

TEST_F(StoreTest, TrimsPodsToWhatIsUsed) {
  Json pod = {
      {"metadata", {{"name", "p"}, {"namespace", "ns"}, {"ownerReferences", {{{"uid", "o"}}}}}},
      {"spec",
       {{"nodeName", "n"},
        {"volumes", {{{"name", "v"}, {"emptyDir", {1}}}}},
        {"containers", {{{"name", "c"}, {"image", "i"}, {"env", {1}}}}}}},
      {"status",
       {{"phase", "Running"},
        {"podIPs", {{{"ip", "10.1.1.1"}}}},
        {"conditions", {{{"type", "Ready"}, {"status", "True"}}}},
        {"containerStatuses",
         {{{"name", "c"},
           {"ready", true},
           {"imageID", "x"},
           {"state", {{"running", {{"startedAt", "now"}}}}}}}}}}};
  TrimFor("Pod")(pod);
  EXPECT_EQ(pod["spec"].dump(),
            R"({"containers":[{"image":"i","name":"c"}],"nodeName":"n","volumes":[{"name":"v"}]})")
      << "which of two Secrets a pod mounts is told by the name of the volume";
  EXPECT_EQ(pod["status"]["containerStatuses"].dump(),
            R"([{"name":"c","ready":true,"state":{"running":{"startedAt":"now"}}}])")
      << "when tlshd was started tells which connections it explains";
  EXPECT_EQ(pod["status"]["phase"], "Running");
  EXPECT_EQ(pod["metadata"]["ownerReferences"][0]["uid"], "o");
  Json empty = Json::object();
  TrimFor("Pod")(empty);
  EXPECT_FALSE(TrimFor("Secret"));
}

// A pod template has hundreds of values, and there is one for each node.
TEST_F(StoreTest, KeepsTheSpecOfADaemonSetAsText) {
  const Json whole = {{"metadata", {{"name", "d"}}},
                      {"spec", {{"template", {{"spec", {{"hostNetwork", true}}}}}}},
                      {"status", {{"numberReady", 1}}}};
  Json daemon_set = whole;
  TrimFor("DaemonSet")(daemon_set);
  EXPECT_TRUE(daemon_set["spec"].is_string());
  TrimFor("DaemonSet")(daemon_set);  // a list is trimmed page by page, and again when it is kept
  EXPECT_EQ(daemon_set["status"], whole["status"]);
  EXPECT_EQ(UnpackSpec(daemon_set), whole);
  EXPECT_EQ(UnpackSpec(whole), whole);
  for (Json odd : {Json(), Json::array(), Json{{"spec", 7}}, Json::object()}) {
    TrimFor("DaemonSet")(odd);
    (void)UnpackSpec(odd);
  }
}

}  // namespace
}  // namespace breakwater::runtime
