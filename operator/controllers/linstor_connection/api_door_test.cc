#include "operator/controllers/linstor_connection/api_door.h"

#include <gtest/gtest.h>

namespace breakwater::controllers {
namespace {

std::string ReasonOf(const char* spec) {
  const ApiDoor door =
      DescribeApiDoor(api::DecodeLinstorCluster({{"spec", api::Json::parse(spec)}}).value);
  return (door.open ? "open/" : "shut/") + door.reason;
}

// REVIEW-2 S6: "protected" may only be said where a stranger is not let in.
TEST(ApiDoorTest, SaysWhoIsLetIn) {
  EXPECT_EQ(ReasonOf("{}"), "open/PlainHTTP");
  EXPECT_EQ(ReasonOf(R"({"apiTLS":{}})"), "shut/AsExpected");
  EXPECT_EQ(ReasonOf(R"({"externalController":{"url":"http://x"},"apiTLS":{}})"), "open/PlainHTTP");
  EXPECT_EQ(ReasonOf(R"({"externalController":{"url":"https://x,y"},"apiTLS":{}})"),
            "open/PlainHTTP");
  EXPECT_EQ(ReasonOf(R"({"externalController":{"url":"https://x"}})"), "open/NoClientCertificate");
  EXPECT_EQ(ReasonOf(R"({"externalController":{"url":"linstor+ssl://x"},"apiTLS":{}})"),
            "shut/AsExpected");
}

}  // namespace
}  // namespace breakwater::controllers
