#include "operator/controllers/common/replication_secret.h"

#include <gtest/gtest.h>

#include "operator/runtime/store.h"

namespace breakwater::controllers {
namespace {

using api::CertificateMode;
using api::CertificateSettings;
using api::Json;

api::ObjectPtr Secret(std::string_view source, bool released = false) {
  Json object{{"metadata", {{"annotations", {{kCertificateSource, source}}}}},
              {"data", {{"tls.crt", "eA=="}, {"tls.key", "eA=="}, {"ca.crt", "eA=="}}}};
  if (released) {
    object["metadata"]["annotations"][std::string(kReleased)] = "true";
  }
  return std::make_shared<const api::Object>(object);
}

api::ObjectPtr DaemonSet(bool mounts) {
  Json volumes = Json::array({{{"name", "internal-tls"}}});
  if (mounts) {
    volumes.push_back({{"name", "replication-tls"}});
  }
  Json object{{"spec", {{"template", {{"spec", {{"volumes", volumes}}}}}}}};
  runtime::TrimFor("DaemonSet")(object);  // as stores keep it
  return std::make_shared<const api::Object>(object);
}

const CertificateSettings kShared;
const CertificateSettings kManaged{.mode = CertificateMode::kManaged};

// A pod whose Secret is missing does not start: the first satellite of a rollout would stay down.
TEST(MountFor, TheSecretComesBeforeTheMount) {
  EXPECT_FALSE(MountFor(&kManaged, nullptr, DaemonSet(false)).mounted);
  EXPECT_FALSE(
      MountFor(&kManaged, std::make_shared<const api::Object>(Json::object()), DaemonSet(false))
          .mounted);
  EXPECT_TRUE(MountFor(&kManaged, Secret("InternalTLS"), DaemonSet(false)).mounted);
  EXPECT_FALSE(MountFor(&kShared, Secret("Managed"), DaemonSet(false)).mounted);
}

// Somebody deletes the Secret: with a change back the satellite would restart, and present what its
// peers refuse.
TEST(MountFor, ADeletedSecretChangesNoPod) {
  EXPECT_TRUE(MountFor(&kManaged, nullptr, DaemonSet(true)).mounted);
  EXPECT_TRUE(MountFor(&kShared, nullptr, DaemonSet(true)).mounted);
}

// A pod in the store has no more than the manager keeps of it.
TEST(MountFor, TellsWhatATrimmedPodMounts) {
  Json pod{{"spec", {{"volumes", Json::array({{{"name", "replication-tls"}}})}}}};
  runtime::TrimFor("Pod")(pod);
  EXPECT_TRUE(MountsReplicationSecret(std::make_shared<const api::Object>(pod)));
  EXPECT_FALSE(MountsReplicationSecret(nullptr));
}

// With the daemon before its Secret each satellite would restart twice; one that runs the daemon
// already goes on with what it has.
TEST(MountFor, ADaemonThatIsNewWaitsForItsSecret) {
  const core::ReplicationCertificate none;
  EXPECT_TRUE(AwaitsCertificate(&kManaged, none, DaemonSet(false)));
  EXPECT_TRUE(AwaitsCertificate(&kManaged, none, nullptr));
  EXPECT_FALSE(AwaitsCertificate(&kShared, none, nullptr));
  EXPECT_FALSE(AwaitsCertificate(&kManaged, {.mounted = true}, nullptr));
  const auto runs = std::make_shared<const api::Object>(Json{
      {"spec",
       {{"template", {{"spec", {{"containers", Json::array({{{"name", "ktls-utils"}}})}}}}}}}});
  EXPECT_FALSE(AwaitsCertificate(&kManaged, none, runs));
}

// T5: back to the satellites' Secrets only when the peers trust those again.
TEST(MountFor, GoesBackWhenReleased) {
  EXPECT_TRUE(MountFor(&kShared, Secret("Managed"), DaemonSet(true)).mounted);
  EXPECT_FALSE(MountFor(&kShared, Secret("InternalTLS", true), DaemonSet(true)).mounted);
  EXPECT_TRUE(MountFor(&kManaged, Secret("InternalTLS", true), DaemonSet(true)).mounted);
}

// A LinstorCluster that is gone or broken restarts no satellite.
TEST(MountFor, WithoutALinstorClusterEverythingStays) {
  EXPECT_TRUE(MountFor(nullptr, Secret("Managed"), DaemonSet(true)).mounted);
  EXPECT_FALSE(MountFor(nullptr, Secret("Managed"), DaemonSet(false)).mounted);
}

// REVIEW-2 S3: a server's certificate only when tlshd presents another one, or DRBD loses its
// client.
TEST(MountFor, TheSatelliteKeepsBothUsagesWhileTlshdPresentsItsCertificate) {
  EXPECT_FALSE(MountFor(&kManaged, Secret("InternalTLS"), DaemonSet(true)).separate);
  EXPECT_TRUE(MountFor(&kManaged, Secret("Managed"), DaemonSet(true)).separate);
  EXPECT_FALSE(MountFor(&kShared, Secret("Managed"), DaemonSet(true)).separate);
}

}  // namespace
}  // namespace breakwater::controllers
