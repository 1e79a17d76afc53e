// The certificates of replication on three nodes: Secrets in a fake API server, and pods whose
// kubelets bring a Secret's content when the test says so.

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/linstor_cluster.h"
#include "operator/api/resources.h"
#include "operator/base/base64.h"
#include "operator/controllers/certificates/certificate_reconciler.h"
#include "operator/controllers/common/replication_secret.h"
#include "operator/testing/fake_clock.h"
#include "operator/testing/fake_kube.h"

namespace breakwater::controllers {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only
using api::Json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr const char* kNs = "storage";

crypto::Identity MakeAuthority(const std::string& name, SystemTime now) {
  return crypto::CreateAuthority(
             {.common_name = name, .not_before = now - 1h, .not_after = now + 24h * 3000})
      .value();
}

class Bed {
 public:
  Bed() {
    for (const char* node : {"a", "b", "c"}) {
      AddNode(node);
    }
    Put("certificates", Json::object());
  }

  testing::FakeClock clock;
  testing::FakeKube kube;

  Context ctx() { return Context(stop_.get_token(), clock); }

  Json Metadata(const std::string& name, const api::Object* owner) const {
    Json meta{{"name", name}, {"namespace", kNs}};
    if (owner != nullptr) {
      meta["ownerReferences"] = Json::array({{{"apiVersion", "v1"},
                                              {"kind", "Owner"},
                                              {"name", owner->name()},
                                              {"uid", owner->uid()},
                                              {"controller", true}}});
    }
    return meta;
  }

  void AddNode(const std::string& node) {
    const api::Object satellite(
        kube.Put(api::kLinstorSatellite, {{"apiVersion", "piraeus.io/v1"},
                                          {"kind", "LinstorSatellite"},
                                          {"metadata", {{"name", node}}},
                                          {"spec",
                                           {{"clusterRef", {{"name", "cluster"}}},
                                            {"internalTLS", {{"tlsHandshakeDaemon", true}}}}}}));
    PutForeign(node + "-tls", node, internal_);
    const Json pod{{"containers", Json::array({{{"name", "ktls-utils"}}})},
                   {"volumes", Json::array({{{"name", "internal-tls"}}})}};
    const api::Object set(
        kube.Put(api::kDaemonSet, {{"metadata", Metadata("linstor-satellite." + node, &satellite)},
                                   {"spec", {{"template", {{"spec", pod}}}}}}));
    Json running{{"metadata", Metadata("pod-" + node, &set)}, {"spec", pod}};
    running["spec"]["nodeName"] = node;
    kube.Put(api::kPod, running);
    nodes_[node];
  }

  /// A Secret that somebody else keeps.
  void PutForeign(const std::string& name,
                  const std::string& node,
                  const crypto::Identity& authority) {
    const crypto::Identity leaf =
        crypto::IssueCertificate(authority, {.common_name = node,
                                             .dns_names = {node},
                                             .not_before = clock.SystemNow() - 1h,
                                             .not_after = clock.SystemNow() + 24h * 365})
            .value();
    const Json data{{"tls.crt", EncodeBase64(leaf.certificate.ToPem())},
                    {"tls.key", EncodeBase64(leaf.key.ToPem().Expose())},
                    {"ca.crt", EncodeBase64(authority.certificate.ToPem())}};
    if (!kube.Mutate(api::kSecret, {kNs, name}, [&](Json& live) { live["data"] = data; })) {
      kube.Put(api::kSecret, {{"metadata", Metadata(name, nullptr)}, {"data", data}});
    }
  }

  void Put(const std::string& field, const Json& value) {
    const Json spec{{"replicationTLS", {{field, value}}}};
    if (!kube.Mutate(api::kLinstorCluster, {"", "cluster"},
                     [&](Json& live) { live["spec"] = spec; })) {
      kube.Put(api::kLinstorCluster, {{"apiVersion", "piraeus.io/v1"},
                                      {"kind", "LinstorCluster"},
                                      {"metadata", {{"name", "cluster"}, {"generation", 1}}},
                                      {"spec", spec},
                                      // Other controllers write this status too: theirs must not
                                      // look like a difference, which would be a write per pass.
                                      {"status", {{"numberOfVolumes", 3}}}});
    }
  }

