#include "operator/controllers/certificates/authority.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/controllers/certificates/pem_files.h"

namespace breakwater::controllers {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only
using ::testing::ElementsAre;

const SystemTime kNow{std::chrono::seconds(1767225600)};  // 2026-01-01

api::Object AsSecret(const Authority& authority) {
  api::Json object = api::Json::object();
  object.merge_patch(AuthorityContent(authority));
  return api::Object(object);
}

// A new leader knows of the authority, and of a rotation, only what the Secret says.
TEST(Authority, SecretKeepsEverything) {
  const Authority first = NewAuthority(kNow, "").value();
  const Authority second = Rotate(first, kNow + 1h, "monday").value();
  const Authority read = ReadAuthority(AsSecret(second)).value();
  EXPECT_EQ(read.current.certificate, second.current.certificate);
  EXPECT_TRUE(read.current.certificate.Matches(read.current.key));
  ASSERT_TRUE(read.previous);
  EXPECT_EQ(read.previous->certificate, first.current.certificate);
  EXPECT_EQ(read.obeyed, "monday");
  EXPECT_NE(first.current.certificate.subject(), second.current.certificate.subject())
      << "peers look for an issuer by its name";
  EXPECT_FALSE(ReadAuthority(AsSecret(first)).value().previous);
}

// A half-edited Secret must not become the authority of all nodes, nor be written over.
TEST(Authority, BrokenSecretIsAnError) {
  const Authority authority = NewAuthority(kNow, "").value();
  api::Json broken = AsSecret(authority).raw();
  broken["data"]["tls.key"] = AsSecret(NewAuthority(kNow, "").value()).raw()["data"]["tls.key"];
  EXPECT_FALSE(ReadAuthority(api::Object(broken)));
  broken["data"].erase("tls.key");
  EXPECT_FALSE(ReadAuthority(api::Object(broken)));
}

// One command, one rotation; and never a second one on top of the first.
TEST(Authority, RotatesOnACommandAndByAge) {
  Authority authority = NewAuthority(kNow, "old").value();
  EXPECT_FALSE(RotationDue(authority, "", kNow));
  EXPECT_FALSE(RotationDue(authority, "old", kNow));
  EXPECT_TRUE(RotationDue(authority, "new", kNow));
  EXPECT_TRUE(RotationDue(authority, "", kNow + kAuthorityLife / 3 * 2));
  EXPECT_FALSE(RotationDue(Rotate(authority, kNow, "new").value(), "newer", kNow));
}

// F7: a node is server and client and is known by its name. T3: the clocks of two nodes may differ
// by ten minutes.
TEST(Authority, IssuesForANode) {
  const Authority authority = NewAuthority(kNow, "").value();
  const crypto::Identity leaf =
      IssueForNode(authority.current, "node1.example.com", 720h, kNow).value();
  EXPECT_THAT(leaf.certificate.dns_names(), ElementsAre("node1.example.com"));
  EXPECT_TRUE(leaf.certificate.allows_server_auth());
  EXPECT_TRUE(leaf.certificate.allows_client_auth());
  EXPECT_FALSE(leaf.certificate.is_ca());
  EXPECT_LE(leaf.certificate.not_before(), kNow - 20min);
  EXPECT_LE(authority.current.certificate.not_before(), leaf.certificate.not_before());
  EXPECT_EQ(leaf.certificate.not_after(), kNow + 720h);
  const SystemTime late = kNow + kAuthorityLife - 1h;
  EXPECT_EQ(IssueForNode(authority.current, "n", 720h, late).value().certificate.not_after(),
            authority.current.certificate.not_after());
  EXPECT_TRUE(IssueForNode(authority.current, std::string(100, 'n'), 1h, kNow))
      << "a name that is too long for the subject is still a DNS name";
}

// A container's files are compared with the Secret's by this number; GnuTLS and OpenSSL skip it.
TEST(PemFiles, BundleCarriesItsGeneration) {
  const crypto::Certificate authority = NewAuthority(kNow, "").value().current.certificate;
  const std::string text = BundleText({authority.ToPem()}, 42);
  EXPECT_EQ(GenerationOf(text), 42);
  EXPECT_EQ(crypto::Certificate::ParsePem(text).value().size(), 1U);
  EXPECT_EQ(GenerationOf(authority.ToPem()), 0);
  EXPECT_EQ(GenerationOf("# breakwater generation x"), 0);
}

}  // namespace
}  // namespace breakwater::controllers
