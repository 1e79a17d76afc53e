// All parts of the runtime together against the faithful fake of the API server, on the real clock.

#include <atomic>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "operator/runtime/apply.h"
#include "operator/runtime/finalizer.h"
#include "operator/runtime/manager.h"
#include "operator/runtime/prune.h"
#include "operator/runtime/test_support.h"
#include "operator/testing/fake_kube.h"

namespace breakwater::runtime {
namespace {

using api::Json;
using breakwater::testing::FakeKube;

const api::ResourceInfo kParents{.group = "x.io", .kind = "Parent", .plural = "parents"};
constexpr const char* kFinalizer = "x.io/done";

/// Keeps one ConfigMap per Parent, and cleans up by a finalizer.
class ChildReconciler final : public Reconciler {
 public:
  ChildReconciler(kube::KubeClient& client, const Store& parents, const Store& children)
      : client_(client), parents_(parents), children_(children), applier_(client) {}

  Result<Requeue, Error> Reconcile(const Context& ctx, const api::ObjectKey& key) override {
    const api::ObjectPtr parent = parents_.Get(key);
    if (!parent) {
      return Requeue{};
    }
    if (parent->deleting()) {
      BREAKWATER_RETURN_IF_ERROR(RemoveFinalizer(ctx, client_, kParents, *parent, kFinalizer));
      return Requeue{};
    }
    BREAKWATER_RETURN_IF_ERROR(AddFinalizer(ctx, client_, kParents, *parent, kFinalizer));
    const std::string value = api::StringAt(*api::FindMember(parent->raw(), "spec"), "value");
    PruneRequest prune{
        .owner_uid = parent->uid(), .stores = {&children_}, .operator_namespace = "ns"};
    if (!value.empty()) {
      BREAKWATER_RETURN_IF_ERROR(applier_.Apply(ctx, children_, Child(*parent, value)));
      prune.keep.insert({"", "ConfigMap", key});
    }
    BREAKWATER_RETURN_IF_ERROR(Prune(ctx, client_, prune));
    return Requeue{};
  }

 private:
  static Json Child(const api::Object& parent, const std::string& value) {
    return {{"apiVersion", "v1"},
            {"kind", "ConfigMap"},
            {"metadata",
             {{"name", parent.name()},
              {"namespace", "ns"},
              {"ownerReferences",
               {{{"apiVersion", "x.io/v1"},
                 {"kind", "Parent"},
                 {"name", parent.name()},
                 {"uid", parent.uid()},
                 {"controller", true}}}}}},
            {"data", {{"value", value}, {"empty", ""}}}};
  }

  kube::KubeClient& client_;
  const Store& parents_;
  const Store& children_;
  Applier applier_;
};

class RuntimeKubeTest : public ::testing::Test {
 protected:
  RuntimeKubeTest() {
    ManagerOptions options;
    options.reflector.backoff = {.first = std::chrono::milliseconds(1),
                                 .max = std::chrono::milliseconds(10)};
    manager_ = std::make_unique<Manager>(services_, kube_, options);
    Store& parents = manager_->AddStore(kParents);
    children_ = &manager_->AddStore(ConfigMaps(), {.ns = "ns"});
    reconciler_ = std::make_unique<ChildReconciler>(kube_, parents, *children_);
    manager_->AddController({.name = "parent"}, *reconciler_)
        .WatchSelf(parents, SpecOrMetadataChanged)
        .WatchOwned(*children_, parents);
  }

  ~RuntimeKubeTest() override {
    thread_.request_stop();
    if (thread_.joinable()) {
      thread_.join();
    }
    manager_.reset();
  }

  void Start() {
    thread_ = std::jthread(
        [this](const std::stop_token& stop) { ended_well_ = manager_->Run(stop).has_value(); });
  }

  void PutParent(const std::string& name, const std::string& value) {
    kube_.Put(kParents, {{"apiVersion", "x.io/v1"},
                         {"kind", "Parent"},
                         {"metadata", {{"name", name}, {"namespace", "ns"}}},
                         {"spec", {{"value", value}}}});
  }

  void SetValue(const std::string& name, const std::string& value) {
    kube_.Mutate(kParents, Key(name), [&](Json& parent) {
      parent["spec"]["value"] = value;
      parent["metadata"]["generation"] = api::Object(parent).generation() + 1;
    });
  }

  bool WaitForChild(const std::string& name, const std::string& value) {
    return Eventually([&] {
      const auto child = kube_.Find(ConfigMaps(), Key(name));
      return child && child->at("data").at("value") == value;
    });
  }

  /// Waits until the store has what the server has and nobody works.
  bool Settle() {
    return Eventually([&] {
      const std::vector<Json> all = kube_.All(ConfigMaps());
      bool same = all.size() == children_->size();
      for (const Json& item : all) {
        const api::ObjectPtr seen = children_->Get(api::Object(item).key());
        same = same && seen && seen->resource_version() == api::Object(item).resource_version();
      }
      return same;
    });
  }

