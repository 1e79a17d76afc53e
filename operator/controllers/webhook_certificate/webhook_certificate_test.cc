// The webhook's own certificate. What would break for a user: after 60 days no mistake is refused
// any more, at night, in a cluster that nobody has touched; or kubectl waits for a webhook whose
// certificate its API server does not trust.

#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/resources.h"
#include "operator/base/base64.h"
#include "operator/controllers/certificates/pem_files.h"
#include "operator/controllers/webhook_certificate/webhook_certificate_reconciler.h"
#include "operator/testing/fake_clock.h"
#include "operator/testing/fake_kube.h"

namespace breakwater::controllers {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only
using api::Json;
using ::testing::ElementsAre;

const api::ObjectKey kSecretKey{"storage", "webhook"};
const api::ObjectKey kConfigurationKey{"", std::string(kWebhookConfiguration)};
constexpr const char* kName = "hook.storage.svc";

class Bed {
 public:
  Bed() {
    const Json service{{"name", "hook"}, {"namespace", "storage"}, {"path", "/x"}};
    Json webhooks = Json::array();
    for (const char* name : {"a.kb.io", "b.kb.io"}) {
      webhooks.push_back({{"name", name}, {"clientConfig", {{"service", service}}}});
    }
    kube.Put(
        api::kValidatingWebhookConfiguration,
        {{"metadata", {{"name", std::string(kWebhookConfiguration)}}}, {"webhooks", webhooks}});
  }

  Result<runtime::Requeue, Error> Reconcile() {
    configurations_.Replace(kube.All(api::kValidatingWebhookConfiguration), "1");
    secrets_.Replace(kube.All(api::kSecret), "1");
    // A new one each time: nothing that it remembers can matter.
    WebhookCertificateReconciler reconciler({.client = kube,
                                             .configurations = configurations_,
                                             .secrets = secrets_,
                                             .secret = kSecretKey,
                                             .log = log_});
    return reconciler.Reconcile(Context(stop_.get_token(), clock), {"", "webhook"});
  }

  /// Time passes, and whatever is due is done.
  void RunFor(std::chrono::hours time) {
    const SystemTime end = clock.SystemNow() + time;
    while (clock.SystemNow() < end) {
      const auto next = Reconcile();
      ASSERT_TRUE(next) << next.error().message;
      ASSERT_TRUE(next->after);
      clock.Advance(*next->after);
      Check();
    }
  }

  /// The files as the kubelet brings them.
  void Deliver() {
    if (const auto secret = kube.Find(api::kSecret, kSecretKey)) {
      served_ =
          crypto::Certificate::ParsePem(SecretText(api::Object(*secret), "tls.crt").value_or(""))
              .value();
    }
  }

  /// What the API server would say of what is served now.
  void Check() const {
    if (served_.empty()) {
      return;
    }
    const auto verified = crypto::VerifyChain(served_, Trusted(), clock.SystemNow());
    EXPECT_TRUE(verified) << verified.error().message;
    EXPECT_TRUE(served_.front().allows_server_auth());
  }

  std::vector<crypto::Certificate> Trusted() const {
    const auto object = kube.Find(api::kValidatingWebhookConfiguration, kConfigurationKey);
    const std::string bundle = (*object)["webhooks"][1]["clientConfig"].value("caBundle", "");
    EXPECT_EQ((*object)["webhooks"][0]["clientConfig"].value("caBundle", ""), bundle);
    auto parsed = crypto::Certificate::ParsePem(DecodeBase64(bundle).value_or(""));
    return parsed ? *parsed : std::vector<crypto::Certificate>();
  }

  const std::vector<crypto::Certificate>& served() const { return served_; }

  testing::FakeClock clock;
  testing::FakeKube kube;

