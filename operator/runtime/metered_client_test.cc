#include "operator/runtime/metered_client.h"

#include <string>

#include <gtest/gtest.h>

#include "operator/runtime/mini_kube.h"
#include "operator/runtime/test_support.h"

namespace breakwater::runtime {
namespace {

// Breaks: nobody sees that the operator floods the API server, or that it is refused.
TEST(MeteredClientTest, CountsByVerbAndCode) {
  TestServices services;
  MiniKube server;
  MiniKubeClient inner(server);
  MeteredClient client(inner, services.metrics);
  const Context ctx = services.Ctx();
  (void)client.Apply(ctx, ConfigMaps(), Key("a"), Item("a", ""), {});
  (void)client.Get(ctx, ConfigMaps(), Key("a"));
  (void)client.Get(ctx, ConfigMaps(), Key("b"));
  (void)client.Delete(ctx, ConfigMaps(), Key("a"), {});
  inner.SetFault(MiniKubeClient::Fault::kFail);
  (void)client.List(ctx, ConfigMaps(), {});
  const auto count = [&](const std::string& verb, const std::string& code) {
    return services.metrics
        .Counter("breakwater_api_requests_total", "", {{"verb", verb}, {"code", code}})
        .Value();
  };
  EXPECT_EQ(count("apply", "200"), 1);
  EXPECT_EQ(count("get", "200"), 1);
  EXPECT_EQ(count("get", "404"), 1);
  EXPECT_EQ(count("delete", "200"), 1);
  EXPECT_EQ(count("list", "error"), 1);
}

}  // namespace
}  // namespace breakwater::runtime
