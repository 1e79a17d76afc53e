#include "operator/core/cluster/csi_nodes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace breakwater::core {
namespace {

using api::Json;
using ::testing::ElementsAre;

api::Object CsiNode(const Json& drivers) {
  return api::Object(Json{{"metadata", {{"name", "node1"}}}, {"spec", {{"drivers", drivers}}}});
}

Json Driver(const char* name, const Json& keys) {
  return {{"name", name}, {"nodeID", "node1"}, {"topologyKeys", keys}};
}

const Json kOurs = Driver("linstor.csi.linbit.com", Json::array({"linbit.com/hostname", "zone"}));

// A claim with allowedTopologies for a key that the scheduler does not know waits for ever.
TEST(CsiNodes, KeysAreThoseOfTheNodesProperties) {
  EXPECT_THAT(WantedTopologyKeys({{"Aux/topology/zone", "a"},
                                  {"Aux/topology/", "x"},
                                  {"Aux/topologyother", "x"},
                                  {"StorDriver/x", "y"}}),
              ElementsAre("linbit.com/hostname", "zone"));
  const api::Object node = CsiNode(Json::array({kOurs}));
  EXPECT_EQ(CheckRegistration(&node, {"linbit.com/hostname", "zone"}), CsiRegistration::kAsWanted);
  EXPECT_EQ(CheckRegistration(&node, {"linbit.com/hostname"}), CsiRegistration::kOutdated);
}

// Without properties of ours the driver still reports the host name: "outdated" would restart it
// once a minute.
TEST(CsiNodes, TheHostNameIsAlwaysThere) {
  const api::Object node = CsiNode(
      Json::array({Driver("linstor.csi.linbit.com", Json::array({"linbit.com/hostname"}))}));
  EXPECT_EQ(CheckRegistration(&node, WantedTopologyKeys({})), CsiRegistration::kAsWanted);
}

// K9: who patches --label-by-storage-pool=true gets a key per pool, which no property announces.
TEST(CsiNodes, KeysOfStoragePoolsDoNotCount) {
  const api::Object node = CsiNode(Json::array({Driver(
      "linstor.csi.linbit.com", Json::array({"linbit.com/hostname", "linbit.com/sp-pool1"}))}));
  EXPECT_EQ(CheckRegistration(&node, WantedTopologyKeys({})), CsiRegistration::kAsWanted);
}

TEST(CsiNodes, AForeignDriverIsNotOurs) {
  const api::Object node =
      CsiNode(Json::array({Driver("other.example.com", Json::array({"zone", "x"}))}));
  EXPECT_EQ(CheckRegistration(&node, {"zone"}), CsiRegistration::kMissing);
  EXPECT_EQ(CheckRegistration(nullptr, {"zone"}), CsiRegistration::kMissing);
  EXPECT_TRUE(UnregisterPatch(node).is_null());
}

// Taking out the wrong driver would detach the node from somebody else's storage.
TEST(CsiNodes, UnregisteringTakesOutNothingElse) {
  const Json other = Driver("other.example.com", Json::array());
  const api::Object node = CsiNode(Json::array({other, kOurs}));
  const Json patch = UnregisterPatch(node);
  EXPECT_EQ(node.raw().patch(patch)["spec"]["drivers"], Json::array({other}));
  // The kubelet has registered another driver in between.
  EXPECT_THROW(CsiNode(Json::array({kOurs, other})).raw().patch(patch), Json::exception);
}

}  // namespace
}  // namespace breakwater::core
