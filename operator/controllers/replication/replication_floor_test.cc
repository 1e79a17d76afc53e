// Nobody decrypts by a request to LINSTOR alone (REVIEW-2 S1, M8): the whole stack, with the real
// agents' Runner on simulated DRBD.

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/resources.h"
#include "operator/controllers/replication/testing/volume_bed.h"

namespace breakwater::controllers {
namespace {

using api::Json;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr const char* kTls = "DrbdOptions/Net/tls";

void Encrypt(VolumeBed& bed, const Json& more = {}) {
  bed.SetClusterTls("yes", more);
  ASSERT_TRUE(bed.RunUntilPhase("Complete")) << bed.Dump();
  bed.RunFor(seconds(60));
  ASSERT_EQ(bed.Report("r0").encrypted, 3);
}

std::string Condition(VolumeBed& bed) {
  const Json condition = bed.ConditionOf("ReplicationEncrypted");
  return condition.value("status", "") + "/" + condition.value("reason", "") + ": " +
         condition.value("message", "");
}

// REVIEW-2 S1: an anonymous request on the definition; 17 s later every pair was in plaintext.
TEST(ReplicationFloorTest, AValueOnTheDefinitionDecryptsNothing) {
  VolumeBed bed({.resources = {"r0", "r1"}});
  Encrypt(bed);
  bed.linstor().With([](auto& state) {
    state.definitions["r0"].props[kTls] = "no";
    return 0;
  });
  bed.RunFor(minutes(5));
  EXPECT_EQ(bed.Report("r0").encrypted, 3) << bed.Dump();
  EXPECT_THAT(bed.events(), Contains("DowngradeRefused"));
  bed.linstor().With([](auto& state) {
    EXPECT_FALSE(state.definitions["r0"].props.contains(kTls)) << "pinned back, then taken away";
    return 0;
  });
  EXPECT_THAT(Condition(bed), HasSubstr("True/Encrypted"));
  EXPECT_EQ(bed.hub().asks.size(), 12U) << "no more than the first way to TLS";
}

// REVIEW-2 S1: with our own marker beside it, and a connection that goes down before we have
// looked.
TEST(ReplicationFloorTest, AForgedMarkerDecryptsNothing) {
  VolumeBed bed;
  Encrypt(bed);
  std::vector<bool> asked;
  bed.hub().on_ask = [&](const replication::TransactionRequest& request) {
    if (request.kind == replication::TransactionKind::kLead) {
      asked.push_back(request.tls);
    }
  };
  bed.linstor().With([](auto& state) {
    state.definitions["r0"].props[kTls] = "no";
    state.definitions["r0"].props["Aux/breakwater.io/tls-pin"] = "no no";
    return 0;
  });
  ASSERT_EQ(bed.Shell("node2", {"drbdsetup", "disconnect", "r0", "0"}), 0);
  ASSERT_EQ(bed.Shell("node2", {"drbdsetup", "net-options", "r0", "0", "--tls=no"}), 0);
  ASSERT_EQ(bed.Shell("node2", {"drbdsetup", "connect", "r0", "0"}), 0);
  bed.RunFor(minutes(5));
  EXPECT_EQ(bed.Report("r0").encrypted, 3) << bed.Dump();
  EXPECT_THAT(asked, AllOf(Not(IsEmpty()), Each(true)));
}

// spec.replicationTLS.ciphers: the simulated kernels have another one (REVIEW-2 M3).
TEST(ReplicationFloorTest, TlsBelowTheMinimumIsNotEncryption) {
  VolumeBed bed;
  Encrypt(bed);
  bed.SetClusterTls("yes", {{"ciphers", Json::array({"chacha20-poly1305"})}});
  bed.RunFor(minutes(1));
  EXPECT_THAT(Condition(bed),
              AllOf(HasSubstr("False/BelowMinimum"), HasSubstr("0 of 3 connections are encrypted"),
                    HasSubstr("node node1 has a socket to node2 below the minimum: TLS 1.3 with "
                              "aes-gcm-256, wanted is TLS 1.3 with chacha20-poly1305")));
  EXPECT_EQ(bed.Status()["connections"].value("belowMinimum", 0), 3);
  bed.SetClusterTls("yes", {{"ciphers", Json::array({"chacha20-poly1305", "aes-gcm-256"})}});
  bed.RunFor(minutes(1));
  EXPECT_THAT(Condition(bed), HasSubstr("True/Encrypted"));
}

TEST(ReplicationFloorTest, AValueOnTheGroupOrTheControllerDecryptsNothing) {
  VolumeBed bed;
  Encrypt(bed);
  bed.linstor().With([](auto& state) {
    for (auto& group : state.groups) {
      group.props[kTls] = "no";
    }
    return 0;
  });
  bed.RunFor(minutes(5));
  bed.linstor().With([](auto& state) {
    state.controller_props[kTls] = "no";
    return 0;
  });
  bed.RunFor(minutes(5));
  EXPECT_EQ(bed.Report("r0").encrypted, 3) << bed.Dump();
  EXPECT_THAT(bed.events(), Contains("DowngradeRefused"));
  bed.linstor().With([](auto& state) {
    EXPECT_EQ(state.controller_props[kTls], "yes");
    return 0;
  });
}

// The admin's word on the LinstorCluster is worth what it was, with an exemption or as a whole.
TEST(ReplicationFloorTest, TheAdminsOwnNoWorks) {
  VolumeBed bed({.resources = {"r0", "r1"}});
  Encrypt(bed);
  bed.SetClusterTls(
      "yes", {{"exemptions", Json::array({{{"resource", "r1"}, {"reason", "scratch data"}}})}});
  EXPECT_TRUE(bed.RunUntil([&] { return bed.Summary("r1").encrypted == 0; }, minutes(5)))
      << bed.Dump();
  bed.RunFor(minutes(2));
  EXPECT_EQ(bed.Report("r0").encrypted, 3);
  EXPECT_EQ(bed.Status()["exempt"].size(), 1U);
  EXPECT_EQ(bed.Status()["exempt"][0].value("resource", ""), "r1");
  EXPECT_THAT(bed.Status()["exempt"][0].value("reason", ""), HasSubstr("scratch data"));
  EXPECT_NE(bed.Status()["exempt"][0].value("since", ""), "");
  EXPECT_THAT(Condition(bed), AllOf(HasSubstr("True/EncryptedExceptExempt"), HasSubstr("r1")));
  bed.SetClusterTls("yes",
                    {{"enforce", true}, {"exemptions", Json::array({{{"resource", "r1"}}})}});
  bed.RunFor(seconds(30));
  EXPECT_THAT(Condition(bed), HasSubstr("False/PlaintextForbidden"));
  bed.SetClusterTls("yes");
  EXPECT_TRUE(bed.RunUntilPhase("Complete")) << bed.Dump();
  bed.SetClusterTls("no");
  ASSERT_TRUE(bed.RunUntilPhase("Idle")) << bed.Dump();
  EXPECT_EQ(bed.Report("r0").encrypted, 0);
}

// REVIEW-2, Low: one node that is not fit for TLS keeps all new volumes in plaintext.
TEST(ReplicationFloorTest, AnUnfitNodeThatHoldsBackNewVolumesIsNamed) {
  VolumeBed bed;
  bed.RemoveCertificates("node3");
  bed.SetClusterTls("yes");
  bed.RunFor(minutes(3));
  EXPECT_THAT(bed.events(), Contains("NewVolumesPlaintext")) << bed.Dump();
  EXPECT_THAT(Condition(bed), AllOf(HasSubstr("False/"),
                                    HasSubstr("new volumes are not encrypted yet: node node3")));
  bed.GiveCertificates("node3");
  ASSERT_TRUE(bed.RunUntilPhase("Complete")) << bed.Dump();
  EXPECT_EQ(std::count(bed.events().begin(), bed.events().end(), "NewVolumesPlaintext"), 1);
}

// For those who want LINSTOR's own order back.
TEST(ReplicationFloorTest, WithoutAMinimumLinstorDecides) {
  VolumeBed bed;
  Encrypt(bed, {{"minimum", "None"}});
  bed.linstor().With([](auto& state) {
    state.definitions["r0"].props[kTls] = "no";
    return 0;
  });
  EXPECT_TRUE(bed.RunUntil([&] { return bed.Summary("r0").encrypted == 0; }, minutes(5)))
      << bed.Dump();
  EXPECT_THAT(bed.events(), Not(Contains("DowngradeRefused")));
  bed.RunFor(minutes(1));
  EXPECT_THAT(Condition(bed), HasSubstr("False/Partial"));
}

// A StorageClass that says no is an admin's word too; which volumes are of that class, Kubernetes
// knows, and not LINSTOR.
TEST(ReplicationFloorTest, AStorageClassMaySayNo) {
  VolumeBed bed({.resources = {"r0", "r1"}});
  bed.kube().Put(api::kStorageClass,
                 {{"metadata", {{"name", "plain"}}},
                  {"provisioner", "linstor.csi.linbit.com"},
                  {"parameters", {{"property.linstor.csi.linbit.com/DrbdOptions/Net/tls", "no"}}}});
  bed.kube().Put(api::kPersistentVolume,
                 {{"metadata", {{"name", "r1"}}},
                  {"spec",
                   {{"storageClassName", "plain"},
                    {"claimRef", {{"namespace", "db"}, {"name", "data"}}},
                    {"csi", {{"driver", "linstor.csi.linbit.com"}, {"volumeHandle", "r1"}}}}}});
  bed.linstor().With([](auto& state) {
    state.definitions["r1"].props[kTls] = "no";
    return 0;
  });
  bed.SetClusterTls("yes");
  ASSERT_TRUE(bed.RunUntilPhase("Complete")) << bed.Dump();
  bed.RunFor(minutes(1));
  EXPECT_EQ(bed.Report("r0").encrypted, 3);
  EXPECT_EQ(bed.Report("r1").encrypted, 0);
  EXPECT_THAT(bed.events(), Not(Contains("DowngradeRefused")));
  EXPECT_THAT(bed.Status()["exempt"].dump(), HasSubstr("StorageClass plain says no"));
  EXPECT_EQ(bed.Status()["exempt"][0].value("claim", ""), "db/data") << "K6: people know claims";
}

// Facts CSI K11, in the driver's older spelling: the class is made again with the parameter, and
// the volumes of its group are pinned before the driver writes the group's value.
TEST(ReplicationFloorTest, TheGroupOfAClassThatGainsTheParameterIsPinnedFirst) {
  VolumeBed bed({.resources = {"r0", "r1"}});
  bed.linstor().With([](auto& state) {
    linstor::ResourceGroup group;
    group.name = "shared";
    state.groups.push_back(group);
    state.definitions["r1"].resource_group = "shared";
    return 0;
  });
  bed.RunFor(minutes(2));
  const auto pin = [&](const std::string& name) {
    return bed.linstor().With([&](auto& state) {
      const auto& props = state.definitions[name].props;
      return props.contains(kTls) ? props.at(kTls) : "";
    });
  };
  ASSERT_EQ(pin("r1"), "");
  bed.kube().Put(
      api::kStorageClass,
      {{"metadata", {{"name", "shared"}}},
       {"provisioner", "linstor.csi.linbit.com"},
       {"parameters",
        {{"DrbdOptions/Net/tls", "yes"}, {"linstor.csi.linbit.com/ResourceGroup", "shared"}}}});
  EXPECT_TRUE(bed.RunUntil([&] { return pin("r1") == "no"; }, minutes(2))) << bed.Dump();
  bed.RunFor(minutes(5));
  EXPECT_EQ(pin("r1"), "no") << "it stays until the group has the value";
  EXPECT_EQ(pin("r0"), "");
  bed.linstor().With([](auto& state) {
    for (linstor::ResourceGroup& group : state.groups) {
      if (group.name == "shared") {
        group.props[kTls] = "yes";
      }
    }
    return 0;
  });
  EXPECT_TRUE(bed.RunUntil([&] { return bed.Summary("r1").encrypted == 3; }, minutes(5)))
      << bed.Dump();
  EXPECT_EQ(bed.Summary("r0").encrypted, 0);
}

}  // namespace
}  // namespace breakwater::controllers
