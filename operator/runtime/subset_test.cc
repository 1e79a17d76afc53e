#include "operator/runtime/subset.h"

#include <string>

#include <gtest/gtest.h>

namespace breakwater::runtime {
namespace {

using api::Json;

/// "" when covered, else where it differs.
std::string Diff(const char* desired, const char* live) {
  return FirstDifference(Json::parse(desired), Json::parse(live)).value_or("");
}

// Breaks (all of the "equal" cases): the operator writes the object again at every reconcile.
// Breaks (all of the "differs" cases): a change by hand is never put back.

TEST(SubsetTest, FieldsOfOthersAndDefaultsDoNotCount) {
  EXPECT_EQ(Diff(R"({"spec":{"a":1}})", R"({"spec":{"a":1,"b":2},"status":{}})"), "");
  EXPECT_EQ(Diff(R"({"spec":{"a":1}})", R"({"spec":{"a":2}})"), "/spec/a");
  EXPECT_EQ(Diff(R"({"spec":{"a":1}})", R"({})"), "/spec");
}

TEST(SubsetTest, ApiVersionAndKindAreNotCompared) {
  EXPECT_EQ(Diff(R"({"apiVersion":"v1","kind":"Pod"})", R"({})"), "");
  EXPECT_EQ(Diff(R"({"ref":{"kind":"Pod"}})", R"({"ref":{}})"), "/ref/kind") << "only at the top";
}

TEST(SubsetTest, EmptyAndAbsentAreTheSame) {
  EXPECT_EQ(Diff(R"({"a":"","b":[],"c":{},"d":null,"e":false,"f":0,"g":{"h":""}})", R"({})"), "");
  EXPECT_EQ(Diff(R"({"a":""})", R"({"a":"x"})"), "/a");
  EXPECT_EQ(Diff(R"({"a":false})", R"({"a":true})"), "/a");
  EXPECT_EQ(Diff(R"({"a":true})", R"({})"), "/a");
}

TEST(SubsetTest, QuantitiesAreComparedAsAmounts) {
  EXPECT_EQ(Diff(R"({"resources":{"limits":{"cpu":"1000m","memory":"1024Mi"}}})",
                 R"({"resources":{"limits":{"cpu":"1","memory":"1Gi"}}})"),
            "");
  EXPECT_EQ(
      Diff(R"({"resources":{"requests":{"cpu":1}}})", R"({"resources":{"requests":{"cpu":"1"}}})"),
      "");
  EXPECT_EQ(Diff(R"({"resources":{"limits":{"cpu":"1000m"}}})",
                 R"({"resources":{"limits":{"cpu":"2"}}})"),
            "/resources/limits/cpu");
  EXPECT_EQ(Diff(R"({"data":{"cpu":"1000m"}})", R"({"data":{"cpu":"1"}})"), "/data/cpu")
      << "text elsewhere is text";
}

TEST(SubsetTest, SameQuantityKnowsAllSuffixes) {
  EXPECT_TRUE(SameQuantity("1500m", "1.5"));
  EXPECT_TRUE(SameQuantity("1e3", "1k"));
  EXPECT_TRUE(SameQuantity("2Ti", "2048Gi"));
  EXPECT_TRUE(SameQuantity("0", "0Mi"));
  EXPECT_FALSE(SameQuantity("1G", "1Gi"));
  EXPECT_FALSE(SameQuantity("x", "x1"));
  EXPECT_FALSE(SameQuantity("1X", "1X"));
  EXPECT_FALSE(SameQuantity(Json::array(), 1));
}

TEST(SubsetTest, IntOrStringFieldsMayBeSpeltEitherWay) {
  EXPECT_EQ(Diff(R"({"targetPort":"80"})", R"({"targetPort":80})"), "");
  EXPECT_EQ(Diff(R"({"targetPort":"http"})", R"({"targetPort":80})"), "/targetPort");
  EXPECT_EQ(Diff(R"({"other":"80"})", R"({"other":80})"), "/other");
}

TEST(SubsetTest, KeyedListsAreComparedByKey) {
  const char* live =
      R"({"containers":[{"name":"injected"},{"name":"b","image":"i"},{"name":"a"}]})";
  EXPECT_EQ(Diff(R"({"containers":[{"name":"a"},{"name":"b","image":"i"}]})", live), "");
  EXPECT_EQ(Diff(R"({"containers":[{"name":"c"}]})", live), "/containers/0");
  EXPECT_EQ(Diff(R"({"containers":[{"name":"b","image":"j"}]})", live), "/containers/0/image");
}

TEST(SubsetTest, PortsAreKeyedByPortAndProtocol) {
  const char* live = R"({"ports":[{"containerPort":80,"protocol":"TCP","name":"x"},
                                  {"containerPort":53,"protocol":"UDP"}]})";
  EXPECT_EQ(Diff(R"({"ports":[{"containerPort":53,"protocol":"UDP"},{"containerPort":80}]})", live),
            "");
  EXPECT_EQ(Diff(R"({"ports":[{"containerPort":53}]})", live), "/ports/0");
  EXPECT_EQ(Diff(R"({"ports":[{"port":1,"targetPort":2}]})",
                 R"({"ports":[{"port":1,"targetPort":3,"protocol":"TCP","nodePort":30000}]})"),
            "/ports/0/targetPort");
}

