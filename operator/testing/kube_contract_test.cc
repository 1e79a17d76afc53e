// What the operator relies on in an API server, checked against FakeKube and against a real one
// when BREAKWATER_TEST_KUBECONFIG names a kubeconfig with cluster-admin rights. FakeKube gets no
// feature that is not checked here, so that tests above it mean something. Every test uses names of
// its own and cleans up after itself; the custom resource is made from a definition that this suite
// applies.

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "operator/api/object.h"
#include "operator/kube/event_aggregator.h"
#include "operator/kube/http_client.h"
#include "operator/kube/lease.h"
#include "operator/kube/watch_event.h"
#include "operator/net/cpprest_transport.h"
#include "operator/testing/fake_kube.h"

namespace breakwater::testing {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only
using kube::KubeClient;
using kube::WatchEvent;

const ResourceInfo kMaps{.kind = "ConfigMap", .plural = "configmaps"};
const ResourceInfo kThings{
    .group = "contract.breakwater.test", .kind = "Thing", .plural = "things", .namespaced = false};
const ResourceInfo kDefinitions{.group = "apiextensions.k8s.io",
                                .kind = "CustomResourceDefinition",
                                .plural = "customresourcedefinitions",
                                .namespaced = false};
constexpr const char* kNs = "default";

/// The server under test; null when it is not available.
class Server {
 public:
  virtual ~Server() = default;
  virtual KubeClient* client() = 0;
  /// Open watches get a bookmark soon.
  virtual void SendBookmark() = 0;
  /// A version that the server has forgotten; "" when there is none.
  virtual std::string ForgottenVersion() = 0;
};

class FakeServer final : public Server {
 public:
  KubeClient* client() override { return &kube_; }

  void SendBookmark() override { kube_.SendBookmarks(); }

  std::string ForgottenVersion() override {
    const Json old = kube_.Put(kMaps, {{"metadata", {{"name", "x"}, {"namespace", kNs}}}});
    kube_.Put(kMaps, {{"metadata", {{"name", "y"}, {"namespace", kNs}}}});
    kube_.Compact();
    return api::Object(old).resource_version();
  }

 private:
  FakeKube kube_;
};

class RealServer final : public Server {
 public:
  RealServer() {
    const char* path = std::getenv("BREAKWATER_TEST_KUBECONFIG");
    if (path == nullptr || *path == '\0') {
      return;
    }
    net::StartHttpThreads();
    const auto config = kube::LoadConfig({.kubeconfig = path});
    EXPECT_TRUE(config) << config.error().message;
    auto connection = kube::ConnectKube(*config, RealClock(), Logger::Null());
    EXPECT_TRUE(connection) << connection.error().message;
    connection_ = std::move(*connection);
  }

  KubeClient* client() override { return connection_.client.get(); }

  /// It sends one before it ends a watch, besides one in a minute.
  void SendBookmark() override {}

  /// Whoever runs this suite has let etcd forget it.
  std::string ForgottenVersion() override {
    const char* version = std::getenv("BREAKWATER_TEST_COMPACTED_VERSION");
    return version == nullptr ? "" : version;
  }

 private:
  kube::KubeConnection connection_;
};

Json Definition() {
  return Json::parse(R"({"spec": {"group": "contract.breakwater.test", "scope": "Cluster",
    "names": {"kind": "Thing", "plural": "things", "singular": "thing"},
    "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
      "schema": {"openAPIV3Schema": {"type": "object", "properties": {
        "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "status": {"type": "object", "properties": {
          "phase": {"type": "string"},
          "conditions": {"type": "array", "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
            "items": {"type": "object", "required": ["type"],
              "properties": {"type": {"type": "string"}, "status": {"type": "string"}}}}}}}}}}]}})");
}

using MakeServer = std::function<std::unique_ptr<Server>()>;

