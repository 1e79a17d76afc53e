#include "operator/kube/config.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "operator/kube/credentials.h"
#include "operator/net/loopback_server.h"
#include "operator/testing/fake_clock.h"

namespace breakwater::kube {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only

constexpr const char* kYaml = R"(
apiVersion: v1
kind: Config
current-context: one
clusters:
- name: c1
  cluster: {server: "https://10.0.0.1:6443", certificate-authority-data: Q0E=, tls-server-name: kube}
- name: c2
  cluster: {server: "https://10.0.0.2:6443", certificate-authority: ca.crt}
- name: open
  cluster: {server: "http://10.0.0.3"}
- name: skip
  cluster: {server: "https://10.0.0.3", insecure-skip-tls-verify: true}
- name: proxied
  cluster: {server: "https://10.0.0.3", certificate-authority: ca.crt, proxy-url: "http://p"}
- name: rootless
  cluster: {server: "https://10.0.0.3"}
users:
- name: u1
  user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}
- name: u2
  user: {tokenFile: /t/token, client-certificate: c.crt, client-key: c.key}
- name: plugin
  user: {exec: {command: aws}}
contexts:
- {name: one, context: {cluster: c1, user: u1, namespace: ns1}}
- {name: two, context: {cluster: c2, user: u2}}
- {name: open, context: {cluster: open}}
- {name: skip, context: {cluster: skip}}
- {name: proxied, context: {cluster: proxied}}
- {name: rootless, context: {cluster: rootless}}
- {name: plugin, context: {cluster: c1, user: plugin}}
- {name: lost, context: {cluster: nowhere, user: u1}}
)";

TEST(KubeconfigTest, ReadsDataForms) {
  const auto config = ParseKubeconfig(kYaml, "/dir", {});
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->server, "https://10.0.0.1:6443");
  EXPECT_EQ(config->tls_server_name, "kube");
  EXPECT_EQ(config->ns, "ns1");
  EXPECT_EQ(config->ca.data, "CA");
  EXPECT_EQ(config->client_certificate.data, "CERT");
  EXPECT_EQ(config->client_key_data.Expose(), "KEY");
}

// Paths in a kubeconfig are relative to the file, not to where the program was started.
TEST(KubeconfigTest, ReadsFileForms) {
  const auto config = ParseKubeconfig(kYaml, "/dir", {.context = "two"});
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->ca.file, "/dir/ca.crt");
  EXPECT_EQ(config->client_key_file, "/dir/c.key");
  EXPECT_EQ(config->token_file, "/t/token");
  EXPECT_EQ(config->ns, "default");
}

// Sending a token over an unprotected connection because of a stale kubeconfig would be a leak.
TEST(KubeconfigTest, RefusesInsecureUnlessAsked) {
  for (const char* context : {"open", "skip"}) {
    EXPECT_FALSE(ParseKubeconfig(kYaml, "", {.context = context})) << context;
    EXPECT_TRUE(ParseKubeconfig(kYaml, "", {.context = context, .allow_insecure = true}))
        << context;
  }
}

// Whoever reads why it is refused must be able to act on it: there is no flag that allows it.
TEST(KubeconfigTest, SaysWhatAnInsecureClusterNeeds) {
  const auto config = ParseKubeconfig(kYaml, "", {.context = "skip"});
  ASSERT_FALSE(config);
  EXPECT_NE(config.error().message.find("without insecure-skip-tls-verify"), std::string::npos)
      << config.error().message;
}

// A password in the server's URL is not used for anything and would be in the log.
TEST(KubeconfigTest, RefusesPasswordsInTheUrlWithoutShowingThem) {
  for (const char* server : {"https://user:secret@h", "http://secret@h", "https://u:secret/@h"}) {
    const std::string yaml = "current-context: c\nclusters: [{name: c, cluster: {server: '" +
                             std::string(server) +
                             "', certificate-authority: ca.crt}}]\n"
                             "contexts: [{name: c, context: {cluster: c}}]\n";
    const auto config = ParseKubeconfig(yaml, "", {});
    ASSERT_FALSE(config) << server;
    EXPECT_NE(config.error().message.find("password"), std::string::npos);
    EXPECT_EQ(config.error().message.find("secret"), std::string::npos) << config.error().message;
  }
}

