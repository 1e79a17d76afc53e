// What people are told must be what the sockets show: a condition that says Encrypted over a
// plaintext connection is worse than none (REVIEW-2 S2).

#include "operator/controllers/replication/report/picture.h"

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/core/replication/volume/evidence.h"
#include "operator/core/replication/volume/test_observations.h"

namespace breakwater::controllers {
namespace {

using replication::Evidence;
using replication::Pair;
using replication::ResourceObservation;
using ::testing::HasSubstr;

/// A cluster of volumes, each connection encrypted, plaintext or unknown, wanted or not, exempt or
/// not, as the seed says.
struct Mix {
  explicit Mix(unsigned seed) : random(seed) {
    settings.tls = Any({std::optional<bool>(true), std::optional<bool>()});
    settings.enforce = Half();
    const int volumes = 1 + static_cast<int>(random() % 4);
    for (int i = 0; i < volumes; ++i) {
      ResourceObservation seen = replication::testing_seen::Healthy({"n1", "n2", "n3"});
      seen.resource = "r" + std::to_string(i);
      if (random() % 4 == 0) {
        floors[seen.resource] = {.tls = false, .cluster = false, .exempt = "exemption of x"};
      }
      for (auto& [pair, connection] : seen.connections) {
        connection.a.sockets = connection.b.sockets =
            Any({replication::SocketProof::kEncrypted, replication::SocketProof::kEncrypted,
                 replication::SocketProof::kEncrypted, replication::SocketProof::kPlaintext,
                 replication::SocketProof::kUnknown});
        if (random() % 24 == 0) {
          connection.b.sockets = replication::SocketProof::kWeak;
        }
        plan.wanted[seen.resource][pair] = !floors.contains(seen.resource) && random() % 4 != 0;
      }
      resources.push_back(std::move(seen));
    }
    plan.pending = static_cast<int>(random() % 2);
  }

  bool Half() { return random() % 2 == 0; }

  template <typename T>
  T Any(std::initializer_list<T> of) {
    return *(of.begin() + random() % of.size());
  }

  int Plaintext(bool exempt_too) const {
    int count = 0;
    for (const ResourceObservation& seen : resources) {
      for (const auto& [pair, connection] : seen.connections) {
        const bool counts = exempt_too || !floors.contains(seen.resource);
        count += counts && EvidenceOf(connection) == Evidence::kPlaintext ? 1 : 0;
      }
    }
    return count;
  }

  Picture Look() {
    return {resources, plan, settings, floors, nodes, migrating, false, {}, ignored, true, ""};
  }