class KubeContractTest : public ::testing::TestWithParam<std::pair<const char*, MakeServer>> {
 protected:
  void SetUp() override {
    server_ = GetParam().second();
    if (server_->client() == nullptr) {
      GTEST_SKIP() << "NOT CHECKED against a real API server: set BREAKWATER_TEST_KUBECONFIG";
    }
    const ObjectKey definition{"", "things.contract.breakwater.test"};
    ASSERT_TRUE(kube().Apply(ctx_, kDefinitions, definition, Definition(), Manager("contract")));
    WaitFor([&] { return kube().List(ctx_, kThings, {}).has_value(); });
    Clean();
  }

  void TearDown() override {
    if (server_->client() != nullptr) {
      Clean();
    }
  }

  KubeClient& kube() { return *server_->client(); }

  static kube::ApplyOptions Manager(const char* name,
                                    bool force = true,
                                    const char* subresource = "") {
    return {.field_manager = name, .force = force, .subresource = subresource};
  }

  void WaitFor(const std::function<bool()>& condition) {
    while (!condition()) {
      ASSERT_TRUE(ctx_.SleepFor(50ms)) << "the condition never came true";
    }
  }

  void Clean() {
    for (const char* name : {"contract-a", "contract-b", "contract-c"}) {
      for (const ResourceInfo* resource : {&kMaps, &kThings}) {
        const ObjectKey key{resource->namespaced ? kNs : "", name};
        if (kube().Get(ctx_, *resource, key)) {
          (void)kube().Patch(ctx_, *resource, key, kube::PatchType::kMerge,
                             {{"metadata", {{"finalizers", nullptr}}}}, "");
          (void)kube().Delete(ctx_, *resource, key, {});
        }
      }
    }
  }

  static Json Map(const char* name, Json data = {{"k", "v"}}) {
    return {{"apiVersion", "v1"},
            {"kind", "ConfigMap"},
            {"metadata", {{"name", name}, {"labels", {{"suite", "contract"}}}}},
            {"data", std::move(data)}};
  }

  Json Thing(const char* name, Json spec) {
    return kube()
        .Apply(ctx_, kThings, {"", name}, {{"spec", std::move(spec)}}, Manager("contract"))
        .value();
  }

  static std::string Version(const Json& object) { return api::Object(object).resource_version(); }

  const Context ctx_ = Context(std::stop_token()).WithTimeout(60s);
  std::unique_ptr<Server> server_;
};

// Names are the operator's memory: a second create must not replace the first.
TEST_P(KubeContractTest, CreateGetAndAlreadyExists) {
  const auto created = kube().Create(ctx_, kMaps, kNs, Map("contract-a"));
  ASSERT_TRUE(created) << created.error().message();
  const api::Object object(*created);
  EXPECT_FALSE(object.uid().empty());
  EXPECT_FALSE(object.resource_version().empty());
  const auto read = kube().Get(ctx_, kMaps, {kNs, "contract-a"});
  ASSERT_TRUE(read);
  EXPECT_EQ(api::Object(*read).uid(), object.uid());
  const auto again = kube().Create(ctx_, kMaps, kNs, Map("contract-a"));
  ASSERT_FALSE(again);
  EXPECT_TRUE(again.error().IsConflict());
}

TEST_P(KubeContractTest, GetOfNothingIsNotFound) {
  EXPECT_TRUE(kube().Get(ctx_, kMaps, {kNs, "contract-a"}).error().IsNotFound());
  EXPECT_TRUE(kube().Delete(ctx_, kMaps, {kNs, "contract-a"}, {}).error().IsNotFound());
}

// A page lost or read twice is an object deleted or made twice.
TEST_P(KubeContractTest, ListsInPages) {
  for (const char* name : {"contract-a", "contract-b", "contract-c"}) {
    ASSERT_TRUE(kube().Create(ctx_, kMaps, kNs, Map(name)));
  }
  std::vector<std::string> names;
  kube::ListOptions options{.ns = kNs, .label_selector = "suite=contract", .limit = 2};
  std::string version;
  do {
    const auto page = kube().List(ctx_, kMaps, options);
    ASSERT_TRUE(page) << page.error().message();
    EXPECT_TRUE(version.empty() || version == page->resource_version);
    version = page->resource_version;
    for (const Json& item : page->items) {
      EXPECT_EQ(item["kind"], "ConfigMap");
      names.push_back(api::Object(item).name());
    }
    options.continue_token = page->continue_token;
  } while (!options.continue_token.empty());
  EXPECT_EQ(names, (std::vector<std::string>{"contract-a", "contract-b", "contract-c"}));
}