// Ignoring what is not supported would connect as the wrong user or past a proxy.
TEST(KubeconfigTest, RefusesWhatItCannotHonour) {
  for (const char* context : {"proxied", "rootless", "plugin", "lost", "missing"}) {
    const auto config = ParseKubeconfig(kYaml, "", {.context = context});
    ASSERT_FALSE(config) << context;
    EXPECT_EQ(config.error().error_class, ErrorClass::kInvalid);
  }
}

TEST(KubeconfigTest, RefusesRubbish) {
  for (const char* text : {"", "[]", "a: [", "\t", "current-context: x\ncontexts: 5",
                           "current-context: x\ncontexts: [{name: x, context: 1}]", "*a"}) {
    EXPECT_FALSE(ParseKubeconfig(text, "", {})) << text;
  }
}

class CredentialsTest : public ::testing::Test {
 protected:
  CredentialsTest() {
    std::filesystem::create_directories(directory_);
    Write("ca.crt", pki_.ca.certificate.ToPem());
    Write("token", "first\n");
    Write("namespace", "storage");
  }

  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ + "/" + name) << text;
  }

  std::unique_ptr<Credentials> Make(Logger log = Logger::Null()) {
    setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
    setenv("KUBERNETES_SERVICE_PORT", "443", 1);
    KubeConfig config = InClusterConfig(directory_).value();
    EXPECT_EQ(config.server, "https://kubernetes.default.svc:443");
    EXPECT_EQ(config.ns, "storage");
    return Credentials::Create(std::move(config), clock_, std::move(log)).value();
  }

  const std::string directory_ = ::testing::TempDir() + "/credentials-test";
  const net::TestPki pki_;
  testing::FakeClock clock_;
};

// Tokens live for an hour: an operator that reads its token once stops working after it.
TEST_F(CredentialsTest, ReadsTheTokenAgainAfterAMinute) {
  const auto credentials = Make();
  Write("token", "second");
  EXPECT_EQ(credentials->Token().Expose(), "first");
  clock_.Advance(60s);
  EXPECT_EQ(credentials->Token().Expose(), "second");
}

// After a 401 waiting for the minute to end would be a minute of failures.
TEST_F(CredentialsTest, ReadsTheTokenAtOnceAfter401) {
  const auto credentials = Make();
  const Secret<> used = credentials->Token();
  EXPECT_FALSE(credentials->Unauthorized(used));
  Write("token", "second");
  EXPECT_TRUE(credentials->Unauthorized(used));
  EXPECT_EQ(credentials->Token().Expose(), "second");
  // Another thread renewed it meanwhile: no need to read again.
  EXPECT_TRUE(credentials->Unauthorized(used));
}

// The kubelet swaps the files while we read: the last good token must stay in use, with one
// complaint.
TEST_F(CredentialsTest, KeepsTheLastGoodValueWhenAFileIsBroken) {
  std::vector<std::string> lines;
  const auto credentials =
      Make(Logger([&](std::string_view line) { lines.emplace_back(line); }, LogLevel::kInfo));
  Write("token", "");
  for (int i = 0; i < 3; ++i) {
    clock_.Advance(60s);
    EXPECT_EQ(credentials->Token().Expose(), "first");
  }
  EXPECT_EQ(lines.size(), 1U);
}

// A CA file full of rubbish must not cost the token as well: after an hour every request would
// fail.
TEST_F(CredentialsTest, RenewsTheTokenBesideABrokenCa) {
  const auto credentials = Make();
  Write("ca.crt", "rubbish");
  Write("token", "second");
  clock_.Advance(60s);
  EXPECT_EQ(credentials->Token().Expose(), "second");
  EXPECT_NE(credentials->tls()->Get(), nullptr);
}

// A rotated cluster CA must be trusted without a restart.
TEST_F(CredentialsTest, ReloadsTheCa) {
  const auto credentials = Make();
  const auto before = credentials->tls()->Get();
  clock_.Advance(60s);
  credentials->Token();
  EXPECT_EQ(credentials->tls()->Get(), before);
  Write("ca.crt", net::TestPki().ca.certificate.ToPem());
  clock_.Advance(60s);
  credentials->Token();
  EXPECT_NE(credentials->tls()->Get(), before);
}

}  // namespace
}  // namespace breakwater::kube
