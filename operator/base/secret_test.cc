#include "operator/base/secret.h"

#include <string>
#include <type_traits>

#include <gtest/gtest.h>

namespace breakwater {
namespace {

// A key that stays readable in freed memory ends up in core dumps.
TEST(SecretTest, MovedFromValueIsEmptyAndWiped) {
  Secret<> a(std::string("short"));
  const Secret<> b = std::move(a);
  EXPECT_EQ(b.Expose(), "short");
  EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move): the point of the test
  EXPECT_EQ(a.Expose().data()[1], '\0');
}

TEST(SecretTest, CopiesAreIndependent) {
  Secret<> a(std::string(100, 'x'));
  Secret<> b = a;
  a = Secret<>(std::string("y"));
  EXPECT_EQ(b.Expose(), std::string(100, 'x'));
  EXPECT_EQ(a.Expose(), "y");
  EXPECT_FALSE(a == b);
}

static_assert(!std::is_convertible_v<Secret<>, std::string>);

}  // namespace
}  // namespace breakwater