TEST_P(KubeContractTest, SelectsByFieldAndLabel) {
  ASSERT_TRUE(kube().Create(ctx_, kMaps, kNs, Map("contract-a")));
  ASSERT_TRUE(kube().Create(ctx_, kMaps, kNs, Map("contract-b")));
  const auto by_name = kube().List(ctx_, kMaps, {.field_selector = "metadata.name=contract-b"});
  ASSERT_TRUE(by_name);
  EXPECT_EQ(by_name->items.size(), 1U);
  const auto none = kube().List(ctx_, kMaps, {.ns = kNs, .label_selector = "suite=other"});
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->items.empty());
}

// The reflector's whole life: list, watch from there, see each change once.
TEST_P(KubeContractTest, WatchesFromAListVersion) {
  ASSERT_TRUE(kube().Create(ctx_, kMaps, kNs, Map("contract-a")));
  const auto page = kube().List(ctx_, kMaps, {.ns = kNs});
  ASSERT_TRUE(page);
  auto watch = kube().Watch(
      ctx_, kMaps,
      {.ns = kNs, .label_selector = "suite=contract", .resource_version = page->resource_version});
  ASSERT_TRUE(watch) << watch.error().message();
  ASSERT_TRUE(kube().Create(ctx_, kMaps, kNs, Map("contract-b")));
  ASSERT_TRUE(kube().Patch(ctx_, kMaps, {kNs, "contract-b"}, kube::PatchType::kMerge,
                           {{"data", {{"k", "w"}}}}, ""));
  ASSERT_TRUE(kube().Delete(ctx_, kMaps, {kNs, "contract-b"}, {}));
  for (const auto type :
       {WatchEvent::Type::kAdded, WatchEvent::Type::kModified, WatchEvent::Type::kDeleted}) {
    auto event = (*watch)->Next(ctx_);
    while (event && event->has_value() && (**event).type == WatchEvent::Type::kBookmark) {
      event = (*watch)->Next(ctx_);
    }
    ASSERT_TRUE(event && event->has_value());
    EXPECT_EQ((**event).type, type);
    EXPECT_EQ(api::Object((**event).object).name(), "contract-b");
    EXPECT_FALSE((**event).resource_version.empty());
  }
}

// Without bookmarks a watch on objects that never change would be resumed from a version that is
// long gone: a list of everything each time.
TEST_P(KubeContractTest, ABookmarkIsAPlaceToGoOnFrom) {
  const auto page = kube().List(ctx_, kMaps, {.ns = kNs});
  ASSERT_TRUE(page);
  auto watch = kube().Watch(ctx_, kMaps,
                            {.ns = kNs,
                             .label_selector = "suite=contract",
                             .resource_version = page->resource_version,
                             .timeout = 5s});
  ASSERT_TRUE(watch) << watch.error().message();
  ASSERT_TRUE(kube().Create(ctx_, kMaps, kNs, Map("contract-a")));
  std::string bookmark;
  server_->SendBookmark();
  while (bookmark.empty()) {
    const auto event = (*watch)->Next(ctx_);
    ASSERT_TRUE(event) << event.error().message();
    ASSERT_TRUE(event->has_value()) << "the watch ended without a bookmark";
    if ((**event).type == WatchEvent::Type::kBookmark) {
      bookmark = (**event).resource_version;
    }
  }
  const auto created = kube().Create(ctx_, kMaps, kNs, Map("contract-b"));
  ASSERT_TRUE(created);
  auto resumed = kube().Watch(
      ctx_, kMaps, {.ns = kNs, .label_selector = "suite=contract", .resource_version = bookmark});
  ASSERT_TRUE(resumed) << resumed.error().message();
  const auto first = (*resumed)->Next(ctx_);
  ASSERT_TRUE(first && first->has_value());
  EXPECT_EQ(api::Object((**first).object).name(), "contract-b")
      << "nothing from before comes again";
  EXPECT_EQ((**first).resource_version, Version(*created));
}