  void Mode(const std::string& mode) {
    Json certificates{{"mode", mode}};
    if (mode == "CertManager") {
      certificates["issuerRef"] = {{"name", "replication"}};
      for (const auto& [name, node] : nodes_) {
        PutForeign(name + "-replication-issued", name, issuer_);
      }
    } else if (mode == "Secret") {
      certificates["secretName"] = "mine-{node}";
      for (const auto& [name, node] : nodes_) {
        PutForeign("mine-" + name, name, own_);
      }
    }
    Put("certificates", certificates);
  }

  void Ask(const std::string& value) {
    kube.Mutate(api::kLinstorCluster, {"", "cluster"}, [&](Json& live) {
      live["metadata"]["annotations"][std::string(kRotateAnnotation)] = value;
    });
  }

  void Refresh() {
    for (runtime::Store* store :
         {&clusters_, &satellites_, &daemon_sets_, &pods_, &secrets_, &config_maps_}) {
      store->Replace(kube.All(store->resource()), "1");
    }
  }

  Result<runtime::Requeue, Error> Reconcile() {
    Refresh();
    // A new one each time: nothing that it remembers can matter.
    const std::unique_ptr<CertificateReconciler> reconciler = Make();
    return reconciler->Reconcile(ctx(), {"", "all"});
  }

  /// The same leader goes on.
  bool Reconcile(CertificateReconciler* reconciler) {
    Refresh();
    return reconciler->Reconcile(ctx(), {"", "all"}).has_value();
  }

  std::unique_ptr<CertificateReconciler> Make() {
    return std::make_unique<CertificateReconciler>(CertificateReconcilerDeps{
        .client = kube,
        .clusters = clusters_,
        .satellites = {satellites_, daemon_sets_, pods_, kNs},
        .secrets = secrets_,
        .config_maps = config_maps_,
        .containers = [this] { return Read(); },
        .look = [this](const std::string& node) { looks.insert(node); },
        .events =
            [this](kube::Event event) {
              events.push_back(event.reason + (event.part.empty() ? "" : " " + event.part));
            },
        .metrics = metrics,
        .log = log_});
  }

  std::vector<std::string> events;
  runtime::Metrics metrics;

  /// The satellite of one node restarts when its mounts are to change, as the rollout does it.
  bool Roll() {
    Refresh();
    const api::LinstorClusterSpec spec =
        api::DecodeLinstorCluster(kube.Find(api::kLinstorCluster, {"", "cluster"}).value()).value;
    for (const auto& [name, node] : nodes_) {
      const api::ObjectKey set{kNs, "linstor-satellite." + name};
      const api::ObjectPtr live = daemon_sets_.Get(set);
      const bool mounted = MountFor(&spec.replication_tls.certificates,
                                    secrets_.Get({kNs, core::ReplicationTlsSecretName(name)}), live)
                               .mounted;
      if (mounted == MountsReplicationSecret(live)) {
        continue;
      }
      const Json volumes = Json::array({{{"name", mounted ? "replication-tls" : "internal-tls"}}});
      kube.Mutate(api::kDaemonSet, set,
                  [&](Json& object) { object["spec"]["template"]["spec"]["volumes"] = volumes; });
      kube.Mutate(api::kPod, {kNs, "pod-" + name},
                  [&](Json& object) { object["spec"]["volumes"] = volumes; });
      Sync(name);
      ++restarts;
      return true;
    }
    return false;
  }

  /// The kubelet of a node brings what its Secret holds.
  void Sync(const std::string& name) {
    const auto pod = kube.Find(api::kPod, {kNs, "pod-" + name});
    const bool mounts = MountsReplicationSecret(std::make_shared<const api::Object>(*pod));
    const auto secret = kube.Find(
        api::kSecret, {kNs, mounts ? core::ReplicationTlsSecretName(name) : name + "-tls"});
    if (secret) {
      if (auto files = ReadPemFiles(api::Object(*secret))) {
        nodes_.at(name) = *std::move(files);
      }
    }
  }

  void SyncAll() {
    for (const auto& [name, node] : nodes_) {
      Sync(name);
    }
  }

  std::map<std::string, PemFiles> Read() const { return nodes_; }

  /// Nobody may refuse anybody, at any time.
  void CheckTrust() {
    std::string seen;
    for (const auto& [name, node] : nodes_) {
      seen += node.leaf().serial() + "/";
      for (const crypto::Certificate& root : node.roots) {
        seen += root.serial() + ",";
      }
    }
    if (seen == checked_) {
      return;
    }
    checked_ = seen;
    for (const auto& [name, node] : nodes_) {
      for (const auto& [peer, other] : nodes_) {
        const auto verified = crypto::VerifyChain(node.chain, other.roots, clock.SystemNow());
        ASSERT_TRUE(verified) << peer << " refuses " << name << ": " << verified.error().message;
        ASSERT_TRUE(crypto::MatchesNameAsTlshd(node.leaf(), name));
      }
    }
  }

