// Whom the operator believes. What would break for a user: somebody who may create pods in the
// namespace speaks for a node: its volumes are taken for encrypted, or are cut (REVIEW-2 M4).

#include "operator/controllers/node_shell/satellite_pods.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/resources.h"

namespace breakwater::controllers {
namespace {

using api::Json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr const char* kAgent = "breakwater-agent";

Json OwnedBy(const std::string& uid, bool controller = true) {
  return Json::array({{{"uid", uid}, {"controller", controller}}});
}

Json Satellite(const std::string& node) {
  return {{"metadata", {{"name", node}, {"uid", "satellite-" + node}}}};
}

Json Set(const std::string& name, const std::string& node) {
  return {{"metadata",
           {{"name", name},
            {"namespace", "ns"},
            {"uid", "uid-" + name},
            {"ownerReferences", OwnedBy("satellite-" + node)}}}};
}

Json Pod(const std::string& name, const std::string& node, const std::string& owner) {
  return {{"metadata",
           {{"name", name},
            {"namespace", "ns"},
            {"uid", "uid-" + name},
            {"labels", {{"app.kubernetes.io/component", "linstor-satellite"}}},
            {"ownerReferences", OwnedBy(owner)}}},
          {"spec", {{"nodeName", node}, {"containers", Json::array({{{"name", kAgent}}})}}},
          {"status",
           {{"phase", "Running"},
            {"containerStatuses", Json::array({{{"name", kAgent},
                                                {"restartCount", 2},
                                                {"state", {{"running", Json::object()}}}}})}}}};
}

class SatellitePodsTest : public ::testing::Test {
 protected:
  SatellitePodsTest() {
    satellites_.Replace({Satellite("node1"), Satellite("node2")}, "1");
    daemon_sets_.Replace({Set("set1", "node1"), Set("set2", "node2")}, "1");
    pods_.Replace({good_}, "1");
  }

  void Have(const std::vector<Json>& pods) { pods_.Replace(pods, "2"); }

  std::string NameOf(const std::string& node) {
    const auto [pod, problem] = FindSatellitePod(stores_, node);
    EXPECT_EQ(pod == nullptr, !problem.empty());
    return pod == nullptr ? "" : pod->name();
  }

  runtime::Store satellites_{api::kLinstorSatellite};
  runtime::Store daemon_sets_{api::kDaemonSet};
  runtime::Store pods_{api::kPod};
  const SatelliteStores stores_{satellites_, daemon_sets_, pods_, "ns"};
  const Json good_ = Pod("pod1", "node1", "uid-set1");
};

TEST_F(SatellitePodsTest, TheOwnerChainLeadsToTheNode) {
  EXPECT_EQ(NameOf("node1"), "pod1");
  EXPECT_EQ(NameOf("node2"), "");
  EXPECT_THAT(FindSatellitePod(stores_, "node3").problem, HasSubstr("no LinstorSatellite"));
  Have({Pod("direct", "node1", "satellite-node1")});
  EXPECT_EQ(NameOf("node1"), "direct");
  EXPECT_THAT(FindSatellitePods(stores_), SizeIs(2));
}

TEST_F(SatellitePodsTest, ALabelAloneIsNothing) {
  Json younger = Pod("evil", "node1", "uid-of-a-job");
  younger["metadata"]["creationTimestamp"] = "2099-01-01T00:00:00Z";
  Have({good_, younger});
  EXPECT_EQ(NameOf("node1"), "pod1");
  Json bare = Pod("evil", "node2", "");
  bare["metadata"].erase("ownerReferences");
  Json owned = Pod("owned", "node2", "uid-set2");
  owned["metadata"]["ownerReferences"] = OwnedBy("uid-set2", /*controller=*/false);
  Json elsewhere = Pod("elsewhere", "node1", "uid-set2");
  Json foreign = Pod("foreign", "node2", "uid-set2");
  foreign["metadata"]["namespace"] = "other";
  Have({bare, owned, elsewhere, foreign});
  EXPECT_EQ(NameOf("node1"), "") << "another node's pod";
  EXPECT_EQ(NameOf("node2"), "");
}

// An owner reference can be forged; a second pod shows it, and then neither is believed.
TEST_F(SatellitePodsTest, TwoCandidatesAreNone) {
  Have({good_, Pod("evil", "node1", "uid-set1")});
  const auto [pod, problem] = FindSatellitePod(stores_, "node1");
  EXPECT_EQ(pod, nullptr);
  EXPECT_THAT(problem, HasSubstr("pod1"));
  EXPECT_THAT(problem, HasSubstr("evil"));
  EXPECT_THAT(FindAgents(stores_, kAgent), IsEmpty());
}

// A roll-out, or an eviction, leaves the old pod visible for a while.
TEST_F(SatellitePodsTest, PodsThatEndDoNotCount) {
  Json leaving = Pod("leaving", "node1", "uid-set1");
  leaving["metadata"]["deletionTimestamp"] = "2026-01-03T00:00:01Z";
  Json evicted = Pod("evicted", "node1", "uid-set1");
  evicted["status"]["phase"] = "Failed";
  Have({good_, leaving, evicted});
  EXPECT_EQ(NameOf("node1"), "pod1");
}

TEST_F(SatellitePodsTest, AgentsAreFoundWithTheirRestarts) {
  Json without = Pod("pod2", "node2", "uid-set2");
  without["spec"]["containers"] = Json::array({{{"name", "linstor-satellite"}}});
  without["status"]["containerStatuses"] = Json::array();
  Have({good_, without});
  auto agents = FindAgents(stores_, kAgent);
  ASSERT_THAT(agents, SizeIs(1));
  EXPECT_EQ(agents[0], (AgentTarget{.node = "node1",
                                    .ns = "ns",
                                    .pod = "pod1",
                                    .pod_uid = "uid-pod1",
                                    .container = kAgent,
                                    .restarts = 2}));
  Json waiting = good_;
  waiting["status"]["containerStatuses"][0]["state"] = {{"waiting", Json::object()}};
  Have({waiting});
  agents = FindAgents(stores_, kAgent);
  ASSERT_THAT(agents, SizeIs(1));
  EXPECT_EQ(agents[0].restarts, -1) << "its start will be a change";
}

}  // namespace
}  // namespace breakwater::controllers
