#include "operator/net/connection_table.h"

#include <string>

#include <gtest/gtest.h>

namespace breakwater::net {
namespace {

class ConnectionTableTest : public ::testing::Test {
 protected:
  std::optional<ConnectionTable::Entry> Add(const std::string& name) {
    return table_.Add([this, name] { closed_ += name; });
  }

  ConnectionTable table_{2};
  std::string closed_;
};

// Breaks: a flood of connections that say nothing pushes out the API server's, which is older than
// all of them and is the one that matters.
TEST_F(ConnectionTableTest, TheOneLongestWithoutAnAnswerGoes) {
  const auto a = Add("a");
  Add("b");
  ASSERT_TRUE(table_.Begin(*a));
  table_.End(*a);
  Add("c");
  EXPECT_EQ(closed_, "b");
  Add("d");
  EXPECT_EQ(closed_, "ba");
}

// Breaks: a request that was accepted gets no answer.
TEST_F(ConnectionTableTest, NobodyInWorkGoes) {
  const auto a = Add("a");
  const auto b = Add("b");
  ASSERT_TRUE(table_.Begin(*a));
  ASSERT_TRUE(Add("c"));
  EXPECT_EQ(closed_, "b");
  EXPECT_FALSE(table_.Begin(*b)) << "its request comes too late";
  table_.Remove(*b);
  const auto d = Add("d");  // in place of c
  ASSERT_TRUE(table_.Begin(*d));
  EXPECT_FALSE(Add("e"));
  table_.End(*d);
  table_.Remove(*d);
  EXPECT_TRUE(Add("f")) << "there is room again";
  EXPECT_EQ(closed_, "bc");
}

}  // namespace
}  // namespace breakwater::net
