#include "tests/e2e/sim/linstor/res_writer.h"

#include <regex>

#include <gtest/gtest.h>

#include "tests/e2e/sim/linstor/testing.h"

namespace breakwater::sim {
namespace {

constexpr const char* kTls = "DrbdOptions/Net/tls";

/// The `index`-th file r1.res of `node` that a sample shows.
std::string RecordedFile(const std::string& sample, const std::string& node, int index = 0) {
  const auto text = ReadSample(sample);
  const auto head = "--- " + node + ":/var/lib/linstor.d/r1.res\n";
  std::size_t at = text.find(head);
  for (; index > 0 && at != std::string::npos; --index) {
    at = text.find(head, at + 1);
  }
  if (at == std::string::npos) {
    return "not found in " + sample;
  }
  const auto start = at + head.size();
  return text.substr(start, text.find("\n---\n", start) + 1 - start);
}

/// The recorded cluster: three nodes, r1 on all of them.
State RecordedState() {
  State state = FreshState();
  Definition r1;
  r1.name = "r1";
  r1.group = "DfltRscGrp";
  r1.secret = "eeNmdEE4di1eG4is+CED";
  r1.port = 7000;
  r1.props = {{"DrbdOptions/Resource/quorum", "majority"},
              {"DrbdOptions/auto-verify-alg", "sha512"}};
  VolumeDef volume;
  volume.size_kib = 65536;
  volume.minor = 1000;
  r1.volumes[0] = volume;
  const char* loops[] = {"/dev/loop2", "/dev/loop1", "/dev/loop0"};
  for (int i = 0; i < 3; ++i) {
    const auto number = std::to_string(i + 1);
    Node node;
    node.name = "n" + number;
    node.nets = {{"default", "10.77.0." + number, "PLAIN", "", 3366, true}};
    state.nodes[node.name] = node;
    Resource resource;
    resource.node = node.name;
    resource.node_id = i;
    resource.volumes[0] = {0, "", loops[i], "fthin", "FILE_THIN"};
    r1.resources[node.name] = resource;
  }
  state.definitions["r1"] = r1;
  return state;
}

std::string Write(const State& state, const std::string& node) {
  return WithoutTime(WriteRes(state, state.definitions.at("r1"), node, {}).content);
}

TEST(ResWriterTest, NewResourceIsWrittenAsRecordedOnEachNode) {
  const State state = RecordedState();
  for (const std::string node : {"n1", "n2", "n3"}) {
    EXPECT_EQ(Write(state, node), WithoutTime(RecordedFile("satellite-01-create-3node.txt", node)));
  }
}

TEST(ResWriterTest, ControllerPropertyGoesIntoNetAndEveryConnection) {
  State state = RecordedState();
  state.controller[kTls] = "yes";
  EXPECT_EQ(Write(state, "n1"),
            WithoutTime(RecordedFile("satellite-02-tls-controller-level.txt", "n1")));
}

TEST(ResWriterTest, DefinitionPropertyGoesIntoNetAndEveryConnection) {
  State state = RecordedState();
  state.definitions.at("r1").props[kTls] = "yes";
  EXPECT_EQ(Write(state, "n2"), WithoutTime(RecordedFile("satellite-03-tls-rd-level.txt", "n2")));
}

TEST(ResWriterTest, ConnectionPropertyStandsOnlyInThatConnection) {
  State state = RecordedState();
  state.definitions.at("r1").connections[PairKey("n1", "n2")] = {"n1", "n2", "", {{kTls, "yes"}}};
  for (const std::string node : {"n1", "n2", "n3"}) {
    EXPECT_EQ(Write(state, node),
              WithoutTime(RecordedFile("satellite-04-tls-rsc-conn-level.txt", node)));
  }
}

TEST(ResWriterTest, OverriddenValuesAreNamedInRemarks) {
  State state = RecordedState();
  auto& r1 = state.definitions.at("r1");
  r1.props[kTls] = "no";
  r1.connections[PairKey("n1", "n2")] = {"n1", "n2", "", {{kTls, "yes"}}};
  EXPECT_EQ(Write(state, "n1"),
            WithoutTime(RecordedFile("satellite-04-tls-rsc-conn-level.txt", "n1", 1)));
  state.controller[kTls] = "yes";
  r1.connections.at(PairKey("n1", "n2")).props[kTls] = "no";
  EXPECT_EQ(Write(state, "n1"),
            WithoutTime(RecordedFile("satellite-04-tls-rsc-conn-level.txt", "n1", 2)));
}

TEST(ResWriterTest, UnknownTlsIsDroppedAndReported) {
  State state = RecordedState();
  state.definitions.at("r1").props[kTls] = "yes";
  const auto file =
      WriteRes(state, state.definitions.at("r1"), "n3", {.now = 0, .knows_tls = false});
  EXPECT_EQ(file.content.find("tls"), std::string::npos);
  EXPECT_EQ(file.dropped, std::vector<std::string>(3, std::string(kTls) + "=yes"));
}

TEST(ResWriterTest, DisklessPeerHasNoDisk) {
  State state = RecordedState();
  state.definitions.at("r1").resources.at("n3").flags = {"DISKLESS", "DRBD_DISKLESS",
                                                         "TIE_BREAKER"};
  const auto own = Write(state, "n3");
  EXPECT_NE(own.find("disk        none;"), std::string::npos);
  EXPECT_NE(Write(state, "n1").find("disk        none;"), std::string::npos);
  // The length is all that the record shows of such a file: 22 bytes less than without tiebreaker.
  EXPECT_EQ(Write(state, "n1").size() + 22, Write(RecordedState(), "n1").size());
}

TEST(ResWriterTest, Ipv6AddressesAreBracketed) {
  Node node;
  node.nets = {{"default", "fd00::1", "PLAIN", "", 3366, true}};
  EXPECT_EQ(DrbdAddress(node, 7000), "ipv6 [fd00::1]:7000");
}

TEST(ResWriterTest, PreferredInterfaceIsUsed) {
  Node node;
  node.nets = {{"default", "10.0.0.1", "PLAIN", "", 3366, true},
               {"fast", "10.1.0.1", "", "", 0, false}};
  EXPECT_EQ(DrbdAddress(node, 7000), "ipv4 10.0.0.1:7000");
  node.props["PrefNic"] = "fast";
  EXPECT_EQ(DrbdAddress(node, 7000), "ipv4 10.1.0.1:7000");
}

}  // namespace
}  // namespace breakwater::sim
