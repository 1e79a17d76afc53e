#include "operator/controllers/linstor_connection/controller_address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace breakwater::controllers {
namespace {

using ::testing::HasSubstr;

std::string Parse(std::string_view text) {
  const auto urls = ParseControllerUrls(text);
  if (!urls) {
    return "error: " + urls.error().message;
  }
  std::string all;
  for (const ControllerUrl& url : *urls) {
    all += (all.empty() ? "" : " ") + url.ToString();
  }
  return all;
}

// Users copy these from LS_CONTROLLERS; a form that LINSTOR's own client takes must work here too.
TEST(ParseControllerUrlsTest, TakesWhatLinstorsClientTakes) {
  EXPECT_EQ(Parse("http://a:1"), "http://a:1");
  EXPECT_EQ(Parse("https://a.example"), "https://a.example:3371");
  EXPECT_EQ(Parse("linstor://a"), "http://a:3370");
  EXPECT_EQ(Parse("linstor+ssl://a"), "https://a:3371");
  EXPECT_EQ(Parse("a"), "http://a:3370");
  EXPECT_EQ(Parse("http://a/prefix/"), "http://a:3370/prefix");
  EXPECT_EQ(Parse("http://[::1]:5, http://b"), "http://[::1]:5 http://b:3370");
}

TEST(ParseControllerUrlsTest, SaysWhatIsWrong) {
  EXPECT_THAT(Parse("ftp://a"), HasSubstr("scheme"));
  EXPECT_THAT(Parse("http://a:99999"), HasSubstr("port"));
  EXPECT_THAT(Parse("http://:1"), HasSubstr("host"));
  EXPECT_THAT(Parse(" , "), HasSubstr("empty"));
}

api::ObjectPtr Make(const char* text) {
  return std::make_shared<const api::Object>(api::Json::parse(text));
}

const char* const kService = R"({"metadata":{"name":"linstor-controller","namespace":"ns",
  "labels":{"app.kubernetes.io/instance":"c","app.kubernetes.io/component":"linstor-controller"}},
  "spec":{"selector":{"app":"c"},"ports":[{"name":"api","port":3370}]}})";
const char* const kSecureService = R"({"metadata":{"name":"linstor-controller","namespace":"ns",
  "labels":{"app.kubernetes.io/instance":"c","app.kubernetes.io/component":"linstor-controller"}},
  "spec":{"selector":{"app":"c"},"ports":[{"name":"api","port":3370},
   {"name":"secure-api","port":3371,"targetPort":13371}]}})";
const char* const kUnready = R"({"metadata":{"name":"x","namespace":"ns","labels":{"app":"c"}},
  "status":{"podIPs":[{"ip":"10.0.0.1"}],"conditions":[{"type":"Ready","status":"False"}]}})";
const char* const kForeign = R"({"metadata":{"name":"z","namespace":"ns","labels":{"app":"d"}},
  "status":{"podIPs":[{"ip":"10.0.0.3"}],"conditions":[{"type":"Ready","status":"True"}]}})";
const char* const kReady = R"({"metadata":{"name":"y","namespace":"ns","labels":{"app":"c"}},
  "status":{"podIPs":[{"ip":"fd00::2"},{"ip":"10.0.0.2"}],"conditions":[{"type":"Ready","status":"True"}]}})";

std::string Resolve(ServiceResolution resolution,
                    std::vector<api::ObjectPtr> services,
                    std::vector<api::ObjectPtr> pods) {
  const auto urls = ResolveService("c", resolution, services, pods);
  return urls ? urls->front().ToString() + " " + urls->front().server_name
              : "error: " + urls.error().message;
}

TEST(ResolveServiceTest, UsesDnsInsideTheCluster) {
  EXPECT_EQ(Resolve(ServiceResolution::kDns, {Make(kService)}, {}),
            "http://linstor-controller.ns.svc:3370 ");
  EXPECT_EQ(Resolve(ServiceResolution::kDns, {Make(kSecureService)}, {}),
            "https://linstor-controller.ns.svc:3371 ");
}

// A DNS that hangs must not keep the operator from LINSTOR, nor from the API server.
TEST(ResolveServiceTest, DialsTheClusterIpWithoutDns) {
  const auto dialled = [](const api::Json& address) {
    api::Json service = api::Json::parse(kService);
    service["spec"]["clusterIP"] = address;
    const auto urls = ResolveService("c", ServiceResolution::kDns,
                                     {std::make_shared<const api::Object>(std::move(service))}, {});
    return urls ? urls->front().host + " " + urls->front().address : urls.error().message;
  };
  EXPECT_EQ(dialled("10.96.0.7"), "linstor-controller.ns.svc 10.96.0.7");
  EXPECT_EQ(dialled("None"), "linstor-controller.ns.svc ");
  EXPECT_EQ(dialled("fd00::7"), "linstor-controller.ns.svc ");
  EXPECT_EQ(dialled(7), "linstor-controller.ns.svc ");
}

// Outside the cluster there is no cluster DNS; the certificate still carries the Service's name.
TEST(ResolveServiceTest, UsesReadyPodsOutside) {
  EXPECT_EQ(Resolve(ServiceResolution::kEndpoints, {Make(kSecureService)},
                    {Make(kUnready), Make(kForeign), Make(kReady)}),
            "https://10.0.0.2:13371 linstor-controller.ns.svc");
}

TEST(ResolveServiceTest, SaysWhatIsMissing) {
  EXPECT_THAT(Resolve(ServiceResolution::kDns, {}, {}), HasSubstr("found 0"));
  EXPECT_THAT(Resolve(ServiceResolution::kDns, {Make(kService), Make(kService)}, {}),
              HasSubstr("found 2"));
  EXPECT_THAT(Resolve(ServiceResolution::kEndpoints, {Make(kService)}, {}),
              HasSubstr("no Pod of Service"));
}

}  // namespace
}  // namespace breakwater::controllers