// An operator that was away for long must hear that it has to list again, not wait for ever.
TEST_P(KubeContractTest, AForgottenVersionIsGone) {
  const std::string version = server_->ForgottenVersion();
  ASSERT_FALSE(version.empty()) << "BREAKWATER_TEST_COMPACTED_VERSION is not set";
  auto watch = kube().Watch(ctx_, kMaps, {.ns = kNs, .resource_version = version});
  if (!watch) {
    EXPECT_TRUE(watch.error().IsGone()) << watch.error().message();
    return;
  }
  const auto event = (*watch)->Next(ctx_);
  ASSERT_TRUE(event && event->has_value());
  EXPECT_EQ((**event).type, WatchEvent::Type::kError);
  EXPECT_EQ((**event).object["code"], 410);
}

// A label removed must look like a deletion to a watch that selects by it.
TEST_P(KubeContractTest, LeavingTheSelectionIsADeletion) {
  const auto created = kube().Create(ctx_, kMaps, kNs, Map("contract-a"));
  ASSERT_TRUE(created);
  auto watch = kube().Watch(
      ctx_, kMaps,
      {.ns = kNs, .label_selector = "suite=contract", .resource_version = Version(*created)});
  ASSERT_TRUE(watch);
  ASSERT_TRUE(kube().Patch(ctx_, kMaps, {kNs, "contract-a"}, kube::PatchType::kMerge,
                           {{"metadata", {{"labels", nullptr}}}}, ""));
  const auto event = (*watch)->Next(ctx_);
  ASSERT_TRUE(event && event->has_value());
  EXPECT_EQ((**event).type, WatchEvent::Type::kDeleted);
}

// An idle operator applies the same thing over and over: that must not wake every watch in the
// cluster.
TEST_P(KubeContractTest, ApplyingTheSameAgainChangesNothing) {
  const Json first = Thing("contract-a", {{"a", 1}});
  const Json second = Thing("contract-a", {{"a", 1}});
  EXPECT_EQ(Version(first), Version(second));
  EXPECT_EQ(api::Object(first).generation(), 1);
}

// A field that the operator stops applying must go away, and one of somebody else must stay.
TEST_P(KubeContractTest, ApplyRemovesWhatItsManagerGaveUp) {
  Thing("contract-a", {{"a", 1}, {"b", 1}});
  ASSERT_TRUE(
      kube().Apply(ctx_, kThings, {"", "contract-a"}, {{"spec", {{"c", 1}}}}, Manager("other")));
  const Json after = Thing("contract-a", {{"a", 2}});
  EXPECT_EQ(after["spec"], Json::parse(R"({"a": 2, "c": 1})"));
  EXPECT_EQ(api::Object(after).generation(), 3);
}

TEST_P(KubeContractTest, ApplyConflictsWithAnotherManagerUnlessForced) {
  Thing("contract-a", {{"a", 1}});
  const Json want = {{"spec", {{"a", 2}}}};
  const auto refused =
      kube().Apply(ctx_, kThings, {"", "contract-a"}, want, Manager("other", false));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().IsConflict());
  const auto forced = kube().Apply(ctx_, kThings, {"", "contract-a"}, want, Manager("other"));
  ASSERT_TRUE(forced);
  EXPECT_EQ((*forced)["spec"]["a"], 2);
  // The same value is shared, not fought over.
  EXPECT_TRUE(kube().Apply(ctx_, kThings, {"", "contract-a"}, want, Manager("third", false)));
}

