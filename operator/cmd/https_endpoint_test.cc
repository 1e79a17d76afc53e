// The webhook's HTTPS server. What would break for a user: the operator does not start, and storage
// is not looked after, because a certificate is not there yet; or the webhook never comes up.

#include "operator/cmd/https_endpoint.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <stop_token>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/crypto/certificate_authority.h"
#include "operator/net/cpprest_transport.h"
#include "operator/testing/fake_clock.h"
#include "operator/webhook/handler.h"

namespace breakwater::cmd {
namespace {

using ::testing::HasSubstr;

constexpr const char* kReview =
    R"({"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"7","kind":)"
    R"({"group":"piraeus.io","kind":"LinstorCluster"},"object":{"spec":{"properties":7}}}})";

struct Directory {
  Directory() {
    std::string pattern = ::testing::TempDir() + "webhook-XXXXXX";
    path = mkdtemp(pattern.data());
  }

  ~Directory() { std::filesystem::remove_all(path); }

  void Write(const char* name, const std::string& text) const {
    std::ofstream(path + "/" + name) << text;
  }

  std::string path{};
};

crypto::CertificateSpec Spec(const std::string& name) {
  return {.common_name = name,
          .dns_names = {"webhook.example"},
          .not_before = RealClock().SystemNow() - std::chrono::minutes(5),
          .not_after = RealClock().SystemNow() + std::chrono::hours(1)};
}

std::string Ask(std::uint16_t port, const crypto::Identity& authority) {
  net::StartHttpThreads();
  const auto material = net::TlsMaterial::Create({.ca = authority.certificate.ToPem()});
  const auto client = net::MakeCpprestTransport(
      {.base_url = "https://127.0.0.1:" + std::to_string(port),
       .tls_server_name = "webhook.example",
       .tls = std::make_shared<net::TlsMaterialHolder>(material.value())});
  const auto response =
      (*client)->Send(Context(std::stop_token(), RealClock()).WithTimeout(std::chrono::seconds(10)),
                      {.method = "POST",
                       .target = "/validate-piraeus-io-v1-linstorcluster?timeout=5s",
                       .headers = {{"Content-Type", "application/json"}},
                       .body = kReview});
  return response ? response->body : response.error().message;
}

TEST(HttpsEndpointTest, ServesAsSoonAsThereIsACertificate) {
  const Directory directory;
  testing::FakeClock clock;
  HttpsEndpoint endpoint({.name = "the webhook",
                          .flag = "--webhook-bind-address",
                          .address = "127.0.0.1:0",
                          .certificate_directory = directory.path},
                         webhook::Serve, clock, Logger(LogLevel::kOff));
  clock.WaitForSleepers(1);
  EXPECT_EQ(endpoint.port(), 0) << "nothing to serve with, and the operator runs all the same";

  const crypto::Identity authority = *crypto::CreateAuthority(Spec("ca"));
  const crypto::Identity serving = *crypto::IssueCertificate(authority, Spec("webhook"));
  directory.Write("tls.crt", serving.certificate.ToPem());
  directory.Write("tls.key", serving.key.ToPem().Expose());
  clock.Advance(std::chrono::seconds(10));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (endpoint.port() == 0 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  ASSERT_NE(endpoint.port(), 0);
  EXPECT_THAT(Ask(endpoint.port(), authority), HasSubstr(R"("allowed":false)"));
}

}  // namespace
}  // namespace breakwater::cmd