  /// Runs until nothing is written any more.
  void Settle() {
    for (int round = 0, quiet = 0; round < 60; ++round) {
      clock.Advance(5s);
      kube.ClearCalls();
      const auto result = Reconcile();
      ASSERT_TRUE(result) << result.error().message;
      CheckTrust();
      const bool rolled = Roll();
      CheckTrust();
      SyncAll();
      CheckTrust();
      // What the kubelets brought may be what was waited for.
      quiet = kube.write_count() == 0 && !rolled ? quiet + 1 : 0;
      if (quiet == 2) {
        return;
      }
    }
    FAIL() << "does not settle: " << Condition();
  }

  std::string Condition() const {
    const auto conditions =
        api::ConditionsFromJson(*kube.Find(api::kLinstorCluster, {"", "cluster"}));
    const api::Condition* found =
        api::FindCondition(conditions, api::kConditionReplicationCertificates);
    return found == nullptr ? "" : found->status + "/" + found->reason + ": " + found->message;
  }

  std::string IssuerOf(const std::string& node) const { return nodes_.at(node).leaf().issuer(); }

  std::size_t Trusted(const std::string& node) const { return nodes_.at(node).roots.size(); }

  PemFiles& node(const std::string& name) { return nodes_.at(name); }

  int restarts = 0;
  std::set<std::string> looks;

 private:
  std::stop_source stop_;
  Logger log_ = Logger::Null();
  std::map<std::string, PemFiles> nodes_;
  std::string checked_;
  const crypto::Identity internal_ = MakeAuthority("internal", clock.SystemNow());
  const crypto::Identity issuer_ = MakeAuthority("issuer", clock.SystemNow());
  const crypto::Identity own_ = MakeAuthority("own", clock.SystemNow());
  runtime::Store clusters_{api::kLinstorCluster};
  runtime::Store satellites_{api::kLinstorSatellite};
  // Trimmed as the manager does it: what is not kept is not seen.
  runtime::Store daemon_sets_{api::kDaemonSet, {.transform = runtime::TrimFor("DaemonSet")}};
  runtime::Store pods_{api::kPod, {.transform = runtime::TrimFor("Pod")}};
  runtime::Store secrets_{api::kSecret};
  runtime::Store config_maps_{api::kConfigMap};
};

class Certificates : public ::testing::Test {
 protected:
  void SetUp() override { bed_.SyncAll(); }