  Logger log_ = Logger::Null();
  Metrics metrics_;
  Health health_{RealClock()};
  Services services_{RealClock(), log_, metrics_, health_};
  FakeKube kube_;
  std::unique_ptr<Manager> manager_;
  Store* children_ = nullptr;
  std::unique_ptr<ChildReconciler> reconciler_;
  std::atomic<bool> ended_well_{false};
  std::jthread thread_;
};

// Breaks: the whole point of the operator.
TEST_F(RuntimeKubeTest, CreatesHealsUpdatesAndPrunes) {
  PutParent("a", "1");
  Start();
  ASSERT_TRUE(WaitForChild("a", "1"));
  SetValue("a", "2");
  EXPECT_TRUE(WaitForChild("a", "2"));
  ASSERT_TRUE(Settle());
  kube_.Mutate(ConfigMaps(), Key("a"), [](Json& child) { child["data"]["value"] = "hacked"; });
  EXPECT_TRUE(WaitForChild("a", "2"));
  ASSERT_TRUE(Settle());
  kube_.Remove(ConfigMaps(), Key("a"));
  EXPECT_TRUE(WaitForChild("a", "2"));
  ASSERT_TRUE(Settle());
  SetValue("a", "");
  EXPECT_TRUE(Eventually([&] { return !kube_.Find(ConfigMaps(), Key("a")); })) << "pruned";
}

// Breaks: an idle operator loads the API server and wears out etcd.
TEST_F(RuntimeKubeTest, IdleMeansNoRequests) {
  PutParent("a", "1");
  PutParent("b", "1");
  Start();
  ASSERT_TRUE(WaitForChild("a", "1"));
  ASSERT_TRUE(WaitForChild("b", "1"));
  ASSERT_TRUE(Settle());
  // A change that concerns nobody passes through the same queue, hence after all other work.
  SetValue("b", "2");
  ASSERT_TRUE(WaitForChild("b", "2"));
  ASSERT_TRUE(Settle());
  kube_.ClearCalls();
  kube_.Mutate(kParents, Key("a"), [](Json& parent) { parent["metadata"]["labels"]["x"] = "y"; });
  kube_.Mutate(ConfigMaps(), Key("a"), [](Json& child) { child["data"]["foreign"] = "z"; });
  ASSERT_TRUE(Settle());
  EXPECT_EQ(kube_.write_count(), 0) << "reconciled again, nothing to change";
}

// Breaks: after compaction, closed streams or an outage the operator is blind.
TEST_F(RuntimeKubeTest, SurvivesExpiredAndClosedWatches) {
  PutParent("a", "1");
  Start();
  ASSERT_TRUE(WaitForChild("a", "1"));
  for (int round = 0; round < 5; ++round) {
    kube_.Compact();
    kube_.ExpireWatches();
    SetValue("a", "expired " + std::to_string(round));
    EXPECT_TRUE(WaitForChild("a", "expired " + std::to_string(round)));
    kube_.CloseWatches();
    SetValue("a", "closed " + std::to_string(round));
    EXPECT_TRUE(WaitForChild("a", "closed " + std::to_string(round)));
  }
}

// Breaks: one failed request, at whatever point, leaves the world half done.
TEST_F(RuntimeKubeTest, ConvergesWhicheverCallFails) {
  Start();
  for (int number = 1; number <= 6; ++number) {
    for (const bool after_effect : {false, true}) {
      const std::string name = "p" + std::to_string(number) + (after_effect ? "-after" : "");
      kube_.FailCall(number, kube::KubeError(net::TransportError{.message = "reset"}),
                     after_effect);
      PutParent(name, "1");
      EXPECT_TRUE(WaitForChild(name, "1")) << name;
    }
  }
}

// Breaks: a deleted custom resource hangs in "Terminating".
TEST_F(RuntimeKubeTest, FinalizerLetsGo) {
  PutParent("a", "1");
  Start();
  ASSERT_TRUE(WaitForChild("a", "1"));
  ASSERT_TRUE(Eventually(
      [&] { return HasFinalizer(api::Object(*kube_.Find(kParents, Key("a"))), kFinalizer); }));
  const Context ctx{std::stop_token()};
  EXPECT_TRUE(kube_.Delete(ctx, kParents, Key("a"), {}));
  EXPECT_TRUE(Eventually([&] { return !kube_.Find(kParents, Key("a")); }));
}

// Breaks: the operator is killed at the end of its grace, with the lease held.
TEST_F(RuntimeKubeTest, StopsPromptlyUnderLoad) {
  for (int i = 0; i < 50; ++i) {
    PutParent("p" + std::to_string(i), "1");
  }
  Start();
  ASSERT_TRUE(WaitForChild("p0", "1"));
  EXPECT_LT(Took([&] {
              thread_.request_stop();
              thread_.join();
            }),
            kPromptly);
  EXPECT_TRUE(ended_well_);
}

}  // namespace
}  // namespace breakwater::runtime
