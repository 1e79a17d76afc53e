// HTTPS of our own endpoints. What would break for a user: metrics end the day the certificate that
// the operator started with expires, or a renewal that is half written takes the endpoint down.

#include "operator/cmd/serving_certificate.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/crypto/certificate_authority.h"

namespace breakwater::cmd {
namespace {

using ::testing::HasSubstr;

class ServingCertificateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "serving-XXXXXX";
    directory_ = mkdtemp(pattern.data());
  }

  void TearDown() override { std::filesystem::remove_all(directory_); }

  void Write(const char* name, const std::string& text) const {
    std::ofstream(directory_ + "/" + name) << text;
  }

  static crypto::Identity Make(const std::string& name) {
    crypto::CertificateSpec spec;
    spec.common_name = name;
    spec.not_after = RealClock().SystemNow() + std::chrono::hours(1);
    return *crypto::CreateAuthority(spec);
  }

  void Install(const crypto::Identity& identity) const {
    Write("tls.crt", identity.certificate.ToPem());
    Write("tls.key", identity.key.ToPem().Expose());
  }

  static std::string NameIn(const ServingCertificate& serving) {
    return serving.holder()->Get()->chain().front().common_name();
  }

  std::string directory_{};
  std::string log_text_{};
  const Logger log_{[this](std::string_view line) { log_text_ += line; }, LogLevel::kInfo};
};

TEST_F(ServingCertificateTest, ARenewedPairIsUsedAndAHalfOneIsNot) {
  Install(Make("first"));
  const auto loaded = ServingCertificate::Load(directory_, log_);
  ASSERT_TRUE(loaded) << loaded.error().message;
  ServingCertificate& serving = **loaded;
  EXPECT_EQ(NameIn(serving), "first");
  const auto before = serving.holder()->Get();
  serving.Refresh();
  EXPECT_EQ(serving.holder()->Get(), before) << "unchanged files change nothing";

  const crypto::Identity second = Make("second");
  Write("tls.crt", second.certificate.ToPem());  // its key is not written yet
  serving.Refresh();
  serving.Refresh();
  EXPECT_EQ(NameIn(serving), "first");
  EXPECT_THAT(log_text_, HasSubstr("the old one stays"));
  EXPECT_EQ(log_text_.find("the old one stays"), log_text_.rfind("the old one stays"));
  Install(second);
  serving.Refresh();
  EXPECT_EQ(NameIn(serving), "second");

  std::filesystem::remove(directory_ + "/tls.crt");
  serving.Refresh();
  EXPECT_EQ(NameIn(serving), "second");
}

TEST_F(ServingCertificateTest, WithoutAUsablePairItDoesNotStart) {
  EXPECT_FALSE(ServingCertificate::Load(directory_, log_));
  Write("tls.crt", "");
  Write("tls.key", "");
  EXPECT_FALSE(ServingCertificate::Load(directory_, log_));
  Install(Make("one"));
  Write("tls.key", Make("other").key.ToPem().Expose());
  EXPECT_FALSE(ServingCertificate::Load(directory_, log_));
}

}  // namespace
}  // namespace breakwater::cmd