 private:
  std::stop_source stop_;
  Logger log_;
  runtime::Store configurations_{api::kValidatingWebhookConfiguration};
  runtime::Store secrets_{api::kSecret};
  std::vector<crypto::Certificate> served_;
};

TEST(WebhookCertificateTest, MakesOneThatTheApiServerTrusts) {
  Bed bed;
  ASSERT_TRUE(bed.Reconcile());
  bed.Deliver();
  ASSERT_FALSE(bed.served().empty());
  EXPECT_THAT(bed.served().front().dns_names(), ElementsAre(kName));
  EXPECT_FALSE(bed.served().front().allows_client_auth());
  bed.Check();
  bed.kube.ClearCalls();
  ASSERT_TRUE(bed.Reconcile());
  EXPECT_EQ(bed.kube.write_count(), 0) << "nothing is left to do";
}

// Whoever removes the operator must not keep a key that the API server once trusted.
TEST(WebhookCertificateTest, TheSecretGoesWithTheConfiguration) {
  Bed bed;
  ASSERT_TRUE(bed.Reconcile());
  const api::Object secret(*bed.kube.Find(api::kSecret, kSecretKey));
  ASSERT_EQ(secret.owners().size(), 1U);
  EXPECT_EQ(secret.owners().front().kind, api::kValidatingWebhookConfiguration.kind);
}

// A kubelet may bring the files two minutes late, or after it was down for a day: what is served
// is trusted at every moment of two years.
TEST(WebhookCertificateTest, ARenewalHasNoGapHoweverLateTheFilesCome) {
  for (const std::chrono::hours late : {0h, 1h, 24h}) {
    Bed bed;
    ASSERT_TRUE(bed.Reconcile());
    bed.Deliver();
    const std::string first = bed.served().front().serial();
    const SystemTime end = bed.clock.SystemNow() + 24h * 730;
    while (bed.clock.SystemNow() < end) {
      bed.RunFor(6h + late);
      bed.Deliver();
      bed.Check();
    }
    EXPECT_NE(bed.served().front().serial(), first);
    EXPECT_LE(bed.Trusted().size(), 3U) << "bundles do not grow";
  }
}

// Killed after each request of a renewal, another leader finishes it, and there is no gap.
TEST(WebhookCertificateTest, SurvivesBeingKilledAtEachWrite) {
  for (int k = 1; k <= 8; ++k) {
    Bed bed;
    ASSERT_TRUE(bed.Reconcile());
    bed.Deliver();
    bed.clock.Advance(kServingLife / 3 * 2);
    bed.kube.FailCall(k, kube::Status{500, "InternalError", "gone", {}}, k % 2 == 0);
    for (int i = 0; i < 12; ++i) {
      (void)bed.Reconcile();
      bed.Check();
      bed.clock.Advance(5min);
      bed.Deliver();
      bed.Check();
    }
    const auto secret = bed.kube.Find(api::kSecret, kSecretKey);
    const auto identity = ReadServing(api::Object(*secret));
    ASSERT_TRUE(identity) << identity.error().message;
    EXPECT_FALSE(identity->next) << "call " << k;
    EXPECT_GT(identity->current.leaf.certificate.not_after(),
              bed.clock.SystemNow() + kServingLife / 2);
  }
}

// The names come from the configuration: whoever moves the Service gets a certificate for it.
TEST(WebhookCertificateTest, ANewNameGetsACertificateAtOnce) {
  Bed bed;
  ASSERT_TRUE(bed.Reconcile());
  bed.kube.Mutate(api::kValidatingWebhookConfiguration, kConfigurationKey, [](Json& live) {
    live["webhooks"][0]["clientConfig"] = {{"url", "https://127.0.0.1:9443/x"}};
    live["webhooks"][1]["clientConfig"] = {{"url", "https://hook.example:9443/x"}};
  });
  ASSERT_TRUE(bed.Reconcile());
  bed.Deliver();
  EXPECT_THAT(bed.served().front().dns_names(), ElementsAre("hook.example"));
  EXPECT_THAT(bed.served().front().ip_addresses(), ElementsAre("127.0.0.1"));
  bed.Check();
}

TEST(WebhookCertificateTest, WhatIsBrokenIsMadeAnew) {
  Bed bed;
  ASSERT_TRUE(bed.Reconcile());
  bed.kube.Mutate(api::kSecret, kSecretKey,
                  [](Json& live) { live["data"]["tls.key"] = EncodeBase64("nonsense"); });
  bed.kube.Mutate(api::kValidatingWebhookConfiguration, kConfigurationKey, [](Json& live) {
    live["webhooks"][0]["clientConfig"]["caBundle"] = "";  // `kubectl replace` of the file
  });
  ASSERT_TRUE(bed.Reconcile());
  bed.Deliver();
  bed.Check();
}

TEST(WebhookCertificateTest, LeavesWhatIsNotItsOwn) {
  Bed bed;
  bed.kube.Mutate(api::kValidatingWebhookConfiguration, kConfigurationKey, [](Json& live) {
    live["metadata"]["annotations"]["cert-manager.io/inject-ca-from"] = "storage/hook";
  });
  bed.kube.ClearCalls();
  ASSERT_TRUE(bed.Reconcile());
  bed.kube.Remove(api::kValidatingWebhookConfiguration, kConfigurationKey);
  ASSERT_TRUE(bed.Reconcile());
  EXPECT_EQ(bed.kube.write_count(), 0);
}

}  // namespace
}  // namespace breakwater::controllers
