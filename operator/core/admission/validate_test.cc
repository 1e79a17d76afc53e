#include "operator/core/admission/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/core/render/yaml.h"

namespace breakwater::core {
namespace {

using api::Json;
using testing::HasSubstr;

Json Spec(std::string_view text) {
  return {{"spec", ParseYaml(text).value().at(0)}};
}

api::LinstorSatelliteConfigurationSpec Configuration(std::string_view text) {
  return api::DecodeLinstorSatelliteConfiguration(Spec(text)).value;
}

struct Case {
  const char* spec;
  const char* error;  ///< part of the only error; "" when the object is fine
};

class ConfigurationRules : public testing::TestWithParam<Case> {};

// Each line is an object that would otherwise fail later, on a node, where nobody looks.
TEST_P(ConfigurationRules, AreChecked) {
  const api::FieldErrors errors = ValidateSatelliteConfiguration(Configuration(GetParam().spec));
  if (GetParam().error[0] == '\0') {
    EXPECT_TRUE(errors.empty()) << api::JoinErrors(errors);
    return;
  }
  ASSERT_EQ(errors.size(), 1U) << api::JoinErrors(errors);
  EXPECT_THAT(errors[0].ToString(), HasSubstr(GetParam().error));
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    ConfigurationRules,
    testing::Values(
        Case{"{}", ""},
        Case{"{nodeSelector: {'bad key': v}}", "not a valid label key"},
        Case{"{nodeSelector: {k: 'bad value'}}", "not a valid label value"},
        Case{"{nodeAffinity: {nodeSelectorTerms: []}}", "at least one term"},
        Case{"{nodeAffinity: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: In}]}]}}",
             "In needs values"},
        Case{"{nodeAffinity: {nodeSelectorTerms: [{matchExpressions: [{key: 'a b', operator: "
             "Exists}]}]}}",
             "not a valid label key"},
        Case{"{nodeAffinity: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists, "
             "values: [b]}]}]}}",
             "takes no values"},
        Case{"{nodeAffinity: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Gt, "
             "values: [x]}]}]}}",
             "one whole number"},
        Case{"{patches: [{patch: 'nonsense'}]}", "spec.patches[0].patch"},
        Case{"{patches: [{patch: '[{op: remove, path: /a}]', target: {name: '('}}]}",
             "not a regular expression"},
        Case{"{podTemplate: {spec: {containers: [{image: x}]}}}", "must have a name"},
        Case{"{podTemplate: {Spec: {}}}", "only metadata and spec"},
        Case{"{properties: [{name: a}]}", "exactly one of"},
        Case{"{properties: [{name: a, value: b, valueFrom: {nodeFieldRef: metadata.name}}]}",
             "exactly one of"},
        Case{"{properties: [{name: a, valueFrom: {nodeFieldRef: metadata.labels}}]}",
             "use expandFrom"},
        Case{"{properties: [{name: a, expandFrom: {nodeFieldRef: metadata.name}}]}",
             "use valueFrom"},
        Case{"{properties: [{name: a, expandFrom: {nodeFieldRef: metadata.labels, nameTemplate: "
             "$1, delimiter: ','}}]}",
             "no use for a delimiter"},
        Case{"{storagePools: [{name: thin-1, lvmThinPool: {volumeGroup: vg, thinPool: t}, source: "
             "{hostDevices: "
             "[/dev/sdb]}}]}",
             ""},
        Case{"{storagePools: [{name: -x-, lvmPool: {}}]}", "storagePools[0].name"},
        Case{"{storagePools: [{name: pool}]}", "exactly one type"},
        Case{"{storagePools: [{name: pool, lvmPool: {}, zfsPool: {}}]}", "exactly one type"},
        Case{"{storagePools: [{name: pool, lvmPool: {volumeGroup: 'a b'}}]}",
             "lvmPool.volumeGroup"},
        Case{"{storagePools: [{name: pool, filePool: {directory: relative}}]}",
             "filePool.directory"},
        Case{"{storagePools: [{name: pool, filePool: {}, source: {hostDevices: [/dev/sdb]}}]}",
             "not possible"},
        Case{"{storagePools: [{name: pool, lvmPool: {}, source: {hostDevices: [/dev/../etc]}}]}",
             "below /dev"},
        Case{"{storagePools: [{name: pool, lvmPool: {}, source: {}}]}", "at least one device"},
        Case{"{storagePools: [{name: aaa, lvmPool: {}, source: {hostDevices: [/dev/sdb]}}, {name: "
             "bbb, zfsPool: {}, "
             "source: {hostDevices: [/dev/sdb]}}]}",
             "used twice"}));

// A reader who sees the same mistake twice looks for a second one.
TEST(AllErrorsTest, WhatCouldNotBeReadIsNotJudged) {
  const auto decoded = api::DecodeLinstorSatelliteConfiguration(
      Spec("{storagePools: [{name: pool}], patches: [{patch: nonsense}]}"));
  const api::FieldErrors errors =
      AllErrors(decoded.errors, ValidateSatelliteConfiguration(decoded.value));
  ASSERT_EQ(errors.size(), 2U) << api::JoinErrors(errors);
  EXPECT_EQ(errors[0].path, "spec.storagePools[0]");
  EXPECT_EQ(errors[1].path, "spec.patches[0].patch");
}

// What does not fit into the list may be a nodeSelector: it must count as wrong, or satellites are
// deleted that no longer match a default.
TEST(AllErrorsTest, TheListIsCutAndThenEveryFieldCounts) {
  const api::FieldErrors invalid(300, {"spec.a", "wrong"});
  for (const api::FieldErrors& unreadable : {api::FieldErrors(), {{"spec.b", "wrong"}}}) {
    const api::FieldErrors errors = AllErrors(unreadable, invalid);
    ASSERT_EQ(errors.size(), 101U);
    EXPECT_EQ(errors.back().path, "spec");
    EXPECT_TRUE(api::AnyErrorAt(errors, {"spec.nodeSelector"}));
  }
}

// A cluster that cannot work must say so when it is made, not when a pod fails.
TEST(ValidateCluster, Rules) {
  const auto check = [](const char* text) {
    return ValidateCluster(api::DecodeLinstorCluster(Spec(text)).value).empty();
  };
  EXPECT_TRUE(check("{}"));
  EXPECT_TRUE(check("{externalController: {url: 'http://a:3370,https://10.0.0.1,linstor://b'}}"));
  EXPECT_FALSE(check("{externalController: {url: 'http://a b'}}"));
  EXPECT_FALSE(check("{externalController: {url: 'a,,b'}}"));
  EXPECT_FALSE(check("{csiNode: {podTemplate: {spec: {volumes: {}}}}}"));
  // "true" would otherwise be taken for "not set", that is, for the wish to decrypt everything.
  EXPECT_TRUE(check("{properties: [{name: DrbdOptions/Net/tls, value: 'Yes'}]}"));
  for (const char* wrong : {"true", "enabled", "yes ", ""}) {
    const std::string text =
        std::string("{properties: [{name: DrbdOptions/Net/tls, value: '") + wrong + "'}]}";
    EXPECT_FALSE(check(text.c_str())) << wrong;
  }
}

// What can never be dialled looked fine when it was written, and LINSTOR was just never reached.
TEST(ValidateCluster, Ipv6LiteralsAreRefusedWithTheReason) {
  for (const char* urls : {"https://[fd00::1]:3371", "http://a:3370,linstor://[::1]"}) {
    const Json object = Spec(std::string("{externalController: {url: '") + urls + "'}}");
    const auto errors = ValidateCluster(api::DecodeLinstorCluster(object).value);
    ASSERT_EQ(errors.size(), 1U) << urls;
    EXPECT_NE(errors[0].message.find("IPv6 literals are not supported, use a name"),
              std::string::npos)
        << errors[0].message;
  }
}

TEST(ValidateNodeConnection, ValuesOnlyWhereTheyAreUsed) {
  const auto check = [](const char* match) {
    const std::string text = std::string("{selector: [{matchLabels: [") + match + "]}]}";
    return ValidateNodeConnection(api::DecodeLinstorNodeConnection(Spec(text)).value).empty();
  };
  EXPECT_TRUE(check("{key: a, op: In, values: [b]}"));
  EXPECT_TRUE(check("{key: a}"));
  EXPECT_FALSE(check("{key: a, op: Same, values: [b]}"));
}

}  // namespace
}  // namespace breakwater::core
