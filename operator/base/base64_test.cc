#include "operator/base/base64.h"

#include <gtest/gtest.h>

namespace breakwater {
namespace {

// A truncated or hand-edited Secret must be refused, not read as another key.
TEST(Base64Test, DecodesAndRefuses) {
  EXPECT_EQ(DecodeBase64("aGVsbG8="), "hello");
  EXPECT_EQ(DecodeBase64("aGVs\nbG8h"), "hello!");
  EXPECT_EQ(DecodeBase64(""), "");
  EXPECT_FALSE(DecodeBase64("aGVsbG8"));
  EXPECT_FALSE(DecodeBase64("a*=="));
  for (const char* text : {"", "h", "he", "hel", "hello"}) {
    EXPECT_EQ(DecodeBase64(EncodeBase64(text)), text);
  }
  EXPECT_EQ(EncodeBase64("hello"), "aGVsbG8=");
}

}  // namespace
}  // namespace breakwater
