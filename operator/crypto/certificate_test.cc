#include "operator/crypto/certificate.h"

#include <gtest/gtest.h>

#include "operator/crypto/certificate_authority.h"

namespace breakwater::crypto {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only

const SystemTime kNow{std::chrono::seconds(1767225600)};  // 2026-01-01

CertificateSpec Spec(std::string name) {
  return {.common_name = std::move(name), .not_before = kNow - 5min, .not_after = kNow + 24h};
}

class CertificateTest : public ::testing::Test {
 protected:
  Identity ca_ = CreateAuthority(Spec("ca")).value();
};

// Preflight tells a user which certificate is bad by these values; a wrong one sends them astray.
TEST_F(CertificateTest, ReadsWhatWasIssued) {
  CertificateSpec spec = Spec("node1");
  spec.dns_names = {"node1", "a,DNS:evil"};
  spec.ip_addresses = {"10.0.0.1", "::1"};
  spec.client_auth = false;
  const Identity leaf = IssueCertificate(ca_, spec).value();
  const auto parsed = Certificate::ParsePem(leaf.certificate.ToPem() + ca_.certificate.ToPem());
  ASSERT_TRUE(parsed);
  ASSERT_EQ(parsed->size(), 2U);
  const Certificate& read = parsed->front();
  EXPECT_EQ(read.common_name(), "node1");
  EXPECT_EQ(read.issuer(), "CN=ca");
  EXPECT_EQ(read.dns_names(), spec.dns_names);
  EXPECT_EQ(read.ip_addresses(), spec.ip_addresses);
  EXPECT_TRUE(read.allows_server_auth());
  EXPECT_FALSE(read.allows_client_auth());
  EXPECT_FALSE(read.is_ca());
  EXPECT_TRUE(parsed->back().is_ca());
  EXPECT_EQ(read.not_before(), spec.not_before);
  EXPECT_EQ(read.not_after(), spec.not_after);
  EXPECT_EQ(read.serial().size(), 32U);
  EXPECT_EQ(read, leaf.certificate);
}

// A node with a key of another certificate fails each handshake without a word.
TEST_F(CertificateTest, TellsWhetherAKeyFits) {
  const Identity a = IssueCertificate(ca_, Spec("a")).value();
  const auto key = PrivateKey::Parse(a.key.ToPem());
  ASSERT_TRUE(key);
  EXPECT_TRUE(a.certificate.Matches(*key));
  EXPECT_FALSE(a.certificate.Matches(ca_.key));
}

// Secrets are edited by people: rubbish must be an error with a reason, never a crash.
TEST_F(CertificateTest, RefusesBrokenText) {
  EXPECT_FALSE(Certificate::ParsePem(""));
  EXPECT_FALSE(Certificate::ParsePem("hello"));
  std::string cut = ca_.certificate.ToPem();
  cut.resize(cut.size() / 2);
  EXPECT_FALSE(Certificate::ParsePem(cut));
  EXPECT_FALSE(Certificate::ParsePem(ca_.certificate.ToPem() + cut));
  EXPECT_FALSE(PrivateKey::Parse(Secret<>(std::string("hello"))));
  EXPECT_FALSE(IssueCertificate(ca_, Spec(std::string(65, 'n'))));
}

TEST_F(CertificateTest, VerifiesAgainstTheGivenRootsOnly) {
  const Identity other = CreateAuthority(Spec("ca")).value();
  const Identity leaf = IssueCertificate(ca_, Spec("node1")).value();
  EXPECT_TRUE(VerifyChain({{leaf.certificate}}, {{ca_.certificate}}, kNow));
  // Overlap of a CA rotation.
  const std::vector<Certificate> both = {other.certificate, ca_.certificate};
  EXPECT_TRUE(VerifyChain({{leaf.certificate}}, both, kNow));
  const auto wrong = VerifyChain({{leaf.certificate}}, {{other.certificate}}, kNow);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().kind, VerifyError::Kind::kUntrusted) << wrong.error().message;
  EXPECT_EQ(VerifyChain({}, both, kNow).error().kind, VerifyError::Kind::kNoCertificate);
}

TEST_F(CertificateTest, VerifiesAtTheGivenTime) {
  const Identity leaf = IssueCertificate(ca_, Spec("node1")).value();
  const auto late = VerifyChain({{leaf.certificate}}, {{ca_.certificate}}, kNow + 25h);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind, VerifyError::Kind::kExpired) << late.error().message;
  const auto early = VerifyChain({{leaf.certificate}}, {{ca_.certificate}}, kNow - 1h);
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().kind, VerifyError::Kind::kNotYetValid);
}

// cert-manager issues through intermediate CAs: a chain is normal.
TEST_F(CertificateTest, FollowsAnIntermediate) {
  CertificateSpec spec = Spec("middle");
  spec.is_ca = true;
  const Identity middle = IssueCertificate(ca_, spec).value();
  const Identity leaf = IssueCertificate(middle, Spec("node1")).value();
  const std::vector<Certificate> chain = {leaf.certificate, middle.certificate};
  EXPECT_TRUE(VerifyChain(chain, {{ca_.certificate}}, kNow));
  EXPECT_FALSE(VerifyChain({{leaf.certificate}}, {{ca_.certificate}}, kNow));
  // GnuTLS takes an intermediate as an anchor, so preflight must not refuse it.
  EXPECT_TRUE(VerifyChain({{leaf.certificate}}, {{middle.certificate}}, kNow));
}

// A preflight that is kinder than tlshd lets a migration run into StandAlone connections.
TEST_F(CertificateTest, ChecksNamesAsTlshdDoes) {
  CertificateSpec spec = Spec("node1");
  const Identity cn_only = IssueCertificate(ca_, spec).value();
  EXPECT_TRUE(MatchesNameAsTlshd(cn_only.certificate, "node1"));
  spec.dns_names = {"node2"};
  const Identity with_san = IssueCertificate(ca_, spec).value();
  EXPECT_FALSE(MatchesNameAsTlshd(with_san.certificate, "node1"));
  EXPECT_TRUE(MatchesNameAsTlshd(with_san.certificate, "node2"));
  spec.dns_names.clear();
  spec.ip_addresses = {"10.0.0.1"};
  const Identity ip_only = IssueCertificate(ca_, spec).value();
  EXPECT_FALSE(MatchesNameAsTlshd(ip_only.certificate, "node1"));
}

}  // namespace
}  // namespace breakwater::crypto