// Somebody's `kubectl edit` must be seen as a conflict by an apply without force.
TEST_P(KubeContractTest, AnUpdateTakesAFieldOver) {
  Thing("contract-a", {{"a", 1}, {"b", 1}});
  ASSERT_TRUE(kube().Patch(ctx_, kThings, {"", "contract-a"}, kube::PatchType::kMerge,
                           {{"spec", {{"a", 2}}}}, ""));
  const Json want = {{"spec", {{"a", 1}, {"b", 1}}}};
  const auto refused =
      kube().Apply(ctx_, kThings, {"", "contract-a"}, want, Manager("contract", false));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().IsConflict());
  // And a field taken over is not removed by its former owner.
  const Json after = Thing("contract-a", {{"b", 1}});
  EXPECT_EQ(after["spec"], Json::parse(R"({"a": 2, "b": 1})"));
}

// What the event recorder writes must pass the validation of the API, series included.
TEST_P(KubeContractTest, EventsAreAccepted) {
  const ResourceInfo events{.group = "events.k8s.io", .kind = "Event", .plural = "events"};
  kube::EventAggregator aggregator("contract.breakwater.test/c", "instance");
  const kube::Event event{.regarding = kube::RefOf(api::Object(Thing("contract-a", {{"a", 1}}))),
                          .action = "Test",
                          .reason = "Contract",
                          .note = std::string(2000, 'x')};
  kube::EventTime now{RealClock().SteadyNow(), RealClock().SystemNow()};
  const auto first = aggregator.Add(event, now);
  ASSERT_TRUE(first);
  const auto created = kube().Create(ctx_, events, first->key.ns, first->object);
  ASSERT_TRUE(created) << created.error().message();
  now.steady += kube::EventAggregator::kWriteAgainAfter;
  now.wall += kube::EventAggregator::kWriteAgainAfter;
  const auto repeated = aggregator.Add(event, now);
  ASSERT_TRUE(repeated && repeated->update);
  const auto updated =
      kube().Patch(ctx_, events, repeated->key, kube::PatchType::kMerge, repeated->object, "");
  ASSERT_TRUE(updated) << updated.error().message();
  EXPECT_EQ((*updated)["series"]["count"], 2);
  EXPECT_TRUE(kube().Delete(ctx_, events, first->key, {}));
}

// The lease as the elector writes it, released at the end.
TEST_P(KubeContractTest, LeasesAreAcceptedAndOptimistic) {
  const ResourceInfo leases{.group = "coordination.k8s.io", .kind = "Lease", .plural = "leases"};
  const ObjectKey key{kNs, "contract-lease"};
  (void)kube().Delete(ctx_, leases, key, {});
  kube::LeaseClient client(kube(), key);
  const SystemTime now = RealClock().SystemNow();
  auto lease =
      client.Create(ctx_, {.holder = "a", .duration = 15s, .acquire_time = now, .renew_time = now});
  ASSERT_TRUE(lease) << lease.error().message();
  kube::Lease mine = *lease;
  mine.renew_time = now + 2s;
  ASSERT_TRUE(client.Update(ctx_, mine));
  EXPECT_TRUE(client.Update(ctx_, mine).error().IsConflict());
  kube::Lease last = client.Get(ctx_).value();
  last.holder.clear();
  last.duration = 0s;
  const auto released = client.Update(ctx_, last);
  ASSERT_TRUE(released) << released.error().message();
  EXPECT_EQ(released->holder, "");
  EXPECT_TRUE(kube().Delete(ctx_, leases, key, {}));
}

TEST_P(KubeContractTest, DryRunChangesNothing) {
  Thing("contract-a", {{"a", 1}});
  kube::ApplyOptions options = Manager("contract");
  options.dry_run = true;
  const auto tried =
      kube().Apply(ctx_, kThings, {"", "contract-a"}, {{"spec", {{"a", 2}}}}, options);
  ASSERT_TRUE(tried);
  EXPECT_EQ((*tried)["spec"]["a"], 2);
  EXPECT_EQ(kube().Get(ctx_, kThings, {"", "contract-a"}).value()["spec"]["a"], 1);
}