  Bed bed_;
};

// REVIEW-2 S3: the seeds' way stays as it is, writes no Secret, and says what it costs.
TEST_F(Certificates, InternalTlsChangesNothingAndSaysWhatItShares) {
  bed_.Settle();
  EXPECT_THAT(bed_.Condition(), StartsWith("True/SharedWithLINSTOR: "));
  EXPECT_THAT(bed_.Condition(), HasSubstr("3 of 3 are valid as a client's"));
  EXPECT_EQ(bed_.restarts, 0);
  EXPECT_EQ(bed_.kube.All(api::kSecret).size(), 3U);
}

// REVIEW-2 S3, S5: an authority of the operator's, a key that only tlshd gets, one restart per
// node.
TEST_F(Certificates, ManagedGivesEachNodeACertificateForReplicationOnly) {
  bed_.Mode("Managed");
  bed_.Settle();
  EXPECT_THAT(bed_.Condition(), StartsWith("True/Managed"));
  EXPECT_EQ(bed_.restarts, 3);
  for (const char* node : {"a", "b", "c"}) {
    EXPECT_THAT(bed_.IssuerOf(node), HasSubstr("breakwater-replication-ca"));
    EXPECT_EQ(bed_.Trusted(node), 1U) << "LINSTOR's authority vouches for no peer any more";
    const Json secret =
        *bed_.kube.Find(api::kSecret, {kNs, std::string(node) + "-replication-tls"});
    const std::string text = secret.dump();
    const Json authority = *bed_.kube.Find(api::kSecret, {kNs, kAuthoritySecret});
    EXPECT_EQ(text.find(authority["data"]["tls.key"].get<std::string>()), std::string::npos);
    EXPECT_EQ(api::Object(secret).owners().front().name, node) << "it goes with its node";
  }
}

// T3: renewed after two thirds of its life, without a restart; the others are not asked.
TEST_F(Certificates, RenewsAfterTwoThirds) {
  bed_.Mode("Managed");
  bed_.Settle();
  const std::string before = bed_.node("a").leaf().serial();
  bed_.clock.Advance(24h * 19);
  bed_.Settle();
  EXPECT_EQ(bed_.node("a").leaf().serial(), before);
  bed_.clock.Advance(24h * 2);
  bed_.Settle();
  EXPECT_NE(bed_.node("a").leaf().serial(), before);
  EXPECT_EQ(bed_.restarts, 3);
}

// T3: the operator was away for too long. When it is back the certificate is new, by itself.
TEST_F(Certificates, ExpiredCertificatesHeal) {
  bed_.Mode("Managed");
  bed_.Settle();
  bed_.clock.Advance(24h * 40);
  ASSERT_TRUE(bed_.Reconcile());
  bed_.SyncAll();
  bed_.CheckTrust();
}

// T3: distribute, switch, withdraw; the key of the old authority is gone at the end.
TEST_F(Certificates, RotatesTheAuthorityOnCommand) {
  bed_.Mode("Managed");
  bed_.Settle();
  const std::string before = bed_.IssuerOf("a");
  bed_.clock.Advance(1h);
  bed_.Ask("tuesday");
  ASSERT_TRUE(bed_.Reconcile());
  ASSERT_TRUE(bed_.Reconcile());
  EXPECT_THAT(bed_.Condition(), StartsWith("False/Distributing"));
  EXPECT_THAT(bed_.Condition(), HasSubstr("waiting for a; b; c"));
  EXPECT_EQ(bed_.looks.size(), 3U) << "or the containers are read a day later";
  bed_.Sync("a");
  bed_.Sync("b");
  ASSERT_TRUE(bed_.Reconcile());
  bed_.SyncAll();
  EXPECT_EQ(bed_.IssuerOf("a"), before) << "c had not read the new authority";
  bed_.Settle();
  EXPECT_NE(bed_.IssuerOf("a"), before);
  EXPECT_EQ(bed_.Trusted("a"), 1U);
  EXPECT_THAT(bed_.Condition(), StartsWith("True/Managed"));
  const Json authority = *bed_.kube.Find(api::kSecret, {kNs, kAuthoritySecret});
  EXPECT_FALSE(authority["data"].contains("previous.key"));
  EXPECT_EQ(bed_.restarts, 3);
  const std::string after = bed_.IssuerOf("a");
  bed_.Settle();
  EXPECT_EQ(bed_.IssuerOf("a"), after) << "one command is one rotation";
}

// Who rotates wants to know when it is over, and for which node it waits; a new leader at each step
// says no more and no less.
TEST_F(Certificates, TellsEachStepOfARotation) {
  bed_.Mode("Managed");
  bed_.Settle();
  bed_.events.clear();
  bed_.clock.Advance(1h);
  bed_.Ask("tuesday");
  bed_.Settle();
  EXPECT_THAT(bed_.events, ElementsAre("CertificateRotationStarted", "CertificatesDistributing",
                                       "CertificatesSwitching", "CertificatesWithdrawing",
                                       "CertificatesSettled"));
  EXPECT_THAT(bed_.metrics.Serialize(),
              AllOf(HasSubstr("breakwater_certificate_authorities_total{why=\"rotation\"} 1"),
                    HasSubstr("breakwater_certificates_phase{phase=\"settled\"} 1"),
                    HasSubstr("breakwater_certificates_phase{phase=\"switching\"} 0"),
                    HasSubstr("breakwater_certificate_renewal_time_seconds{node=\"a\"}")));
}

TEST_F(Certificates, NamesTheNodeThatARotationWaitsFor) {
  bed_.Mode("Managed");
  bed_.Settle();
  bed_.clock.Advance(1h);
  bed_.Ask("tuesday");
  const std::unique_ptr<CertificateReconciler> leader = bed_.Make();
  ASSERT_TRUE(bed_.Reconcile(leader.get()));
  ASSERT_TRUE(bed_.Reconcile(leader.get()));
  bed_.Sync("a");
  bed_.Sync("b");
  ASSERT_TRUE(bed_.Reconcile(leader.get()));
  bed_.events.clear();
  for (int minute = 0; minute < 10; ++minute) {
    bed_.clock.Advance(1min);
    ASSERT_TRUE(bed_.Reconcile(leader.get()));
  }
  EXPECT_THAT(bed_.events, ElementsAre("CertificatesWaiting c"));
  EXPECT_THAT(bed_.metrics.Serialize(), HasSubstr("breakwater_certificates_waiting_nodes 1"));
}

// T3, T5: killed at any write, in every change of mode and in a rotation, with kubelets that lag:
// the nodes trust each other at every moment, and the change is finished by the next operator.
TEST_F(Certificates, FinishesWhenKilledAtEachWrite) {
  const std::vector<std::string> wishes{"Managed",     "rotate",  "CertManager", "Secret",
                                        "InternalTLS", "Managed", "InternalTLS"};
  for (unsigned seed = 0; seed < 4; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto chance = [&](int percent) {
      return std::uniform_int_distribution<int>(0, 99)(random) < percent;
    };
    Bed bed;
    bed.SyncAll();
    for (const std::string& wish : wishes) {
      SCOPED_TRACE(wish);
      wish == "rotate" ? bed.Ask("seed " + std::to_string(seed)) : bed.Mode(wish);
      for (int step = 0; step < 12; ++step) {
        bed.clock.Advance(5s);
        // A lost reply is as good as a kill after the write.
        int left = std::uniform_int_distribution<int>(1, 5)(random);
        const bool after_effect = chance(50);
        bed.kube.on_call([&](const testing::FakeKube::Call&) {
          using Fault = testing::FakeKube::Fault;
          return --left == 0 ? std::optional<Fault>(Fault{kube::Status{.code = 503}, after_effect})
                             : std::nullopt;
        });
        (void)bed.Reconcile();
        bed.kube.on_call({});
        bed.CheckTrust();
        if (chance(60)) {
          bed.Roll();
        }
        for (const char* node : {"a", "b", "c"}) {
          if (chance(40)) {
            bed.Sync(node);
          }
        }
        bed.CheckTrust();
      }
      bed.Settle();  // by an operator that nobody kills
      if (::testing::Test::HasFatalFailure()) {
        return;
      }
    }
    EXPECT_THAT(bed.Condition(), StartsWith("True/SharedWithLINSTOR"));
    EXPECT_EQ(bed.IssuerOf("a"), "CN=internal");
    const Json secret = *bed.kube.Find(api::kSecret, {kNs, "a-replication-tls"});
    EXPECT_FALSE(secret["data"].contains("tls.key")) << "a key that nobody uses";
  }
}

// Pods wake nobody here: until the last one has restarted the next look must be soon, or a key that
// nobody uses stays for minutes.
TEST_F(Certificates, LooksOftenUntilTheLastSatelliteHasRestarted) {
  bed_.Mode("Managed");
  bed_.Settle();
  EXPECT_GT(bed_.Reconcile()->after, 1min);
  bed_.Mode("InternalTLS");
  for (int round = 0; round < 20; ++round) {
    const auto result = bed_.Reconcile();
    ASSERT_TRUE(result);
    if (bed_.Condition().starts_with("True/SharedWithLINSTOR")) {
      return;
    }
    EXPECT_LE(result->after, 10s) << bed_.Condition();
    bed_.SyncAll();
    bed_.Roll();
  }
  FAIL() << bed_.Condition();
}

// T5: among the modes that are not InternalTLS nothing restarts.
TEST_F(Certificates, OnlyTheWayToAndFromInternalTlsRestartsSatellites) {
  bed_.Mode("Managed");
  bed_.Settle();
  for (const char* mode : {"CertManager", "Secret", "Managed"}) {
    bed_.Mode(mode);
    bed_.Settle();
    EXPECT_THAT(bed_.Condition(), StartsWith(std::string("True/") + mode));
  }
  EXPECT_EQ(bed_.restarts, 3);
  bed_.Mode("InternalTLS");
  bed_.Settle();
  EXPECT_EQ(bed_.restarts, 6);
  EXPECT_THAT(bed_.Condition(), StartsWith("True/SharedWithLINSTOR"));
}

// What nodes have is not given up for what the source does not have, or has wrong.
TEST_F(Certificates, BadSourceIsNamedAndChangesNothing) {
  bed_.Mode("Managed");
  bed_.Settle();
  bed_.Put("certificates", {{"mode", "Secret"}, {"secretName", "mine-{node}"}});
  bed_.Settle();
  EXPECT_THAT(bed_.Condition(), StartsWith("False/SourceMissing"));
  EXPECT_THAT(bed_.Condition(), HasSubstr("b: the Secret mine-b is missing"));
  bed_.PutForeign("mine-b", "x", MakeAuthority("own", bed_.clock.SystemNow()));
  bed_.Settle();
  EXPECT_THAT(bed_.Condition(), HasSubstr("has no DNS name b"));
  EXPECT_THAT(bed_.IssuerOf("b"), HasSubstr("breakwater-replication-ca"));
}

// A broken authority is never written over, and a lost one is one more rotation.
TEST_F(Certificates, LostAuthorityIsReplacedWithOverlap) {
  bed_.Mode("Managed");
  bed_.Settle();
  const std::string before = bed_.IssuerOf("a");
  bed_.kube.Mutate(api::kSecret, {kNs, kAuthoritySecret},
                   [](Json& live) { live["data"]["tls.key"] = "eA=="; });
  ASSERT_TRUE(bed_.Reconcile());
  EXPECT_THAT(bed_.Condition(), StartsWith("False/Invalid"));
  EXPECT_THAT(bed_.Condition(), HasSubstr(kAuthoritySecret));
  bed_.kube.Remove(api::kSecret, {kNs, kAuthoritySecret});
  bed_.clock.Advance(1h);
  bed_.Settle();
  EXPECT_NE(bed_.IssuerOf("a"), before);
  EXPECT_THAT(bed_.Condition(), StartsWith("True/Managed"));
}

// Somebody deletes a node's Secret: a new certificate, no restart, no refusal.
TEST_F(Certificates, DeletedSecretComesBack) {
  bed_.Mode("Managed");
  bed_.Settle();
  bed_.kube.Remove(api::kSecret, {kNs, "b-replication-tls"});
  bed_.Settle();
  EXPECT_THAT(bed_.Condition(), StartsWith("True/Managed"));
  EXPECT_EQ(bed_.restarts, 3);
}

// cert-manager leaves Secret and key behind when its Certificate is deleted.
TEST_F(Certificates, KeysOfCertManagerDoNotOutliveTheirUse) {
  bed_.Mode("CertManager");
  for (const char* node : {"a", "b", "c"}) {
    bed_.kube.Mutate(api::kSecret, {kNs, std::string(node) + "-replication-issued"},
                     [&](Json& live) {
                       live["metadata"]["annotations"] = {
                           {kIssuedFor, std::string("linstor-replication.") + node}};
                     });
  }
  bed_.Settle();
  const api::ObjectKey key{kNs, "a-replication-issued"};
  const api::Object used(*bed_.kube.Find(api::kSecret, key));
  ASSERT_EQ(used.owners().size(), 1U) << "a node that is removed would leave its key behind";
  EXPECT_EQ(used.owners().front().name, "a");
  EXPECT_NE(SecretText(used, "tls.key"), "");
  bed_.Mode("Managed");
  bed_.Settle();
  EXPECT_EQ(SecretText(api::Object(*bed_.kube.Find(api::kSecret, key)), "tls.key"), "");
  EXPECT_THAT(bed_.Condition(), StartsWith("True/Managed"));
}

// A Secret of the same name that a person made, and that is in use, stays as it is.
TEST_F(Certificates, ASecretThatSomebodyElseMadeKeepsItsKey) {
  const api::ObjectKey key{kNs, "a-replication-issued"};
  bed_.PutForeign(key.name, "a", MakeAuthority("somebody", bed_.clock.SystemNow()));
  bed_.Mode("Managed");
  bed_.Settle();
  EXPECT_NE(SecretText(api::Object(*bed_.kube.Find(api::kSecret, key)), "tls.key"), "");
}

// cert-manager renews its own authority without an overlap, and leaves the nodes that renewed
// first alone with it. Here the bundles overlap.
TEST_F(Certificates, RotationOfAForeignAuthorityOverlaps) {
  bed_.Mode("CertManager");
  bed_.Settle();
  const crypto::Identity next = MakeAuthority("next", bed_.clock.SystemNow());
  bed_.PutForeign("a-replication-issued", "a", next);
  bed_.Settle();
  bed_.PutForeign("b-replication-issued", "b", next);
  bed_.PutForeign("c-replication-issued", "c", next);
  bed_.Settle();
  EXPECT_EQ(bed_.IssuerOf("c"), "CN=next");
  EXPECT_EQ(bed_.Trusted("a"), 1U);
}

}  // namespace
}  // namespace breakwater::controllers