  std::mt19937 random;
  std::vector<ResourceObservation> resources;
  replication::ClusterPlan plan;
  ClusterSettings settings;
  std::map<std::string, replication::VolumeFloor> floors;
  std::map<std::string, std::vector<replication::PreflightFailure>> nodes;
  std::set<std::string> migrating;
  std::vector<std::string> ignored;
};

// REVIEW-2 S2, T2: any mix of connections.
TEST(PictureTest, NeverSaysEncryptedOverPlaintext) {
  int encrypted = 0;
  int partial = 0;
  int weak = 0;
  for (unsigned seed = 1; seed <= 1000; ++seed) {
    Mix mix(seed);
    const api::ReplicationTlsStatus status = BuildStatus(mix.Look());
    const api::Condition condition = BuildCondition(mix.Look(), status);
    const std::string what = std::to_string(seed) + ": " + condition.status + " " +
                             condition.reason + ", " + condition.message + ", " + status.phase;
    EXPECT_EQ(status.connections.plaintext, mix.Plaintext(true)) << what;
    EXPECT_EQ(status.connections.total, 3 * static_cast<int>(mix.resources.size())) << what;
    if (condition.status == "True") {
      ++encrypted;
      EXPECT_EQ(mix.Plaintext(mix.settings.enforce), 0) << what;
      EXPECT_EQ(status.connections.unknown, 0) << what;
      EXPECT_EQ(status.connections.below_minimum, 0) << what;
    }
    const api::ConnectionCounts& counts = status.connections;
    EXPECT_EQ(counts.encrypted + counts.plaintext + counts.below_minimum + counts.unknown,
              counts.total)
        << what;
    weak += condition.reason == "BelowMinimum" ? 1 : 0;
    if (mix.Plaintext(true) > 0 && condition.status == "True") {
      EXPECT_THAT(condition.message, HasSubstr("of exempt volumes are in plaintext (r")) << what;
      EXPECT_EQ(condition.reason, "EncryptedExceptExempt") << what;
    }
    if (status.phase == "Complete") {
      EXPECT_EQ(mix.Plaintext(mix.settings.enforce), 0) << what;
    }
    partial += status.phase == "Partial" ? 1 : 0;
  }
  EXPECT_GT(encrypted, 20);
  EXPECT_GT(partial, 100);
  EXPECT_GT(weak, 20);
}

// REVIEW-2: drbdadm takes "all" for every resource. A volume of that name is left alone, and nobody
// may be told that everything is encrypted.
TEST(PictureTest, AVolumeThatIsNotLookedAtIsNotEncrypted) {
  Mix mix(1);
  mix.resources = {replication::testing_seen::Healthy({"n1", "n2", "n3"}, true)};
  mix.floors.clear();
  mix.settings = {};
  mix.plan = {};
  for (auto& [pair, connection] : mix.resources[0].connections) {
    mix.plan.wanted["r0"][pair] = true;
  }
  EXPECT_EQ(BuildCondition(mix.Look(), BuildStatus(mix.Look())).status, "True");
  mix.ignored = {"all"};
  const api::Condition condition = BuildCondition(mix.Look(), BuildStatus(mix.Look()));
  EXPECT_EQ(condition.status, "Unknown");
  EXPECT_EQ(condition.reason, "NotObserved");
  EXPECT_THAT(condition.message, HasSubstr("volume 'all' is not looked at"));
}

// Whoever asked for new session keys must see why a volume keeps its old ones.
TEST(PictureTest, SaysWhySessionKeysAreOld) {
  Mix mix(1);
  mix.plan.rekey_held["r0"] = "node n1 is not ready";
  EXPECT_THAT(BuildCondition(mix.Look(), BuildStatus(mix.Look())).message,
              HasSubstr("session keys of volume r0 are older than asked for (node n1 is not"));
}

// REVIEW-2 M3: TLS that is too weak is not encryption, and people are told where it is.
TEST(PictureTest, NamesWhatIsBelowTheMinimum) {
  Mix mix(1);
  mix.resources = {replication::testing_seen::Healthy({"n1", "n2", "n3"}, true)};
  mix.floors.clear();
  mix.settings = {};
  mix.plan = {};
  for (auto& [pair, connection] : mix.resources[0].connections) {
    mix.plan.wanted["r0"][pair] = true;
  }
  replication::EndView& end = replication::testing_seen::End(mix.resources[0], "n3", "n2");
  end.sockets = replication::SocketProof::kWeak;
  end.weakness = "TLS 1.2 with aes-gcm-128, wanted is TLS 1.3";
  const api::ReplicationTlsStatus status = BuildStatus(mix.Look());
  const api::Condition condition = BuildCondition(mix.Look(), status);
  EXPECT_EQ(status.connections.encrypted, 2);
  EXPECT_EQ(status.connections.below_minimum, 1);
  EXPECT_EQ(status.phase, "Partial");
  EXPECT_EQ(condition.status, "False");
  EXPECT_EQ(condition.reason, "BelowMinimum");
  EXPECT_EQ(condition.message,
            "2 of 3 connections are encrypted; 1 have TLS that does not count (volume r0: node n3 "
            "has a socket to n2 below the minimum: TLS 1.2 with aes-gcm-128, wanted is TLS 1.3)");
}

// REVIEW-2 S2: six connections, three of them wanted, and the condition spoke of those alone.
TEST(PictureTest, NamesWhatNobodyAsksFor) {
  Mix mix(1);
  mix.resources.resize(1);
  mix.floors.clear();
  mix.settings = {};
  mix.plan = {};
  const Pair first = mix.resources[0].connections.begin()->first;
  for (auto& [pair, connection] : mix.resources[0].connections) {
    const bool tls = pair == first;
    connection.a.sockets = connection.b.sockets =
        tls ? replication::SocketProof::kEncrypted : replication::SocketProof::kPlaintext;
    mix.plan.wanted["r0"][pair] = tls;
  }
  const api::ReplicationTlsStatus status = BuildStatus(mix.Look());
  const api::Condition condition = BuildCondition(mix.Look(), status);
  EXPECT_EQ(condition.status, "False");
  EXPECT_EQ(condition.reason, "Partial");
  EXPECT_EQ(condition.message,
            "1 of 3 connections are encrypted; for 2 in plaintext nobody asks for TLS (volume r0)");
}

}  // namespace
}  // namespace breakwater::controllers
