// DaemonUse: a handshake daemon that goes too early costs quorum at the next network cut; one that
// never goes keeps its key on the node.

#include "operator/core/replication/plan/daemon_use.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/core/replication/plan/test_volume.h"

namespace breakwater::replication {
namespace {

using ::testing::HasSubstr;
using testing_seen::Healthy;

ClusterInput Input(ResourceObservation seen) {
  ClusterInput input;
  input.linstor_known = true;
  seen.resource = "pvc-1";
  input.resources.push_back(std::make_shared<const ResourceObservation>(std::move(seen)));
  return input;
}

const std::set<std::string> kAll{"n1", "n2", "n3", "n4"};

TEST(DaemonUseTest, EveryEndOfAnEncryptedConnectionNeedsIt) {
  const auto use = DaemonUse(Input(Healthy({"n1", "n2"}, true)), {}, kAll);
  EXPECT_EQ(use.at("n1"), "volume pvc-1 is replicated with TLS");
  EXPECT_EQ(use.at("n2"), use.at("n1"));
  EXPECT_EQ(use.at("n3"), "");
}

// What is down needs the daemon most: it is to come back.
TEST(DaemonUseTest, AConnectionThatIsDownStillNeedsIt) {
  ResourceObservation seen = Healthy({"n1", "n2"}, true);
  for (auto& [pair, connection] : seen.connections) {
    connection.a.state = "Connecting";
    connection.a.sockets = SocketProof::kUnknown;
    connection.b = {};
  }
  const auto use = DaemonUse(Input(seen), {}, {"n1"});
  EXPECT_THAT(use.at("n1"), HasSubstr("pvc-1"));
  EXPECT_THAT(use.at("n2"), HasSubstr("pvc-1")) << "its peer says so";
}

TEST(DaemonUseTest, PlaintextThatIsToBecomeTlsNeedsIt) {
  ClusterPlan plan;
  plan.wanted["pvc-1"][{"n1", "n2"}] = true;
  EXPECT_THAT(DaemonUse(Input(Healthy({"n1", "n2"}, false)), plan, kAll).at("n1"),
              HasSubstr("pvc-1"));
}

TEST(DaemonUseTest, NobodyNeedsItWithoutTls) {
  const auto use = DaemonUse(Input(Healthy({"n1", "n2"}, false)), {}, kAll);
  for (const std::string& node : kAll) {
    EXPECT_EQ(use.at(node), "") << node;
  }
}

// A volume that is placed on a node without the daemon would never connect.
TEST(DaemonUseTest, TheClustersValueIsForEveryNode) {
  ClusterInput input;
  input.linstor_known = true;
  input.cluster_value = true;
  EXPECT_THAT(DaemonUse(input, {}, kAll).at("n4"), HasSubstr("new volumes need it"));
}

TEST(DaemonUseTest, WhoDoesNotAnswerIsNotKnown) {
  EXPECT_FALSE(DaemonUse(Input(Healthy({"n1", "n2"}, false)), {}, {"n1"}).contains("n3"));
  ClusterInput silent = Input(Healthy({"n1", "n2"}, false));
  silent.linstor_known = false;
  EXPECT_FALSE(DaemonUse(silent, {}, kAll).contains("n1")) << "what is wanted is not known";
}

}  // namespace
}  // namespace breakwater::replication