// A status write must not change the spec, nor look like a change of it (a loop without end).
TEST_P(KubeContractTest, StatusIsASubresource) {
  const Json before = Thing("contract-a", {{"a", 1}});
  const auto status = kube().Apply(ctx_, kThings, {"", "contract-a"},
                                   Json::parse(R"({"spec": {"a": 9}, "status": {"phase": "Ready",
                      "conditions": [{"type": "X", "status": "True"}]}})"),
                                   Manager("contract", true, "status"));
  ASSERT_TRUE(status) << status.error().message();
  EXPECT_EQ((*status)["spec"]["a"], 1);
  EXPECT_EQ((*status)["status"]["phase"], "Ready");
  EXPECT_EQ(api::Object(*status).generation(), 1);
  EXPECT_NE(Version(*status), Version(before));
  // A status in an apply of the main resource is ignored.
  const auto main =
      kube().Apply(ctx_, kThings, {"", "contract-a"},
                   {{"spec", {{"a", 1}}}, {"status", {{"phase", "No"}}}}, Manager("contract"));
  ASSERT_TRUE(main) << main.error().message();
  EXPECT_EQ((*main)["status"]["phase"], "Ready");
  // Another manager's condition joins the list.
  const auto joined =
      kube().Apply(ctx_, kThings, {"", "contract-a"},
                   Json::parse(R"({"status": {"conditions": [{"type": "Y", "status": "True"}]}})"),
                   Manager("other", true, "status"));
  ASSERT_TRUE(joined) << joined.error().message();
  EXPECT_EQ((*joined)["status"]["conditions"].size(), 2U);
}

TEST_P(KubeContractTest, StatusOfNothingIsNotFound) {
  const auto status =
      kube().Apply(ctx_, kThings, {"", "contract-a"}, {{"status", {{"phase", "x"}}}},
                   Manager("contract", true, "status"));
  ASSERT_FALSE(status);
  EXPECT_TRUE(status.error().IsNotFound()) << status.error().message();
}

// Leader election is built on this.
TEST_P(KubeContractTest, ReplaceIsOptimistic) {
  const Json first = Thing("contract-a", {{"a", 1}});
  Json mine = first;
  mine["spec"]["a"] = 2;
  const auto second = kube().Replace(ctx_, kThings, {"", "contract-a"}, mine, "");
  ASSERT_TRUE(second) << second.error().message();
  const auto stale = kube().Replace(ctx_, kThings, {"", "contract-a"}, mine, "");
  ASSERT_FALSE(stale);
  EXPECT_TRUE(stale.error().IsConflict());
}

// Finalizers are removed by a patch guarded by a test: it must not remove somebody else's.
TEST_P(KubeContractTest, JsonPatchWithTest) {
  Thing("contract-a", {{"a", 1}});
  const Json patch = Json::parse(R"([{"op": "test", "path": "/spec/a", "value": 1},
                                     {"op": "replace", "path": "/spec/a", "value": 2}])");
  const auto patched =
      kube().Patch(ctx_, kThings, {"", "contract-a"}, kube::PatchType::kJson, patch, "");
  ASSERT_TRUE(patched) << patched.error().message();
  EXPECT_EQ((*patched)["spec"]["a"], 2);
  const auto refused =
      kube().Patch(ctx_, kThings, {"", "contract-a"}, kube::PatchType::kJson, patch, "");
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().IsInvalid()) << refused.error().message();
}

// Deletion with a finalizer: the object stays, marked, until the finalizer is gone.
TEST_P(KubeContractTest, FinalizersHoldADeletion) {
  const auto created = kube().Apply(
      ctx_, kThings, {"", "contract-a"},
      {{"metadata", {{"finalizers", {"contract.breakwater.test/f"}}}}, {"spec", {{"a", 1}}}},
      Manager("contract"));
  ASSERT_TRUE(created) << created.error().message();
  ASSERT_TRUE(kube().Delete(ctx_, kThings, {"", "contract-a"}, {}));
  const auto held = kube().Get(ctx_, kThings, {"", "contract-a"});
  ASSERT_TRUE(held);
  EXPECT_TRUE(api::Object(*held).deleting());
  EXPECT_EQ(api::Object(*held).generation(), 2);
  ASSERT_TRUE(
      kube().Apply(ctx_, kThings, {"", "contract-a"}, {{"spec", {{"a", 1}}}}, Manager("contract")));
  EXPECT_TRUE(kube().Get(ctx_, kThings, {"", "contract-a"}).error().IsNotFound());
}