TEST(SubsetTest, MountsAreKeyedByPathNotByName) {
  const char* live =
      R"({"volumeMounts":[{"mountPath":"/b","name":"v"},{"mountPath":"/a","name":"v"}]})";
  EXPECT_EQ(Diff(R"({"volumeMounts":[{"mountPath":"/a","name":"v"}]})", live), "");
  EXPECT_EQ(Diff(R"({"volumeMounts":[{"mountPath":"/a","name":"w"}]})", live),
            "/volumeMounts/0/name");
}

TEST(SubsetTest, OtherListsAreComparedInOrder) {
  EXPECT_EQ(Diff(R"({"args":["a","b"]})", R"({"args":["a","b"]})"), "");
  EXPECT_EQ(Diff(R"({"args":["a","b"]})", R"({"args":["b","a"]})"), "/args/0");
  EXPECT_EQ(Diff(R"({"args":["a"]})", R"({"args":["a","b"]})"), "/args");
  EXPECT_EQ(Diff(R"({"items":[{"verbs":["get"]}]})", R"({"items":[{"verbs":["get"],"x":1}]})"), "");
}

// Breaks: a key added by hand to the selector of LINSTOR's Service takes it off the network, a
// toleration or a role is narrowed, and it stays so.
TEST(SubsetTest, WhatIsMergedAsAWholeMustNotHaveMore) {
  EXPECT_EQ(Diff(R"({"spec":{"selector":{"a":"b"}}})", R"({"spec":{"selector":{"a":"b"}}})"), "");
  EXPECT_EQ(
      Diff(R"({"spec":{"selector":{"a":"b"}}})", R"({"spec":{"selector":{"a":"b","c":"d"}}})"),
      "/spec/selector/c");
  EXPECT_EQ(Diff(R"({"nodeSelector":{}})", R"({"nodeSelector":{"c":"d"}})"), "/nodeSelector/c");
  EXPECT_EQ(Diff(R"({"rules":[{"verbs":["get"]}]})",
                 R"({"rules":[{"verbs":["get"],"resourceNames":["x"]}]})"),
            "/rules/0/resourceNames");
  EXPECT_EQ(Diff(R"({"tolerations":[{"operator":"Exists"}]})",
                 R"({"tolerations":[{"operator":"Exists","key":"k"}]})"),
            "/tolerations/0/key");
  EXPECT_EQ(Diff(R"({"subjects":[{"kind":"ServiceAccount","name":"a"}]})",
                 R"({"subjects":[{"kind":"ServiceAccount","name":"a","apiGroup":""}]})"),
            "");
}

// Breaks: a token that was mounted by hand, or a volume of another kind, stays.
TEST(SubsetTest, AnAbsentValueThatMeansAnotherIsADifference) {
  EXPECT_EQ(Diff(R"({"automountServiceAccountToken":false})", R"({})"),
            "/automountServiceAccountToken");
  EXPECT_EQ(Diff(R"({"volumes":[{"name":"tmp","emptyDir":{}}]})",
                 R"({"volumes":[{"name":"tmp","hostPath":{"path":"/"}}]})"),
            "/volumes/0/emptyDir");
  EXPECT_EQ(Diff(R"({"volumes":[{"name":"tmp","emptyDir":{}}]})",
                 R"({"volumes":[{"name":"tmp","emptyDir":{}}]})"),
            "");
}

TEST(SubsetTest, FinalizersAreASetOfSeveralOwners) {
  EXPECT_EQ(Diff(R"({"finalizers":["ours"]})", R"({"finalizers":["theirs","ours"]})"), "");
  EXPECT_EQ(Diff(R"({"finalizers":["ours"]})", R"({"finalizers":["theirs"]})"), "/finalizers/0");
}

TEST(SubsetTest, TypesMustFit) {
  EXPECT_EQ(Diff(R"({"a":{"b":1}})", R"({"a":[1]})"), "/a");
  EXPECT_EQ(Diff(R"({"a":[{"b":1}]})", R"({"a":"x"})"), "/a");
  EXPECT_EQ(Diff(R"({"a/b":{"~":1}})", R"({"a/b":{"~":2}})"), "/a~1b/~0");
  EXPECT_EQ(Diff(R"({"a":5})", R"({"a":5.0})"), "");
}

}  // namespace
}  // namespace breakwater::runtime
