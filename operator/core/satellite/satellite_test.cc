#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/core/render/yaml.h"
#include "operator/core/satellite/interfaces.h"
#include "operator/core/satellite/merge.h"
#include "operator/core/satellite/properties.h"

namespace breakwater::core {
namespace {

using api::Json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

Json Yaml(std::string_view text) {
  return ParseYaml(text).value().at(0);
}

api::Object Node() {
  return api::Object(Yaml(R"(
metadata:
  name: n1
  uid: u1
  labels: {zone: a, empty: "", topology/x: "1", topology/y: "2", price: $1}
  annotations: {Note: hello}
)"));
}

Result<ResolvedProperties, Error> Resolve(const char* properties) {
  api::FieldErrors errors;
  const Json json{{"properties", Yaml(properties)}};
  return ResolveProperties(Node(), api::ReadNodeProperties(api::FieldReader(json, "", &errors)));
}

// Topology properties decide where replicas go: a wrong value puts both copies into one zone.
TEST(ResolveProperties, LiteralsAndFields) {
  EXPECT_THAT(*Resolve(R"(
- {name: a, value: literal}
- {name: b, valueFrom: {nodeFieldRef: metadata.name}}
- {name: c, valueFrom: {nodeFieldRef: "metadata.labels['zone']"}}
- {name: d, valueFrom: {nodeFieldRef: "metadata.annotations['Note']"}}
- {name: e, valueFrom: {nodeFieldRef: metadata.uid}}
- {name: f, value: ""}
)"),
              ElementsAre(Pair("a", "literal"), Pair("b", "n1"), Pair("c", "a"), Pair("d", "hello"),
                          Pair("e", "u1")));
}

TEST(ResolveProperties, MissingFieldsAreEmptyOrAbsent) {
  EXPECT_THAT(*Resolve(R"(
- {name: a, valueFrom: {nodeFieldRef: "metadata.labels['none']"}}
- {name: b, valueFrom: {nodeFieldRef: "metadata.labels['none']"}, optional: true}
- {name: c, valueFrom: {nodeFieldRef: "metadata.labels['empty']"}, optional: true}
)"),
              ElementsAre(Pair("a", "")));
}

TEST(ResolveProperties, ExpansionsMakeSeveralPropertiesOrOne) {
  EXPECT_THAT(*Resolve(R"(
- name: Aux/topology/
  expandFrom: {nodeFieldRef: "metadata.labels['topology/*']", nameTemplate: "$1", valueTemplate: "$2"}
- name: joined
  expandFrom: {nodeFieldRef: "metadata.labels['topology/*']", valueTemplate: "$1=$2", delimiter: ","}
- name: nothing
  expandFrom: {nodeFieldRef: "metadata.labels['none/*']", valueTemplate: "$1"}
- name: dollar
  expandFrom: {nodeFieldRef: "metadata.labels['pri*']", valueTemplate: "$1:$2"}
)"),
              ElementsAre(Pair("Aux/topology/x", "1"), Pair("Aux/topology/y", "2"),
                          Pair("dollar", "ce:$1"), Pair("joined", "x=1,y=2"), Pair("nothing", "")));
}

TEST(ResolveProperties, WrongPathsNameTheProperty) {
  for (const char* path : {"spec.podCIDR", "metadata.labels", "metadata.labels['a*']",
                           "metadata.labels[zone]", "metadata.labels['not a key']"}) {
    api::LinstorNodeProperty property{.name = "culprit", .value_from = path};
    const auto resolved = ResolveProperties(Node(), {property});
    ASSERT_FALSE(resolved.has_value()) << path;
    EXPECT_THAT(resolved.error().message, HasSubstr("culprit"));
  }
}

NamedConfiguration Configuration(const char* name, const char* spec) {
  return {name, api::DecodeLinstorSatelliteConfiguration({{"spec", Yaml(spec)}}).value};
}

// The order of names decides, not that of creation: else the same objects give different clusters.
TEST(MergeConfigurations, LaterNamesWin) {
  const MergedConfiguration merged = MergeConfigurations(
      Node(),
      {Configuration(
           "b",
           "{internalTLS: {secretName: s}, properties: [{name: p, value: b}], deletionPolicy: "
           "Evacuate}"),
       Configuration(
           "a",
           "{internalTLS: {tlsHandshakeDaemon: true}, ipFamilies: [IPv4], properties: [{name: p, "
           "value: a, optional: true}, {name: a, value: x}], storagePools: [{name: pool, lvmPool: "
           "{volumeGroup: old}}]}"),
       Configuration("c", "{nodeSelector: {zone: other}, ipFamilies: [IPv6]}"),
       Configuration("d", "{storagePools: [{name: pool, lvmThinPool: {}}]}")});
  EXPECT_THAT(merged.applied, ElementsAre("a", "b", "d"));
  ASSERT_TRUE(merged.spec.internal_tls.has_value());
  EXPECT_EQ(merged.spec.internal_tls->secret_name, "s");
  EXPECT_TRUE(merged.spec.internal_tls->tls_handshake_daemon) << "nobody says anything else";
  EXPECT_THAT(merged.spec.ip_families, ElementsAre("IPv4"));
  EXPECT_EQ(merged.spec.deletion_policy, api::DeletionPolicy::kEvacuate);
  ASSERT_EQ(merged.spec.storage_pools.size(), 1U);
  EXPECT_EQ(merged.spec.storage_pools[0].type, api::StoragePoolType::kLvmThin);
  ASSERT_EQ(merged.spec.properties.size(), 6U);
  EXPECT_EQ(merged.spec.properties[4].name, "a");
  EXPECT_EQ(merged.spec.properties[5].value, "b");
  EXPECT_FALSE(merged.spec.properties[5].optional);
}

// A user's patch must be able to undo the pod template of the same configuration.
TEST(MergeConfigurations, PodTemplateComesBeforeThePatchesOfItsConfiguration) {
  const MergedConfiguration merged = MergeConfigurations(
      Node(),
      {Configuration("b", "{patches: [{patch: second}], podTemplate: {spec: {hostNetwork: true}}}"),
       Configuration("a", "{patches: [{patch: first}]}")});
  ASSERT_EQ(merged.spec.patches.size(), 3U);
  EXPECT_EQ(merged.spec.patches[0].patch, "first");
  EXPECT_THAT(merged.spec.patches[1].patch, HasSubstr("hostNetwork"));
  EXPECT_EQ(merged.spec.patches[2].patch, "second");
}

// Two entries of one name would make the API server refuse the satellite.
TEST(MergeConfigurations, UserPropertyReplacesADefault) {
  const MergedConfiguration merged = MergeConfigurations(
      Node(), {Configuration(
                  "a", "{properties: [{name: Aux/topology/kubernetes.io/hostname, value: x}]}")});
  ASSERT_EQ(merged.spec.properties.size(), 4U);
  EXPECT_EQ(merged.spec.properties[3].value, "x");
}

api::LinstorSatelliteSpec Spec(const char* spec) {
  return api::DecodeLinstorSatellite({{"spec", Yaml(spec)}}).value;
}

api::Object Pod(const char* ips) {
  return api::Object(Json{{"status", {{"podIPs", Yaml(ips)}}}});
}

// LINSTOR reaches the satellite through these: a wrong port or mode takes the node offline.
TEST(DesiredInterfaces, FamiliesPortsAndModes) {
  const api::Object pod = Pod("[{ip: 'fd00::1'}, {ip: 10.0.0.1}, {ip: 10.0.0.2}, {ip: nonsense}]");
  EXPECT_THAT(DesiredInterfaces(pod, Spec("{clusterRef: {name: c}}")),
              ElementsAre(SatelliteInterface{"default-ipv4", "10.0.0.1", 3366, "PLAIN"},
                          SatelliteInterface{"default-ipv6", "fd00::1", 3366, "PLAIN"}));
  EXPECT_THAT(
      DesiredInterfaces(pod, Spec("{clusterRef: {name: c}, internalTLS: {}, ipFamilies: [IPv6]}")),
      ElementsAre(SatelliteInterface{"default-ipv6", "fd00::1", 3367, "SSL"}));
  EXPECT_THAT(DesiredInterfaces(api::Object(Json::object()), Spec("{}")), IsEmpty());
}

// Interfaces that users made must never be deleted.
TEST(ManagedInterfaces, OnlyOurOwn) {
  EXPECT_THAT(ManagedInterfaces({}), ElementsAre("default", "default-ipv4", "default-ipv6"));
  EXPECT_THAT(ManagedInterfaces({{"Aux/piraeus.io/configured-interfaces", R"(["default-ipv4"])"}}),
              ElementsAre("default-ipv4"));
  EXPECT_EQ(ConfiguredInterfacesValue({{.name = "b"}, {.name = "a"}}), R"(["a","b"])");
}

// A difference that is none would rewrite the interface, and drop the connection, at every
// reconcile.
TEST(SameInterface, ComparesByMeaning) {
  const SatelliteInterface a{"i", "fd00::1", 3367, "SSL"};
  EXPECT_TRUE(SameInterface(a, {"i", "fd00:0:0::0001", 3367, "ssl"}));
  EXPECT_FALSE(SameInterface(a, {"i", "fd00::2", 3367, "SSL"}));
  EXPECT_FALSE(SameInterface(a, {"i", "fd00::1", 3366, "SSL"}));
  EXPECT_TRUE(SameInterface({"i", "10.0.0.1", 1, ""}, {"i", "::ffff:10.0.0.1", 1, ""}));
}

}  // namespace
}  // namespace breakwater::core
