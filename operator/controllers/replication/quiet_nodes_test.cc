// Which nodes may be left alone. What would break for a user: a volume on a node that is never
// looked at is reported as encrypted, or not at all; or an idle operator costs each node an exec.

#include "operator/controllers/replication/quiet_nodes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace breakwater::controllers {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using replication::NodeReport;
using Names = std::set<std::string>;

constexpr SteadyTime kStart{std::chrono::hours(1)};

NodeReport Empty(const std::string& node) {
  NodeReport report;
  report.node = node;
  report.ended = report.complete = true;
  return report;
}

TEST(QuietNodesTest, ANodeWithoutResourcesWaits) {
  QuietNodes quiet;
  const Names all{"a", "b", "c", "d"};
  EXPECT_EQ(quiet.Due(all, kStart), all) << "nobody was asked yet";
  std::map<std::string, NodeReport> reports{
      {"a", Empty("a")}, {"b", Empty("b")}, {"c", Empty("c")}};
  reports["b"].status["r0"];
  reports["c"].complete = false;  // DRBD's tools failed; d did not answer
  quiet.Note(all, reports, kStart);
  EXPECT_THAT(quiet.Due(all, kStart + QuietNodes::kLookCounts), ElementsAre("b", "c", "d"));
  EXPECT_EQ(quiet.Due(all, kStart + QuietNodes::kLookCounts + std::chrono::seconds(1)), all);

  std::map<std::string, NodeReport> merged{{"b", reports["b"]}};
  quiet.AddTo(all, &merged);
  EXPECT_TRUE(merged.at("a").complete);
  EXPECT_EQ(merged.size(), 2U) << "nothing is made up for nodes that did not answer";
}

// LINSTOR places a volume there, or the kernel of another node has it as a peer.
TEST(QuietNodesTest, ANamedNodeIsAskedAtOnce) {
  QuietNodes quiet;
  quiet.Note({"a"}, {{"a", Empty("a")}}, kStart);
  EXPECT_THAT(quiet.Due({"a"}, kStart), IsEmpty());
  quiet.Forget({"a", "unknown"});
  EXPECT_THAT(quiet.Due({"a"}, kStart), ElementsAre("a"));
  std::map<std::string, NodeReport> merged;
  quiet.AddTo({"a"}, &merged);
  EXPECT_THAT(merged, IsEmpty());
}

// It had no resource, was asked after that, and does not answer any more.
TEST(QuietNodesTest, ASilentNodeIsNotQuiet) {
  QuietNodes quiet;
  quiet.Note({"a"}, {{"a", Empty("a")}}, kStart);
  quiet.Note({"a"}, {}, kStart + std::chrono::minutes(6));
  EXPECT_THAT(quiet.Due({"a"}, kStart + std::chrono::minutes(6)), ElementsAre("a"));
}

}  // namespace
}  // namespace breakwater::controllers
