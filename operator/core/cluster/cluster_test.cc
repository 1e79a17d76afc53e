#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/core/cluster/controller_properties.h"
#include "operator/core/cluster/node_connections.h"
#include "operator/core/cluster/node_matching.h"

namespace breakwater::core {
namespace {

using api::Json;
using testing::ElementsAre;
using testing::Pair;

api::ObjectPtr Node(const std::string& name, Json labels, Json taints = Json::array()) {
  return std::make_shared<const api::Object>(
      Json{{"metadata", {{"name", name}, {"labels", labels}}}, {"spec", {{"taints", taints}}}});
}

api::NodeSelector Affinity(const Json& terms) {
  api::FieldErrors errors;
  const Json object{{"a", {{"nodeSelectorTerms", terms}}}};
  return *api::ReadNodeSelector(api::FieldReader(object, "", &errors), "a");
}

bool MatchesOne(const char* op, const Json& values, const Json& labels) {
  const Json term{
      {"matchExpressions", Json::array({{{"key", "k"}, {"operator", op}, {"values", values}}})}};
  return MatchesAffinity(Affinity(Json::array({term})), *Node("n", labels));
}

// A wrong answer puts storage on nodes that must not have it, or takes it away.
TEST(MatchesAffinity, Operators) {
  EXPECT_TRUE(MatchesOne("In", {"a", "b"}, {{"k", "b"}}));
  EXPECT_FALSE(MatchesOne("In", {"a", "b"}, Json::object()));
  EXPECT_TRUE(MatchesOne("NotIn", {"a", "b"}, Json::object()));
  EXPECT_FALSE(MatchesOne("NotIn", {"a", "b"}, {{"k", "a"}}));
  EXPECT_TRUE(MatchesOne("Exists", Json::array(), {{"k", ""}}));
  EXPECT_TRUE(MatchesOne("DoesNotExist", Json::array(), Json::object()));
  EXPECT_TRUE(MatchesOne("Gt", Json::array({"5"}), {{"k", "10"}}));
  EXPECT_FALSE(MatchesOne("Lt", Json::array({"5"}), {{"k", "10"}}));
  EXPECT_FALSE(MatchesOne("Gt", Json::array({"5"}), {{"k", "ten"}}));
}

TEST(MatchesAffinity, TermsAreOredAndEmptyOnesMatchNothing) {
  const api::ObjectPtr node = Node("n1", {{"a", "b"}});
  EXPECT_FALSE(MatchesAffinity(Affinity(Json::array()), *node));
  EXPECT_FALSE(MatchesAffinity(Affinity(Json::array({Json::object()})), *node));
  const Json by_name{{"matchFields", Json::array({{{"key", "metadata.name"},
                                                   {"operator", "In"},
                                                   {"values", Json::array({"n1"})}}})}};
  EXPECT_TRUE(MatchesAffinity(Affinity(Json::array({Json::object(), by_name})), *node));
}

std::vector<std::string> Names(const std::vector<api::ObjectPtr>& nodes) {
  std::vector<std::string> names;
  for (const api::ObjectPtr& node : nodes) {
    names.push_back(node->name());
  }
  return names;
}

Json Taint(const char* key, const char* effect) {
  return Json::array({{{"key", key}, {"effect", effect}}});
}

// A cordoned or drained node must keep its satellite: its disks still hold replicas.
TEST(MatchNodes, TaintsKeepNewSatellitesAway) {
  const std::vector<api::ObjectPtr> nodes{
      Node("plain", Json::object()),
      Node("control-plane", Json::object(),
           Taint("node-role.kubernetes.io/control-plane", "NoSchedule")),
      Node("cordoned", Json::object(), Taint("node.kubernetes.io/unschedulable", "NoSchedule")),
      Node("evicting", Json::object(), Taint("maintenance", "NoExecute")),
      Node("lost", Json::object(), Taint("drbd.linbit.com/lost-quorum", "NoSchedule")),
      Node("preferred", Json::object(), Taint("x", "PreferNoSchedule")),
  };
  EXPECT_THAT(Names(MatchNodes(nodes, {}, std::nullopt, {}, {})),
              ElementsAre("plain", "cordoned", "lost", "preferred"));
  const std::vector<api::ObjectPtr> existing{Node("control-plane", Json::object()),
                                             Node("evicting", Json::object())};
  EXPECT_THAT(Names(MatchNodes(nodes, {}, std::nullopt, {}, existing)),
              ElementsAre("plain", "control-plane", "cordoned", "lost", "preferred"));
  EXPECT_THAT(Names(MatchNodes(nodes, {}, std::nullopt, {{.key = "", .op = "Exists"}}, {})).size(),
              6U);
}

TEST(MatchNodes, SelectorAndAffinityBothHold) {
  const std::vector<api::ObjectPtr> nodes{Node("a", {{"s", "y"}, {"z", "1"}}),
                                          Node("b", {{"s", "y"}}), Node("c", {{"z", "1"}})};
  const Json term{{"matchExpressions", Json::array({{{"key", "z"}, {"operator", "Exists"}}})}};
  EXPECT_THAT(Names(MatchNodes(nodes, {{"s", "y"}}, Affinity(Json::array({term})), {}, {})),
              ElementsAre("a"));
}

TEST(MergeTolerations, LaterOneReplacesInPlace) {
  const Json first = Json::array({{{"key", "a"}, {"operator", "Exists"}, {"tolerationSeconds", 30}},
                                  {{"key", "b"}, {"operator", "Exists"}}});
  const Json second =
      Json::array({{{"key", "a"}, {"operator", "Exists"}, {"tolerationSeconds", 5}}});
  const Json merged = MergeTolerations({first, second, Json()});
  ASSERT_EQ(merged.size(), 2U);
  EXPECT_EQ(merged[0]["tolerationSeconds"], 5);
}

// These protect data: losing one turns a short network problem into I/O errors or a split brain.
TEST(ControllerProperties, DefaultsAreKeptAndCanBeOverridden) {
  const auto properties = DesiredControllerProperties(
      {{"DrbdOptions/Net/rr-conflict", "disconnect"}, {"DrbdOptions/Net/tls", "yes"}});
  EXPECT_EQ(properties.at("DrbdOptions/Net/rr-conflict"), "disconnect");
  EXPECT_EQ(properties.at("DrbdOptions/Net/tls"), "yes");
  EXPECT_EQ(properties.at("DrbdOptions/Resource/on-no-quorum"), "suspend-io");
  EXPECT_EQ(properties.at("DrbdOptions/AutoEvictAllowEviction"), "false");
  EXPECT_EQ(properties.at("Aux/piraeus.io/managed-by"), "piraeus-operator");
}

api::LinstorNodeConnectionSpec Connection(const Json& spec) {
  return api::DecodeLinstorNodeConnection({{"spec", spec}}).value;
}

bool PairMatches(const char* op,
                 const Json& values,
                 const std::map<std::string, std::string>& a,
                 const std::map<std::string, std::string>& b) {
  const Json match{{"key", "k"}, {"op", op}, {"values", values}};
  return MatchesNodePair(
      Connection({{"selector", Json::array({{{"matchLabels", Json::array({match})}}})}}), a, b);
}

// A wrong match sends replication over the wrong network, or with the wrong protocol.
TEST(MatchesNodePair, Operators) {
  const std::map<std::string, std::string> none;
  EXPECT_TRUE(PairMatches("Exists", Json::array(), {{"k", "1"}}, {{"k", "2"}}));
  EXPECT_FALSE(PairMatches("Exists", Json::array(), {{"k", "1"}}, none));
  EXPECT_TRUE(PairMatches("DoesNotExist", Json::array(), none, none));
  EXPECT_FALSE(PairMatches("DoesNotExist", Json::array(), {{"k", "1"}}, none));
  EXPECT_TRUE(PairMatches("In", {"1", "2"}, {{"k", "1"}}, {{"k", "2"}}));
  EXPECT_FALSE(PairMatches("In", {"1", "2"}, {{"k", "1"}}, none));
  EXPECT_TRUE(PairMatches("NotIn", {"1", "2"}, none, {{"k", "3"}}));
  EXPECT_TRUE(PairMatches("Same", Json::array(), none, none));
  EXPECT_FALSE(PairMatches("Same", Json::array(), {{"k", "1"}}, {{"k", "2"}}));
  EXPECT_TRUE(PairMatches("NotSame", Json::array(), {{"k", "1"}}, none));
  // An unknown operator matches nothing, not everything.
  EXPECT_FALSE(PairMatches("Similar", Json::array(), {{"k", "1"}}, {{"k", "1"}}));
}

TEST(DesiredNodeConnections, EveryPairOnceLaterConnectionWins) {
  const auto desired = DesiredNodeConnections(
      {Node("b", {{"zone", "1"}}), Node("a", {{"zone", "1"}}), Node("c", {{"zone", "2"}})},
      {Connection({{"properties", Json::array({{{"name", "p"}, {"value", "C"}}})}}),
       Connection(
           {{"selector",
             Json::array({{{"matchLabels", Json::array({{{"key", "zone"}, {"op", "NotSame"}}})}}})},
            {"properties", Json::array({{{"name", "p"}, {"value", "A"}}})},
            {"paths", Json::array({{{"name", "data"}, {"interface", "nic1"}}})}})},
      {});
  ASSERT_EQ(desired.size(), 3U);
  EXPECT_THAT(desired.at({"a", "b"}), ElementsAre(Pair("p", "C")));
  EXPECT_THAT(desired.at({"a", "c"}), ElementsAre(Pair("Paths/data/a", "nic1"),
                                                  Pair("Paths/data/c", "nic1"), Pair("p", "A")));
}

// A LinstorNodeConnection that is deleted must take its paths along, but only from our nodes; and
// an operator of hundreds of nodes must not look at every pair for nothing.
TEST(DesiredNodeConnections, WhatNobodyWantsAnyMoreIsCleared) {
  const auto desired = DesiredNodeConnections({Node("a", {}), Node("b", {}), Node("c", {})}, {},
                                              {{"a", "b"}, {"b", "foreign"}});
  ASSERT_EQ(desired.size(), 1U);
  EXPECT_TRUE(desired.at({"a", "b"}).empty());
}

}  // namespace
}  // namespace breakwater::core
