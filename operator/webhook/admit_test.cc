// Admission rules. What would break for a user: a mistake is found on a node instead of at
// `kubectl apply`; or the other way round, an object can no longer be changed or deleted.

#include "operator/webhook/admit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace breakwater::webhook {
namespace {

using api::Json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const Json kBadPatch = {{"patches", {{{"patch", "nonsense"}}}}};

Json Cluster(Json spec) {
  return {{"metadata", {{"name", "linstorcluster"}}}, {"spec", std::move(spec)}};
}

AdmissionRequest Create(const std::string& kind, Json object) {
  return {.uid = "1",
          .group = "piraeus.io",
          .kind = kind,
          .name = "x",
          .operation = "CREATE",
          .object = std::move(object)};
}

AdmissionRequest Update(const std::string& kind, Json before, Json after) {
  AdmissionRequest request = Create(kind, std::move(after));
  request.operation = "UPDATE";
  request.old_object = std::move(before);
  return request;
}

Json Tls(const char* value) {
  return {{"properties", {{{"name", "DrbdOptions/Net/tls"}, {"value", value}}}}};
}

struct Case {
  const char* kind;
  Json spec;
  const char* path;  ///< of the only error; "" when the object is fine
};

class EveryKind : public ::testing::TestWithParam<Case> {};

// Each kind must reach its own rules, and what cannot be read at all is an error, too.
TEST_P(EveryKind, IsChecked) {
  const Verdict verdict = Admit(Create(GetParam().kind, {{"spec", GetParam().spec}}));
  if (GetParam().path[0] == '\0') {
    EXPECT_THAT(verdict.errors, IsEmpty()) << api::JoinErrors(verdict.errors);
    return;
  }
  ASSERT_EQ(verdict.errors.size(), 1U) << api::JoinErrors(verdict.errors);
  EXPECT_EQ(verdict.errors[0].path, GetParam().path);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds,
    EveryKind,
    ::testing::Values(Case{"LinstorCluster", Json::object(), ""},
                      Case{"LinstorCluster", kBadPatch, "spec.patches[0].patch"},
                      Case{"LinstorCluster", {{"properties", 7}}, "spec.properties"},
                      Case{"LinstorSatelliteConfiguration", kBadPatch, "spec.patches[0].patch"},
                      Case{"LinstorSatelliteConfiguration",
                           {{"storagePools", {{{"name", "pool"}}}}},
                           "spec.storagePools[0]"},
                      Case{"LinstorSatellite", {{"clusterRef", {{"name", "c"}}}}, ""},
                      Case{"LinstorSatellite", Json::object(), "spec.clusterRef"},
                      Case{"LinstorNodeConnection",
                           {{"selector",
                             {{{"matchLabels", {{{"key", "bad key"}, {"op", "Exists"}}}}}}}},
                           "spec.selector[0].matchLabels[0].key"}));

// A wrong object that cannot lose its finalizer could never be deleted.
TEST(AdmitTest, LetsGoWhatIsBeingDeleted) {
  Json deleting = Cluster(kBadPatch);
  deleting["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  EXPECT_THAT(Admit(Update("LinstorCluster", Cluster(Json::object()), deleting)).errors, IsEmpty());
  AdmissionRequest removal = Update("LinstorCluster", Cluster(kBadPatch), nullptr);
  removal.operation = "DELETE";
  EXPECT_THAT(Admit(removal).errors, IsEmpty());
}

// An object from before the webhook can still get a label, or be mended step by step; a further
// mistake is refused all the same.
TEST(AdmitTest, WhatWasWrongBeforeIsAWarning) {
  Json labelled = Cluster(kBadPatch);
  labelled["metadata"]["labels"] = {{"a", "b"}};
  const Verdict label = Admit(Update("LinstorCluster", Cluster(kBadPatch), labelled));
  EXPECT_THAT(label.errors, IsEmpty());
  EXPECT_THAT(label.warnings, ElementsAre(HasSubstr("spec.patches[0].patch")));

  Json worse = kBadPatch;
  worse["externalController"] = {{"url", "http://a b"}};
  const Verdict further = Admit(Update("LinstorCluster", Cluster(kBadPatch), Cluster(worse)));
  ASSERT_EQ(further.errors.size(), 1U);
  EXPECT_EQ(further.errors[0].path, "spec.externalController.url");
}

// Two versions with countless mistakes must not be compared one by one; and who mends one of them
// must not be refused because another is shown in its place.
TEST(AdmitTest, CountlessMistakesAreCutAndStillWarnings) {
  Json spec = {{"patches", Json::array_t(20'000, 0)}};
  const Json before = Cluster(spec);
  const Verdict created = Admit(Create("LinstorCluster", before));
  ASSERT_EQ(created.errors.size(), 101U);
  EXPECT_EQ(created.errors.back().path, "spec");
  EXPECT_THAT(created.errors.back().message, HasSubstr("more mistakes"));

  spec["patches"][0] = {{"patch", "[]"}};
  const Verdict mended = Admit(Update("LinstorCluster", before, Cluster(spec)));
  EXPECT_THAT(mended.errors, IsEmpty());
  EXPECT_EQ(mended.warnings.size(), 101U);
}

// Objects of others pass, even when a configuration sends them here by mistake.
TEST(AdmitTest, HasNoOpinionAboutOthers) {
  EXPECT_THAT(Admit(Create("Deployment", {{"spec", kBadPatch}})).errors, IsEmpty());
  AdmissionRequest foreign = Create("LinstorCluster", Cluster(kBadPatch));
  foreign.group = "example.com";
  EXPECT_THAT(Admit(foreign).errors, IsEmpty());
}

struct TlsCase {
  Json before;
  Json after;
  const char* warning;  ///< part of it; "" for none
};

class Decryption : public ::testing::TestWithParam<TlsCase> {};

// One changed line of YAML takes the encryption off every volume, and a removed one does not,
// although it looks like it: whoever does it must read so.
TEST_P(Decryption, IsWarnedAbout) {
  const Verdict verdict =
      Admit(Update("LinstorCluster", Cluster(GetParam().before), Cluster(GetParam().after)));
  EXPECT_THAT(verdict.errors, IsEmpty());
  if (GetParam().warning[0] == '\0') {
    EXPECT_THAT(verdict.warnings, IsEmpty());
  } else {
    EXPECT_THAT(verdict.warnings, ElementsAre(HasSubstr(GetParam().warning)));
  }
}

INSTANTIATE_TEST_SUITE_P(Changes,
                         Decryption,
                         ::testing::Values(TlsCase{Tls("yes"), Json::object(), "does not take"},
                                           TlsCase{Tls("Yes"), Tls("no"), "back to replication"},
                                           TlsCase{Tls("yes"), Tls("YES"), ""},
                                           TlsCase{Json::object(), Tls("no"), ""},
                                           TlsCase{Json::object(), Tls("yes"), ""}));

// Documents for old versions work, but the person who wrote them should know what became of them.
TEST(AdmitTest, WarnsAboutPatchesOfBarePods) {
  const Json spec = {{"clusterRef", {{"name", "c"}}},
                     {"patches",
                      {{{"target", {{"kind", "Pod"}, {"name", "satellite"}}},
                        {"patch", "- {op: add, path: /spec/hostNetwork, value: true}"}}}}};
  for (const char* kind : {"LinstorSatelliteConfiguration", "LinstorSatellite"}) {
    const Verdict verdict = Admit(Create(kind, {{"spec", spec}}));
    EXPECT_THAT(verdict.errors, IsEmpty()) << kind;
    EXPECT_THAT(verdict.warnings, ElementsAre(HasSubstr("spec.patches[0]"))) << kind;
  }
}

// Whoever takes the handshake daemon away should know what happens, and how to have it his way.
TEST(AdmitTest, WarnsWhenTheHandshakeDaemonGoes) {
  const char* const kind = "LinstorSatelliteConfiguration";
  const auto config = [](Json spec) { return Json{{"spec", std::move(spec)}}; };
  const Json with = config({{"internalTLS", {{"tlsHandshakeDaemon", true}}}});
  const auto warnings = [](const AdmissionRequest& request) {
    const Verdict verdict = Admit(request);
    EXPECT_THAT(verdict.errors, IsEmpty()) << api::JoinErrors(verdict.errors);
    for (const std::string& warning : verdict.warnings) {
      EXPECT_LE(warning.size(), 256U) << "what is longer is cut, and the way out stands at the end";
    }
    return verdict.warnings;
  };
  const auto the_one = ElementsAre(HasSubstr("allowHandshakeDaemonRemoval"));
  EXPECT_THAT(warnings(Update(kind, with, config({{"internalTLS", Json::object()}}))), the_one);
  EXPECT_THAT(warnings(Update(kind, with, config(Json::object()))), the_one);
  EXPECT_THAT(warnings(Create(kind, config({{"internalTLS", {{"tlsHandshakeDaemon", false}}}}))),
              the_one);
  Json elsewhere = with;
  elsewhere["spec"]["nodeSelector"] = {{"a", "b"}};
  EXPECT_THAT(warnings(Update(kind, with, elsewhere)), the_one);
  const Json patch =
      config({{"podTemplate",
               {{"spec", {{"containers", {{{"name", "ktls-utils"}, {"$patch", "delete"}}}}}}}}});
  EXPECT_THAT(warnings(Create(kind, patch)), the_one);
  AdmissionRequest deleted = Update(kind, with, nullptr);
  deleted.operation = "DELETE";
  EXPECT_THAT(warnings(deleted), the_one);

  EXPECT_THAT(warnings(Update(kind, with, with)), IsEmpty());
  EXPECT_THAT(warnings(Create(kind, config({{"internalTLS", Json::object()}}))), IsEmpty());
  const Json resources = config(
      {{"podTemplate",
        {{"spec", {{"containers", {{{"name", "ktls-utils"}, {"resources", Json::object()}}}}}}}}});
  EXPECT_THAT(warnings(Create(kind, resources)), IsEmpty());
}

}  // namespace
}  // namespace breakwater::webhook
