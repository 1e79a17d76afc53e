#include "operator/kube/request.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace breakwater::kube {
namespace {

const ResourceInfo kPods{.kind = "Pod", .plural = "pods"};
const ResourceInfo kNodes{.kind = "Node", .plural = "nodes", .namespaced = false};
const ResourceInfo kClusters{.group = "piraeus.io",
                             .version = "v1",
                             .kind = "LinstorCluster",
                             .plural = "linstorclusters",
                             .namespaced = false};

// A wrong path is a 404 that looks like "the object is gone".
TEST(RequestTest, BuildsPaths) {
  EXPECT_EQ(ResourcePath(kPods, "a", "b", "exec"), "/api/v1/namespaces/a/pods/b/exec");
  EXPECT_EQ(ResourcePath(kPods, ""), "/api/v1/pods");
  EXPECT_EQ(GetRequest(kClusters, {"ignored", "x"}).target,
            "/apis/piraeus.io/v1/linstorclusters/x");
}

// Selectors hold commas, equal signs and parentheses; a label value may hold anything at all.
TEST(RequestTest, EncodesOnce) {
  EXPECT_EQ(PercentEncode("a b/c=%2F,(ü)"), "a%20b%2Fc%3D%252F%2C%28%C3%BC%29");
  EXPECT_EQ(
      ListRequest(
          kPods,
          {.ns = "n", .label_selector = "a=b,c in (d)", .limit = 2, .continue_token = "x/y+z="})
          .target,
      "/api/v1/namespaces/n/pods?labelSelector=a%3Db%2Cc%20in%20%28d%29&limit=2"
      "&continue=x%2Fy%2Bz%3D");
}

TEST(RequestTest, Watch) {
  EXPECT_EQ(
      WatchRequest(kNodes, {.resource_version = "7"}).target,
      "/api/v1/nodes?watch=true&allowWatchBookmarks=true&timeoutSeconds=290&resourceVersion=7");
}

// Without force a field that kubectl once touched blocks the operator for ever.
TEST(RequestTest, ApplyNamesItsManager) {
  const net::Request request =
      ApplyRequest(kClusters, {"", "c"},
                   {{"spec", {{"a", 1}}}, {"metadata", {{"managedFields", Json::array()}}}},
                   {.subresource = "status", .dry_run = true});
  EXPECT_EQ(request.method, "PATCH");
  EXPECT_EQ(request.target,
            "/apis/piraeus.io/v1/linstorclusters/c/status?fieldManager=piraeus.io%2Foperator"
            "&force=true&dryRun=All");
  EXPECT_EQ(net::FindHeader(request.headers, "content-type"), "application/apply-patch+yaml");
  EXPECT_EQ(Json::parse(request.body), Json::parse(R"({"apiVersion":"piraeus.io/v1",
      "kind":"LinstorCluster","metadata":{"name":"c"},"spec":{"a":1}})"));
}

TEST(RequestTest, DeleteCarriesPreconditions) {
  const net::Request request =
      DeleteRequest(kPods, {"n", "p"}, {.uid = "u", .resource_version = "5"});
  EXPECT_EQ(request.method, "DELETE");
  EXPECT_EQ(Json::parse(request.body), Json::parse(R"({"apiVersion":"v1","kind":"DeleteOptions",
      "propagationPolicy":"Background","preconditions":{"uid":"u","resourceVersion":"5"}})"));
}

TEST(RequestTest, PatchTypes) {
  for (const auto& [type, expected] :
       {std::pair{PatchType::kJson, "application/json-patch+json"},
        std::pair{PatchType::kMerge, "application/merge-patch+json"},
        std::pair{PatchType::kStrategicMerge, "application/strategic-merge-patch+json"}}) {
    EXPECT_EQ(
        net::FindHeader(PatchRequest(kPods, {"n", "p"}, type, {}, "").headers, "Content-Type"),
        expected);
  }
}

// DELETE on a path without a name deletes every object of the namespace.
TEST(RequestTest, RefusesKeysThatAddressSomethingElse) {
  EXPECT_EQ(KeyProblem(kPods, {"n", "p"}), "");
  EXPECT_EQ(KeyProblem(kNodes, {"", "p"}), "");
  for (const ObjectKey& key : std::vector<ObjectKey>{
           {"n", ""}, {"", "p"}, {"n", ".."}, {"n", "a/b"}, {"n", "a%2fb"}, {"..", "p"}}) {
    EXPECT_NE(KeyProblem(kPods, key), "") << key.ToString();
  }
}

// A name with a broken byte must become an error of the server, not an exception here.
TEST(RequestTest, SurvivesInvalidUtf8) {
  EXPECT_NO_THROW(CreateRequest(kPods, "n", {{"metadata", {{"name", "a\xff"}}}}));
}

}  // namespace
}  // namespace breakwater::kube