// Pruning by a stale view must not delete an object that was made anew under the same name.
TEST_P(KubeContractTest, DeleteHonoursPreconditions) {
  const Json thing = Thing("contract-a", {{"a", 1}});
  const auto wrong = kube().Delete(ctx_, kThings, {"", "contract-a"}, {.uid = "another"});
  ASSERT_FALSE(wrong);
  EXPECT_TRUE(wrong.error().IsConflict());
  const auto stale = kube().Delete(ctx_, kThings, {"", "contract-a"}, {.resource_version = "1"});
  ASSERT_FALSE(stale);
  EXPECT_TRUE(stale.error().IsConflict());
  EXPECT_TRUE(kube().Delete(ctx_, kThings, {"", "contract-a"}, {.uid = api::Object(thing).uid()}));
}

/// The content of the file that an environment variable names; "" when there is none.
std::string FileOf(const char* variable) {
  const char* path = std::getenv(variable);
  std::ifstream file(path == nullptr ? "" : path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// A token that expired while the kubelet was late: the file is read again, nobody restarts.
// The two tokens differ in their times only and are signed alike, so that the second one proves
// that nothing but its age is wrong with the first.
// The other half, a server that is scripted: ConnectKubeTest.RenewsTheTokenAfter401.
TEST(TokenContractTest, AnExpiredTokenIsReadAgain) {
  const char* path = std::getenv("BREAKWATER_TEST_KUBECONFIG");
  if (path == nullptr || *path == '\0') {
    GTEST_SKIP() << "NOT CHECKED against a real API server: set BREAKWATER_TEST_KUBECONFIG";
  }
  const std::string expired = FileOf("BREAKWATER_TEST_EXPIRED_TOKEN_FILE");
  const std::string token = FileOf("BREAKWATER_TEST_TOKEN_FILE");
  ASSERT_FALSE(expired.empty()) << "BREAKWATER_TEST_EXPIRED_TOKEN_FILE names no token";
  ASSERT_FALSE(token.empty()) << "BREAKWATER_TEST_TOKEN_FILE names no token";
  net::StartHttpThreads();
  kube::KubeConfig config = kube::LoadConfig({.kubeconfig = path}).value();
  config.client_certificate = {};
  config.client_key_data = {};
  config.client_key_file.clear();
  config.token_file = ::testing::TempDir() + "contract-token-" + std::to_string(getpid());
  std::ofstream(config.token_file) << expired;
  const auto connection = kube::ConnectKube(config, RealClock(), Logger::Null());
  ASSERT_TRUE(connection) << connection.error().message;
  const Context ctx = Context(std::stop_token()).WithTimeout(20s);
  const auto refused = connection->client->Get(ctx, kMaps, {kNs, "contract-a"});
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().IsUnauthorized()) << refused.error().message();
  std::ofstream(config.token_file) << token;
  // A ServiceAccount without rights: it is known now, and may do nothing.
  const auto known = connection->client->Get(ctx, kMaps, {kNs, "contract-a"});
  ASSERT_FALSE(known);
  EXPECT_TRUE(known.error().IsForbidden()) << known.error().message();
  std::filesystem::remove(config.token_file);
}

INSTANTIATE_TEST_SUITE_P(
    Servers,
    KubeContractTest,
    ::testing::Values(
        std::pair<const char*, MakeServer>("Fake", [] { return std::make_unique<FakeServer>(); }),
        std::pair<const char*, MakeServer>("Real", [] { return std::make_unique<RealServer>(); })),
    [](const auto& server) { return std::string(server.param.first); });

}  // namespace
}  // namespace breakwater::testing
