#include "operator/net/url.h"

#include <gtest/gtest.h>

#include "operator/net/cpprest_transport.h"
#include "operator/net/resolve.h"

namespace breakwater::net {
namespace {

// A wrong host or port is a connection to somebody else.
TEST(UrlTest, SplitsUrls) {
  const Url plain = ParseUrl("http://h").value();
  EXPECT_EQ(plain.Authority(), "h:80");
  EXPECT_FALSE(plain.secure);
  const Url full = ParseUrl("https://[fd00::1]:6443/a/b/").value();
  EXPECT_EQ(full.host, "fd00::1");
  EXPECT_EQ(full.Authority(), "[fd00::1]:6443");
  EXPECT_EQ(full.path, "/a/b");
  EXPECT_TRUE(full.secure);
  EXPECT_EQ(ParseUrl("https://h/").value().path, "");
}

TEST(UrlTest, RefusesOthers) {
  for (const char* text : {"", "h", "ftp://h", "https://", "https://:1", "https://h:",
                           "https://h:0", "https://h:99999", "https://h:1x", "https://[::1",
                           "https://[::1]x", "https://u@h", "https://h?q", "https://h/a b"}) {
    EXPECT_FALSE(ParseUrl(text)) << text;
  }
}

// A password in a URL would be in the log, for everybody who may read logs.
TEST(UrlTest, PasswordsAreNotShown) {
  for (const char* text :
       {"https://user:secret@h", "ftp://secret@h", "https://u:secret/@x@h/a b", "secret@"}) {
    const auto url = ParseUrl(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().message.find("secret"), std::string::npos) << url.error().message;
    const auto transport = MakeCpprestTransport({.base_url = text});
    EXPECT_TRUE(transport || transport.error().message.find("secret") == std::string::npos) << text;
  }
  EXPECT_NE(ParseUrl("ftp://h").error().message.find("ftp://h"), std::string::npos);
}

TEST(ResolveTest, AddressesNeedNoLookupAndStopEndsOne) {
  const Context ctx(std::stop_token{});
  EXPECT_EQ(Resolve(ctx, "::1").value(), std::vector<std::string>{"::1"});
  EXPECT_FALSE(Resolve(ctx, "localhost").value().empty());
  std::stop_source stop;
  stop.request_stop();
  const auto canceled = Resolve(Context(stop.get_token()), "name.invalid");
  ASSERT_FALSE(canceled);
  EXPECT_TRUE(canceled.error().not_sent);
}

}  // namespace
}  // namespace breakwater::net
