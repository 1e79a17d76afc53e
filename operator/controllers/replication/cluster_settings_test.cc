// What a LinstorCluster asks for. What would break for a user: a field that cannot be read would
// count as "no TLS wanted", and a whole cluster would be decrypted for a typing error.

#include "operator/controllers/replication/cluster_settings.h"

#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace breakwater::controllers {
namespace {

using ::testing::HasSubstr;

ClusterSettings Read(const char* spec) {
  return ReadSettings(api::Object(api::Json{{"apiVersion", "piraeus.io/v1"},
                                            {"kind", "LinstorCluster"},
                                            {"spec", api::Json::parse(spec)}}));
}

TEST(ClusterSettingsTest, ReadsWhatIsWanted) {
  const ClusterSettings none = Read(R"({})");
  EXPECT_FALSE(none.tls || none.invalid);
  const ClusterSettings yes = Read(
      R"({"properties": [{"name": "a", "value": "b"}, {"name": "DrbdOptions/Net/tls", "value": "yes"}]})");
  EXPECT_TRUE(yes.tls.value_or(false));
  EXPECT_FALSE(yes.invalid);
}

TEST(ClusterSettingsTest, WhatCannotBeReadHoldsEverything) {
  for (const char* spec : {
           R"({"properties": {"DrbdOptions/Net/tls": "yes"}})",
           R"({"properties": ["DrbdOptions/Net/tls=yes"]})",
           R"({"properties": [{"name": "DrbdOptions/Net/tls", "value": true}]})",
           R"({"properties": [{"name": "DrbdOptions/Net/tls", "value": "true"}]})",
           R"({"properties": [{"name": 7, "value": "yes"}]})",
           R"({"replicationTLS": {"migration": {"policy": "paused"}}})",
           R"({"replicationTLS": "yes"})",
           R"([])",
       }) {
    EXPECT_TRUE(Read(spec).invalid) << spec;
  }
  EXPECT_THAT(
      Read(R"({"replicationTLS": {"migration": {"policy": "paused"}}})").invalid.value_or(""),
      HasSubstr("spec.replicationTLS.migration.policy"));
}

TEST(ClusterSettingsTest, TheMinimumOfTls) {
  EXPECT_EQ(Read("{}").minimum, (replication::TlsMinimum{.minor = 3}));
  EXPECT_EQ(Read(R"({"replicationTLS": {"minimumVersion": "TLS1.2", "ciphers": ["aes-gcm-256"]}})")
                .minimum,
            (replication::TlsMinimum{.minor = 2, .ciphers = {"aes-gcm-256"}}));
}

// A bad toleration says nothing about encryption.
TEST(ClusterSettingsTest, OtherFieldsHoldNothing) {
  const ClusterSettings settings = Read(
      R"({"tolerations": "all", "properties": [{"name": "DrbdOptions/Net/tls", "value": "yes"}]})");
  EXPECT_TRUE(settings.tls.value_or(false));
  EXPECT_FALSE(settings.invalid);
}

}  // namespace
}  // namespace breakwater::controllers
