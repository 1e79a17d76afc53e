// A certificate renewed without its key. What would break for a user: tlshd refuses to start with
// them, and every connection of the node ends the moment it is switched to TLS.

#include "operator/controllers/replication/tls_secret.h"

#include <gtest/gtest.h>

#include "operator/base/base64.h"
#include "operator/crypto/certificate_authority.h"

namespace breakwater::controllers {
namespace {

crypto::Identity Make(const std::string& name) {
  crypto::CertificateSpec spec;
  spec.common_name = name;
  spec.not_after = SystemTime::clock::now() + std::chrono::hours(1);
  return *crypto::CreateAuthority(spec);
}

api::Object SecretWith(const std::string& certificate, const std::string& key) {
  return api::Object(api::Json{
      {"data", {{"tls.crt", EncodeBase64(certificate)}, {"tls.key", EncodeBase64(key)}}}});
}

TEST(TlsSecretTest, ChecksThatTheKeyFits) {
  const crypto::Identity one = Make("one");
  const crypto::Identity other = Make("other");
  const std::string certificate = one.certificate.ToPem();
  EXPECT_EQ(KeyFits(SecretWith(certificate, one.key.ToPem().Expose())), true);
  EXPECT_EQ(KeyFits(SecretWith(certificate, other.key.ToPem().Expose())), false);
  EXPECT_EQ(KeyFits(SecretWith(certificate, "no key")), false);
  EXPECT_EQ(KeyFits(SecretWith("no certificate", "no key")), std::nullopt) << "said elsewhere";
  EXPECT_EQ(KeyFits(api::Object(api::Json{{"data", {{"tls.crt", 7}}}})), std::nullopt);
  EXPECT_EQ(KeyFits(api::Object(api::Json::object())), std::nullopt);
}

TEST(TlsSecretTest, KnowsTlsSecrets) {
  EXPECT_TRUE(IsTlsSecret(SecretWith("", "")));
  EXPECT_FALSE(IsTlsSecret(api::Object(api::Json{{"data", {{"password", "eA=="}}}})));
  EXPECT_FALSE(IsTlsSecret(api::Object(api::Json::array())));
}

}  // namespace
}  // namespace breakwater::controllers
