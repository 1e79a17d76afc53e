// What the reports of all nodes may take. What would break for a user: one broken or hostile node
// fills the operator's memory, and the kernel kills it in the middle of a migration (REVIEW-2 M2).

#include "operator/controllers/replication/agent_link/memory_budget.h"

#include <gtest/gtest.h>

#include "operator/controllers/replication/agent_link/report_size.h"

namespace breakwater::controllers {
namespace {

TEST(MemoryBudgetTest, TheLargestGoes) {
  MemoryBudget budget(100);
  EXPECT_FALSE(budget.Set("hostile", 80));
  EXPECT_FALSE(budget.Set("a", 10));
  EXPECT_FALSE(budget.Set("a", 20));
  EXPECT_EQ(budget.Set("b", 1), "hostile") << "not the one that came last";
  EXPECT_EQ(budget.total(), 21U);
  EXPECT_FALSE(budget.Set("hostile", 0)) << "its stream ended";
  EXPECT_EQ(budget.total(), 21U);
  EXPECT_EQ(budget.Set("b", 101), "b");
}

// "[{},{},...]": three bytes on the line, two hundred in memory.
TEST(MemoryBudgetTest, EmptyObjectsAreNotFree) {
  replication::ResourceReport report;
  const std::size_t empty = MemoryOf(report);
  report.status.connections.resize(1000);
  EXPECT_GE(MemoryOf(report) - empty, 1000 * sizeof(replication::DrbdConnection));
  report.status.connections[0].peer = std::string(5000, 'x');
  report.show.emplace().connections.resize(10);
  report.res.emplace().tls["peer"] = true;
  report.sockets.sockets.resize(10);
  EXPECT_GE(MemoryOf(report) - empty, 1000 * sizeof(replication::DrbdConnection) + 5000 +
                                          10 * sizeof(replication::ShownConnection) +
                                          10 * sizeof(replication::Socket));
}

}  // namespace
}  // namespace breakwater::controllers
