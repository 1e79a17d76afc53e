#include "operator/controllers/linstor_connection/linstor_provider.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/resources.h"

namespace breakwater::controllers {
namespace {

using api::Json;
using ::testing::HasSubstr;

class NoTransport final : public net::HttpTransport {
 public:
  Result<net::Response, net::TransportError> Send(const Context& /*ctx*/,
                                                  const net::Request& /*request*/) override {
    return Unexpected{net::TransportError{}};
  }

  Result<net::StreamResponse, net::TransportError> Open(
      const Context& /*ctx*/,
      const net::Request& /*request*/,
      std::chrono::milliseconds /*idle_timeout*/) override {
    return Unexpected{net::TransportError{}};
  }
};

class LinstorProviderTest : public ::testing::Test {
 protected:
  void SetCluster(const char* spec) {
    clusters_.Replace({{{"metadata", {{"name", "c"}, {"uid", "1"}}}, {"spec", Json::parse(spec)}}},
                      "1");
  }

  void SetSecret(const char* version, const char* data) {
    secrets_.Replace({{{"metadata",
                        {{"name", "linstor-client-tls"},
                         {"namespace", "ns"},
                         {"uid", "2"},
                         {"resourceVersion", version}}},
                       {"data", Json::parse(data)}}},
                     version);
  }

  void SetService(const char* port) {
    services_.Replace(
        {{{"metadata",
           {{"name", "linstor-controller"},
            {"namespace", "ns"},
            {"labels",
             {{api::kLabelInstance, "c"}, {api::kLabelComponent, "linstor-controller"}}}}},
          {"spec", {{"ports", Json::array({{{"name", port}, {"port", 1}}})}}}}},
        "1");
  }

  std::string Failure() {
    const auto client = provider_.ClientFor("c");
    return client ? "none" : client.error().message;
  }

  runtime::Store clusters_{api::kLinstorCluster};
  runtime::Store services_{api::kService};
  runtime::Store secrets_{api::kSecret};
  runtime::Store config_maps_{api::kConfigMap};
  runtime::Store pods_{api::kPod};
  int made_ = 0;
  std::string last_ca_;
  StoreLinstorProvider provider_{
      {clusters_, services_, pods_, secrets_, config_maps_},
      {.operator_namespace = "ns"},
      [this](const ControllerUrl&,
             const LinstorTls* tls) -> Result<std::shared_ptr<net::HttpTransport>, Error> {
        ++made_;
        last_ca_ = tls == nullptr ? "" : tls->ca;
        return std::shared_ptr<net::HttpTransport>(std::make_shared<NoTransport>());
      }};
};

constexpr const char* kTls = R"({"externalController":{"url":"https://x"},"apiTLS":{}})";

// A client per reconcile would open a connection and a handshake each time.
TEST_F(LinstorProviderTest, SharesOneClientUntilSomethingChanges) {
  SetCluster(R"({"externalController":{"url":"http://x:1"}})");
  const auto first = provider_.ClientFor("c");
  ASSERT_TRUE(first);
  EXPECT_EQ(*first, *provider_.ClientFor("c"));
  EXPECT_EQ(made_, 1);
  SetCluster(R"({"externalController":{"url":"http://y:1"}})");
  EXPECT_NE(*first, *provider_.ClientFor("c"));
}

// After a rotation the old certificate would be refused for ever.
TEST_F(LinstorProviderTest, TakesRotatedCertificates) {
  SetCluster(kTls);
  SetSecret("7", R"({"tls.crt":"YQ==","tls.key":"Yg==","ca.crt":"b2xk"})");
  ASSERT_EQ(Failure(), "none");
  EXPECT_EQ(last_ca_, "old");
  SetSecret("8", R"({"tls.crt":"YQ==","tls.key":"Yg==","ca.crt":"bmV3"})");
  ASSERT_EQ(Failure(), "none");
  EXPECT_EQ(last_ca_, "new");
}

// REVIEW-2 M1: who sets apiTLS is promised that nothing goes in the clear and that no stranger
// answers, whatever URL and Service say.
TEST_F(LinstorProviderTest, WithApiTlsNothingIsSentOverPlainHttp) {
  SetSecret("1", R"({"tls.crt":"YQ==","tls.key":"Yg==","ca.crt":"Yw=="})");
  for (const char* url : {"http://x", "x:3370", "linstor://x", "https://x,http://y"}) {
    SetCluster(
        (R"({"apiTLS":{},"externalController":{"url":")" + std::string(url) + R"("}})").c_str());
    const auto client = provider_.ClientFor("c");
    ASSERT_FALSE(client) << url;
    EXPECT_EQ(client.error().error_class, ErrorClass::kInvalid);
    EXPECT_THAT(client.error().message, HasSubstr("is plain HTTP"));
  }
  SetCluster(R"({"apiTLS":{}})");
  SetService("api");
  EXPECT_THAT(Failure(), HasSubstr("no port 'secure-api'"));
  EXPECT_EQ(made_, 0) << "no connection may have been opened";
  SetService("secure-api");
  EXPECT_EQ(Failure(), "none");
}

TEST_F(LinstorProviderTest, SaysWhatIsMissing) {
  EXPECT_THAT(Failure(), HasSubstr("LinstorCluster c does not exist"));
  SetCluster(kTls);
  EXPECT_THAT(Failure(), HasSubstr("Secret ns/linstor-client-tls (spec.apiTLS) is missing"));
  SetSecret("1", R"({"tls.crt":"YQ=="})");
  EXPECT_THAT(Failure(), HasSubstr("tls.key"));
  SetSecret("2", R"({"tls.crt":"YQ==","tls.key":"Yg=="})");
  EXPECT_THAT(Failure(), HasSubstr("ca.crt"));
}

}  // namespace
}  // namespace breakwater::controllers
