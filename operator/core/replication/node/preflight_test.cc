// Preflight: one reason per fault, with the next step. What would break for a user: TLS is switched
// on at a node where it cannot work, or nobody can tell why it is not.

#include "operator/core/replication/node/preflight.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "operator/core/replication/node/text.h"

namespace breakwater::replication {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const SystemTime kNow{std::chrono::seconds(1800000000)};

NodeFacts FitNode() {
  NodeFacts facts;
  facts.name = "n1";
  facts.answered = facts.observed = facts.satellite_ready = facts.tls_module = true;
  facts.tlshd_container = facts.tlshd_ready = facts.agent_needed = true;
  facts.versions = {"9.3.3", "9.34.0", true};
  facts.handshake_family = facts.linstor_online = true;
  facts.usermode_helper = "disabled";
  CertificateFacts certificate;
  certificate.present = certificate.parsed = certificate.name_matches = true;
  certificate.server_auth = certificate.client_auth = certificate.trusted_here = true;
  certificate.not_before = kNow - std::chrono::hours(1);
  certificate.not_after = kNow + std::chrono::hours(24 * 90);
  certificate.key_mode = "600";
  facts.certificate = certificate;
  return facts;
}

struct Case {
  const char* reason;
  const char* step;  ///< of the message: what to do
  std::function<void(NodeFacts&)> change;
};

TEST(PreflightTest, NamesEachReason) {
  const std::vector<Case> cases = {
      {"DRBDTooOld", "load 9.2.6", [](NodeFacts& f) { f.versions.module = "9.2.5"; }},
      {"DRBDDefective", "load 9.3.3", [](NodeFacts& f) { f.versions.module = "9.3.2"; }},
      {"DRBDUtilsTooOld", "use 9.26", [](NodeFacts& f) { f.versions.utils = "9.25.0"; }},
      {"KernelTLSMissing", "modprobe tls", [](NodeFacts& f) { f.tls_module = false; }},
      {"KernelHandshakeMissing", "CONFIG_NET_HANDSHAKE",
       [](NodeFacts& f) { f.handshake_family = false; }},
      {"ResFileBroken", "/var/lib/linstor.d/bad.res",
       [](NodeFacts& f) { f.broken_res = "/var/lib/linstor.d/bad.res"; }},
      {"AgentMissing", "tlsHandshakeDaemon", [](NodeFacts& f) { f.agent = AgentState::kMissing; }},
      {"AgentTooOld", "update the image", [](NodeFacts& f) { f.agent = AgentState::kTooOld; }},
      {"AgentUnreachable", "log", [](NodeFacts& f) { f.agent = AgentState::kUnreachable; }},
      {"SatelliteNotOnline", "linstor node list", [](NodeFacts& f) { f.linstor_online = false; }},
      {"SocketProofMissing", "tcp_diag", [](NodeFacts& f) { f.no_socket_proof = true; }},
      {"HandshakeDaemonMissing", "set", [](NodeFacts& f) { f.tlshd_container = false; }},
      {"HandshakeDaemonNotReady", "look", [](NodeFacts& f) { f.tlshd_ready = false; }},
      {"CertificateMissing", "check", [](NodeFacts& f) { f.certificate.reset(); }},
      {"CertificateNameMismatch", "issue",
       [](NodeFacts& f) { f.certificate->name_matches = false; }},
      {"CertificateExpired", "renew", [](NodeFacts& f) { f.certificate->not_after = kNow; }},
      {"CertificateUntrusted", "ca.crt", [](NodeFacts& f) { f.certificate->trusted_here = false; }},
      {"CertificateKeyMismatch", "issue", [](NodeFacts& f) { f.certificate->key_fits = false; }},
      {"CertificateUntrustedByPeer", "bundle",
       [](NodeFacts& f) { f.certificate->untrusted_by = {"n2"}; }},
      {"NodeNameTooLong", "63", [](NodeFacts& f) { f.name = std::string(64, 'n'); }},
      {"NotObserved", "look", [](NodeFacts& f) { f.observed = false; }},
      {"DRBDNotLoaded", "load", [](NodeFacts& f) { f.observed = f.versions.loaded = false; }},
  };
  EXPECT_TRUE(CheckNode(FitNode(), kNow).empty());
  for (const Case& test : cases) {
    NodeFacts facts = FitNode();
    test.change(facts);
    const auto blocker = FirstBlocker(CheckNode(facts, kNow));
    ASSERT_TRUE(blocker) << test.reason;
    EXPECT_EQ(blocker->reason, test.reason);
    EXPECT_THAT(blocker->message, HasSubstr(test.step)) << test.reason;
  }
}

TEST(PreflightTest, WhatIsNotKnownIsNoFault) {
  NodeFacts facts = FitNode();  // observed by exec: some facts are the agent's only
  facts.handshake_family.reset();
  facts.usermode_helper.reset();
  facts.linstor_online.reset();
  EXPECT_TRUE(CheckNode(facts, kNow).empty());
  facts.agent = AgentState::kMissing;
  facts.agent_needed = false;
  EXPECT_TRUE(CheckNode(facts, kNow).empty()) << "nobody wants TLS";
}

// T3: a clock that is off is said before it makes a node refuse a new certificate; it stops
// nothing. Who reads it must know which node, how much and what to do, and a second more or less
// must not be another message.
TEST(PreflightTest, AClockThatIsOffIsAWarning) {
  NodeFacts facts = FitNode();
  facts.certificate->clock_ahead = std::chrono::seconds(30);
  EXPECT_TRUE(CheckNode(facts, kNow).empty());
  facts.secret = "n1-tls";
  facts.certificate->clock_ahead = -std::chrono::minutes(10);
  const auto failures = CheckNode(facts, kNow);
  ASSERT_EQ(failures.size(), 1U);
  EXPECT_EQ(failures.front().reason, "ClockDiffers");
  EXPECT_THAT(failures.front().message,
              AllOf(HasSubstr("node " + facts.name + " is 10 minutes behind"),
                    HasSubstr("30 minutes"), HasSubstr("set the node's clock")));
  EXPECT_THAT(failures.front().message, Not(HasSubstr("n1-tls"))) << "the Secret is all right";
  EXPECT_TRUE(failures.front().warning);
  facts.certificate->clock_ahead = std::chrono::seconds(-601);
  EXPECT_EQ(CheckNode(facts, kNow), failures);
  facts.certificate->clock_ahead = std::chrono::seconds(599);
  EXPECT_THAT(CheckNode(facts, kNow).front().message, HasSubstr("is 10 minutes ahead of"));
}

// A certificate that is made for three days must not be called short-lived on its first one.
TEST(PreflightTest, ShortLivedCertificatesExpireSoonInTheirLastQuarter) {
  NodeFacts facts = FitNode();
  facts.certificate->not_before = kNow - std::chrono::hours(24);
  facts.certificate->not_after = kNow + std::chrono::hours(48);
  EXPECT_TRUE(CheckNode(facts, kNow).empty());
  const auto late = CheckNode(facts, kNow + std::chrono::hours(31));
  ASSERT_EQ(late.size(), 1U);
  EXPECT_EQ(late.front().reason, "CertificateExpiresSoon");
}

// F33: a reconnect that needs a resync is dropped while any .res file is broken.
TEST(PreflightTest, TheUsermodeHelperIsAWarning) {
  NodeFacts facts = FitNode();
  facts.usermode_helper = "/sbin/drbdadm";
  const auto failures = CheckNode(facts, kNow);
  ASSERT_EQ(failures.size(), 1U);
  EXPECT_TRUE(failures[0].warning);
  EXPECT_THAT(failures[0].message, HasSubstr("usermode_helper=disabled"));
}

// One volume with lb-tcp must not make its nodes unfit for all others (F8.5).
TEST(PreflightTest, ATransportWithoutTlsIsAWarning) {
  NodeFacts facts = FitNode();
  facts.bad_transports = {"lb-tcp"};
  EXPECT_FALSE(FirstBlocker(CheckNode(facts, kNow)));
}

TEST(TextTest, OnlySafeNamesReachANode) {
  EXPECT_TRUE(IsSafeName("pvc-1234.a_b"));
  for (const char* bad : {"", "-x", ".x", "a b", "a;b", "a/b", "a:b", "$(x)", "a\nb"}) {
    EXPECT_FALSE(IsSafeName(bad)) << bad;
  }
}

}  // namespace
}  // namespace breakwater::replication
