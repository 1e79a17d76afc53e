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
  const ValidationResult result =
      ValidateSatelliteConfiguration(Configuration(GetParam().spec), nullptr);
  if (GetParam().error[0] == '\0') {
    EXPECT_TRUE(result.ok()) << api::JoinErrors(result.errors);
    return;
  }
  ASSERT_EQ(result.errors.size(), 1U) << api::JoinErrors(result.errors);
  EXPECT_THAT(result.errors[0].ToString(), HasSubstr(GetParam().error));
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

// LINSTOR keeps the old pool: accepting the change would show a lie.
TEST(ValidateSatelliteConfiguration, PoolsCannotChange) {
  const auto old = Configuration("{storagePools: [{name: pool, lvmPool: {volumeGroup: vg}}]}");
  for (const char* changed : {"{storagePools: [{name: pool, lvmThinPool: {}}]}",
                              "{storagePools: [{name: pool, lvmPool: {volumeGroup: other}}]}",
                              "{storagePools: [{name: pool, lvmPool: {volumeGroup: vg}, source: "
                              "{hostDevices: [/dev/sdb]}}]}"}) {
    EXPECT_FALSE(ValidateSatelliteConfiguration(Configuration(changed), &old).ok()) << changed;
  }
  EXPECT_TRUE(ValidateSatelliteConfiguration(Configuration("{storagePools: []}"), &old).ok());
}

TEST(ValidateSatelliteConfiguration, WarnsAboutBarePodPatches) {
  const auto result = ValidateSatelliteConfiguration(
      Configuration(
          "{patches: [{target: {kind: Pod, name: satellite}, patch: '[{op: remove, path: /a}]'}]}"),
      nullptr);
  EXPECT_TRUE(result.ok());
  EXPECT_EQ(result.warnings.size(), 1U);
}

TEST(ValidateCluster, Rules) {
  const auto check = [](const char* text) {
    return ValidateCluster(api::DecodeLinstorCluster(Spec(text)).value, nullptr);
  };
  EXPECT_TRUE(check("{}").ok());
  EXPECT_TRUE(
      check("{externalController: {url: 'http://a:3370,https://[fd00::1]:3371,linstor://b'}}")
          .ok());
  EXPECT_FALSE(check("{externalController: {url: 'http://a b'}}").ok());
  EXPECT_FALSE(check("{externalController: {url: 'a,,b'}}").ok());
  EXPECT_FALSE(check("{csiNode: {podTemplate: {spec: {volumes: {}}}}}").ok());
  EXPECT_FALSE(check("{replicationTLS: {certificates: {mode: CertManager}}}").ok());
}

TEST(ValidateNodeConnection, ValuesOnlyWhereTheyAreUsed) {
  const auto check = [](const char* match) {
    const std::string text = std::string("{selector: [{matchLabels: [") + match + "]}]}";
    return ValidateNodeConnection(api::DecodeLinstorNodeConnection(Spec(text)).value).ok();
  };
  EXPECT_TRUE(check("{key: a, op: In, values: [b]}"));
  EXPECT_TRUE(check("{key: a}"));
  EXPECT_FALSE(check("{key: a, op: Same, values: [b]}"));
}

}  // namespace
}  // namespace breakwater::core
