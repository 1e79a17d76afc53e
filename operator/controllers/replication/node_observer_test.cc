#include "operator/controllers/replication/node_observer.h"

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/testing/fake_clock.h"

namespace breakwater::controllers {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;

/// Nodes that answer with the number of the question; `before` runs ahead of each answer.
class FakeShell final : public NodeShell {
 public:
  Result<kube::ExecResult, Error> Run(const Context& ctx,
                                      const std::string& node,
                                      const std::string&,
                                      const std::vector<std::string>&) override {
    asked.push_back(node);
    if (ctx.expired() || (before && !before(node))) {
      return Unexpected{Error{ErrorClass::kTransient, "no answer"}};
    }
    kube::ExecResult result;
    result.out = "@@ drbdadm\nDRBDADM_VERSION=9.28.0\n@@ end\n";
    return result;
  }

  std::function<bool(const std::string&)> before{};
  std::vector<std::string> asked{};
};

class NodeObserverTest : public ::testing::Test {
 protected:
  NodeObserver::Moment Look() {
    return observer_.ObserveTogether(
        Context(std::stop_token{}, clock_), {"n1", "n2", "n3"},
        {.first = seconds(15), .again = seconds(5), .apart = milliseconds(500)});
  }

  breakwater::testing::FakeClock clock_;
  FakeShell shell_;
  // One at a time, so that the order is that of the names.
  NodeObserver observer_{shell_, Logger::Null(), {.parallel = 1}};
};

// A connection that blinked while a slow kubelet answered would be cut on old evidence, which
// erases the record of what its peer lacks.
TEST_F(NodeObserverTest, WhoAnsweredLongBeforeTheSlowestIsAskedAgain) {
  shell_.before = [&](const std::string& node) {
    if (node == "n3") {
      clock_.Advance(seconds(10));
    }
    return true;
  };
  const SteadyTime start = clock_.SteadyNow();
  const NodeObserver::Moment moment = Look();
  EXPECT_THAT(shell_.asked, ElementsAre("n1", "n2", "n3", "n1", "n2"));
  EXPECT_EQ(moment.reports.size(), 3U);
  EXPECT_EQ(moment.at, start + seconds(10));
}

// Otherwise every look would cost two commands per node.
TEST_F(NodeObserverTest, OneLookIsEnoughWhenAllAreQuick) {
  shell_.before = [&](const std::string&) {
    clock_.Advance(milliseconds(100));
    return true;
  };
  const SteadyTime start = clock_.SteadyNow();
  const NodeObserver::Moment moment = Look();
  EXPECT_EQ(shell_.asked.size(), 3U);
  EXPECT_EQ(moment.at, start + milliseconds(100)) << "the oldest answer counts";
}

// What a node said before it fell silent says nothing about now.
TEST_F(NodeObserverTest, WhoIsSilentTheSecondTimeIsMissing) {
  int questions = 0;
  shell_.before = [&](const std::string& node) {
    if (node == "n3") {
      clock_.Advance(seconds(2));
    }
    return node != "n1" || ++questions == 1;
  };
  const NodeObserver::Moment moment = Look();
  EXPECT_FALSE(moment.reports.contains("n1"));
  EXPECT_TRUE(moment.reports.contains("n2"));
}

}  // namespace
}  // namespace breakwater::controllers
