// Parsers against recorded output of real tools, and against garbage. What would break for a user:
// a state that is misread becomes a wrong decision about a volume.

#include "operator/core/replication/node/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "operator/core/replication/node/node_scripts.h"
#include "operator/core/replication/node/text.h"
#include "operator/core/replication/volume/evidence.h"
#include "operator/core/replication/volume/gate.h"
#include "operator/testing/source_dir.h"

namespace breakwater::replication {
namespace {

const std::string kData = testing::SourceDir() + "/operator/core/replication/node/testdata/";

std::string Read(const std::string& name) {
  std::ifstream file(kData + name, std::ios::binary);
  EXPECT_TRUE(file.good()) << name;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::string> SampleFolders() {
  std::vector<std::string> folders;
  for (const auto& entry : std::filesystem::directory_iterator(kData)) {
    if (entry.is_directory() && std::filesystem::exists(entry.path() / "status.json")) {
      folders.push_back(entry.path().filename().string());
    }
  }
  return folders;
}

NodeReport ReportOf(const std::string& node,
                    const std::string& folder,
                    const std::string& ss = "") {
  std::string text =
      "@@ status\n" + Read(folder + "/status.json") + "\n@@ show\n" + Read(folder + "/show.json");
  if (!ss.empty()) {
    text += "\n@@ ss\n" + Read(folder + "/" + ss) + "\n@@ tls_stat\n" + Read(folder + "/tls_stat");
  }
  return ParseReport(node, text + "\n@@ end\n", false);
}

TEST(ParseTest, ReadsEveryRecordedState) {
  const std::vector<std::string> folders = SampleFolders();
  ASSERT_GE(folders.size(), 20U);
  for (const std::string& folder : folders) {
    const auto status = ParseStatus(Read(folder + "/status.json"));
    const auto show = ParseShow(Read(folder + "/show.json"));
    ASSERT_TRUE(status && show) << folder;
    for (const auto& [name, resource] : *status) {
      EXPECT_FALSE(resource.role.empty()) << folder;
      EXPECT_FALSE(resource.devices.empty()) << folder;
      ASSERT_TRUE(show->contains(name)) << folder;
      EXPECT_EQ(show->at(name).on_no_quorum, "suspend-io") << folder;
      for (const DrbdConnection& connection : resource.connections) {
        EXPECT_TRUE(connection.tls.has_value()) << folder;
        EXPECT_FALSE(connection.state.empty()) << folder;
        EXPECT_FALSE(connection.devices.empty()) << folder;
        EXPECT_EQ(connection.paths.size(), 1U) << folder;
      }
    }
  }
}

// What the tools do not print is not known: DRBD's default for on-no-data-accessible is io-error,
// and a wrong guess lets a forced cut give the application I/O errors (F3.4).
TEST(ParseTest, OptionsThatAreNotShownAreUnknown) {
  const auto full = ParseShow(Read("connected-tls-3diskful.node1/show.json"));
  ASSERT_TRUE(full);
  EXPECT_EQ(full->at("r0").quorum, "majority");
  EXPECT_EQ(full->at("r0").minimum_redundancy, "off");
  EXPECT_EQ(full->at("r0").on_no_data, "suspend-io");
  EXPECT_EQ(full->at("r0").connections.at(0).tls, true);
  const auto bare = ParseShow(R"([{"resource": "r0", "options": {}, "connections": []}])");
  ASSERT_TRUE(bare);
  EXPECT_EQ(bare->at("r0").quorum, "");
  EXPECT_EQ(bare->at("r0").minimum_redundancy, "");
  EXPECT_EQ(bare->at("r0").on_no_quorum, "");
  EXPECT_EQ(bare->at("r0").on_no_data, "");
  EXPECT_THAT(std::string(kObserveScript), ::testing::HasSubstr("--show-defaults"))
      << "without it every default is missing";
}

TEST(ParseTest, SeesSuspensionAndStandAlone) {
  const auto status = ParseStatus(Read("suspended-user-standalone.node1/status.json"));
  ASSERT_TRUE(status);
  const DrbdStatus& r0 = status->at("r0");
  EXPECT_TRUE(r0.suspended_user);
  EXPECT_EQ(r0.connections.at(0).state, "StandAlone");
}

// F24.2: without the diag interface ss shows no TLS; calling that plaintext would be a false alarm.
TEST(ParseTest, SocketsWithoutDiagInfoProveNothing) {
  const SocketTable table = ParseSockets(Read("q12-mixed.node1/ss-tnieH"));
  EXPECT_FALSE(table.reliable);
  EXPECT_GT(table.sockets.size(), 50U);
  const NodeReport report = ReportOf("node1", "q12-mixed.node1", "ss-tnieH");
  EXPECT_TRUE(report.any_socket);
  EXPECT_FALSE(report.sockets_reliable);
  int connections = 0;
  for (const auto& [name, resource] : report.resources) {
    for (const DrbdConnection& connection : resource->status.connections) {
      ++connections;
      EXPECT_EQ(ProofOf(connection, resource->sockets, report.tls_stat), SocketProof::kUnknown);
    }
  }
  EXPECT_GT(connections, 20);
}

// F8.2, F24: two sockets per connection, both with the ULP, on one or two lines; orphans do not
// count.
TEST(ParseTest, ProvesEncryptionOfEveryConnectedPair) {
  for (const char* file : {"ss-tnieH", "ss-tniOH"}) {
    const NodeReport report = ReportOf("node1", "q12-tls21-diag.node1", file);
    ASSERT_TRUE(report.sockets_reliable);
    int proven = 0;
    for (const auto& [name, resource] : report.resources) {
      for (const DrbdConnection& connection : resource->status.connections) {
        const SocketProof proof = ProofOf(connection, resource->sockets, report.tls_stat);
        EXPECT_EQ(proof, connection.state == "Connected" ? SocketProof::kEncrypted : proof) << name;
        proven += proof == SocketProof::kEncrypted ? 1 : 0;
      }
    }
    EXPECT_EQ(proven * 2, report.tls_stat->current_tx) << file;
  }
}

TEST(ParseTest, ReadsPlaintextAsSuchOnlyWithInfo) {
  const std::string both =
      "State Recv-Q Send-Q Local Address:Port Peer Address:Port Process\n"
      "ESTAB 0      0      10.77.0.1:7000  10.77.0.2:45147\n\t cubic wscale:7,7 rto:208 rtt:4/2 "
      "mss:1448\n"
      "ESTAB 0      0      10.77.0.1:39997 10.77.0.2:7000\n\t cubic wscale:7,7 rto:208 rtt:4/2 "
      "mss:1448\n";
  DrbdConnection connection;
  connection.paths = {{"10.77.0.1", 7000, "10.77.0.2", 7000}};
  EXPECT_EQ(ProofOf(connection, ParseSockets(both), {}), SocketProof::kPlaintext);
  std::string mixed = both;
  mixed.insert(mixed.find("mss:1448") + 8, " tcp-ulp-tls version: 1.3 cipher: aes-gcm-256");
  EXPECT_EQ(ProofOf(connection, ParseSockets(mixed), {}), SocketProof::kUnknown);
}

// REVIEW-2 M3: a socket with the protocol and no keys, or keys for one direction, sends plaintext.
TEST(ParseTest, OnlyKeysInBothDirectionsAreTls) {
  DrbdConnection connection;
  connection.paths = {{"10.77.0.1", 7000, "10.77.0.2", 7000}};
  const auto proof = [&](const std::string& info) {
    return ProofOf(connection,
                   ParseSockets("ESTAB 0 0 10.77.0.1:7000 10.77.0.2:45147\n\t cubic tcp-ulp-tls "
                                "version: 1.3 cipher: aes-gcm-256 rxconf: hw txconf: sw\n"
                                "ESTAB 0 0 10.77.0.1:39997 10.77.0.2:7000\n\t cubic " +
                                info + "\n"),
                   {});
  };
  EXPECT_EQ(proof("tcp-ulp-tls version: 1.3 cipher: aes-gcm-256 rxconf: sw txconf: sw"),
            SocketProof::kEncrypted);
  for (const char* info : {"tcp-ulp-tls rxconf: none txconf: none", "tcp-ulp-tls",
                           "tcp-ulp-tls version: 1.3 cipher: aes-gcm-256 rxconf: none txconf: sw",
                           "tcp-ulp-tls version: 1.3 cipher: aes-gcm-256 rxconf: sw txconf: none",
                           "tcp-ulp-tls version: 1.3 cipher: aes-gcm-256 rxconf: sw txconf:"}) {
    EXPECT_EQ(proof(info), SocketProof::kUnknown) << info;
  }
}

// spec.replicationTLS.minimumVersion and ciphers (REVIEW-2 M3): both sockets of an end have to be
// good enough, and what a socket does not say is not taken for good.
TEST(ParseTest, WeakTlsIsNamed) {
  DrbdConnection connection;
  connection.paths = {{"10.77.0.1", 7000, "10.77.0.2", 7000}};
  const auto weakness = [&](const std::string& second, const TlsMinimum& minimum) {
    const SocketTable table = ParseSockets(
        "ESTAB 0 0 10.77.0.1:7000 10.77.0.2:45147\n\t cubic tcp-ulp-tls version: 1.3 cipher: "
        "aes-gcm-256 rxconf: sw txconf: sw\n"
        "ESTAB 0 0 10.77.0.1:39997 10.77.0.2:7000\n\t cubic tcp-ulp-tls " +
        second +
        " rxconf: sw txconf: sw\n"
        "ESTAB 0 0 10.77.0.1:39998 10.77.0.3:7000\n\t cubic tcp-ulp-tls version: 1.1 rxconf: sw "
        "txconf: sw\n");
    EXPECT_EQ(ProofOf(connection, table, {}), SocketProof::kEncrypted);
    return WeaknessOf(connection, table, minimum);
  };
  const TlsMinimum only_256{.minor = 2, .ciphers = {"aes-gcm-256", "chacha20-poly1305"}};
  EXPECT_EQ(weakness("version: 1.3 cipher: aes-gcm-256", only_256), "");
  EXPECT_EQ(weakness("version: 1.2 cipher: chacha20-poly1305", only_256), "");
  EXPECT_EQ(weakness("version: 1.2 cipher: aes-gcm-256", {}),
            "TLS 1.2 with aes-gcm-256, wanted is TLS 1.3");
  EXPECT_EQ(weakness("version: 1.3 cipher: aes-gcm-128", only_256),
            "TLS 1.3 with aes-gcm-128, wanted is TLS 1.2 or newer with aes-gcm-256 or "
            "chacha20-poly1305");
  EXPECT_EQ(weakness("version: cipher: aes-gcm-256", {}),
            "TLS of unknown version with aes-gcm-256, wanted is TLS 1.3");
  EXPECT_EQ(weakness("version: 1.3 cipher:", only_256),
            "TLS 1.3 with an unknown cipher, wanted is TLS 1.2 or newer with aes-gcm-256 or "
            "chacha20-poly1305");
  EXPECT_EQ(weakness("version: unknown(0x3)", {}),
            "TLS unknown(0x3) with an unknown cipher, wanted is TLS 1.3");
  EXPECT_EQ(weakness("", {.minor = 0}), "");
}

// REVIEW-2 M8: what a session has carried, in steps, so that a report does not change with each
// block.
TEST(ParseTest, ReadsTheTrafficOfASocket) {
  const auto gib = [](const std::string& info) {
    return ParseSockets("ESTAB 0 0 10.77.0.1:7000 10.77.0.2:45147\n\t cubic " + info + "\n")
        .sockets.at(0)
        .gib;
  };
  EXPECT_EQ(gib("bytes_sent:2845 bytes_acked:2203 bytes_received:2172"), 0);
  EXPECT_EQ(gib("bytes_sent:2845 bytes_received:5368709120"), 5);
  EXPECT_EQ(gib("bytes_sent:5368709119 bytes_received:1"), 4);
  EXPECT_EQ(gib("bytes_sent:-1 bytes_received:99999999999999999999"), 0);
}

// REVIEW-2: "all" is everything to drbdadm and drbdsetup.
TEST(ParseTest, AllIsNoName) {
  EXPECT_FALSE(IsSafeName("all"));
  EXPECT_TRUE(IsSafeName("all-of-it"));
  const auto status = ParseStatus(R"([{"name":"all"},{"name":"r0"}])");
  ASSERT_TRUE(status);
  EXPECT_EQ(status->size(), 1U);
}

TEST(ParseTest, ReadsVersions) {
  DrbdVersions versions;
  ParseProcDrbd(Read("versions/proc_drbd.txt"), &versions);
  ParseDrbdadmVersion(Read("versions/drbdadm_version.txt"), &versions);
  EXPECT_EQ(versions.module, "9.3.3");
  EXPECT_EQ(versions.utils, "9.34.0");
  EXPECT_TRUE(versions.loaded);
}

TEST(ParseTest, AReportThatWasCutIsNotComplete) {
  EXPECT_TRUE(ReportOf("node1", "connected-tls.node1").complete);
  EXPECT_FALSE(ParseReport("node1", "@@ status\n[]\n@@ show\n[]\n", false).complete);
  EXPECT_FALSE(ParseReport("node1", "@@ status\n[]\n@@ show\n[]\n@@ end\n", true).complete);
}

// Nodes are not trusted: any bytes must leave the operator alive.
TEST(ParseTest, SurvivesGarbage) {
  std::mt19937_64 random(7);
  const std::string good = "@@ status\n" + Read("synctarget.node1/status.json") + "\n@@ show\n" +
                           Read("synctarget.node1/show.json") + "\n@@ ss\n" +
                           Read("q12-tls21-diag.node1/ss-tniOH").substr(0, 4000) + "\n@@ end\n";
  for (int i = 0; i < 400; ++i) {
    std::string text = good.substr(0, random() % good.size());
    for (int k = 0; k < 20 && !text.empty(); ++k) {
      text[random() % text.size()] = static_cast<char>(random());
    }
    (void)ParseReport("n", text, false);
  }
  (void)ParseStatus(std::string(200000, '['));
  (void)ParseStatus("{\"a\":1}");
  (void)ParseStatus("[1,null,{\"name\":5},{\"name\":\"r\",\"devices\":3,\"connections\":[7]}]");
}

ResourceObservation Recorded(const std::vector<std::string>& folders) {
  std::map<std::string, NodeSlice> slices;
  for (const std::string& folder : folders) {
    const std::string node = folder.substr(folder.find('.') + 1);
    slices[node] = SliceOf(ReportOf(node, folder), "r0");
  }
  return BuildObservation("r0", {}, slices, {});
}

// The gate on recorded states, for the reason that is in them: the third node's silence alone would
// keep any of them from passing.
TEST(ParseTest, RecordedStatesFailTheGateForWhatIsWrongWithThem) {
  using Kind = GateResult::Kind;
  const auto gate = [](const std::vector<std::string>& folders) {
    ResourceObservation seen = Recorded(folders);
    std::erase_if(seen.nodes, [](const auto& item) { return !item.second.known; });
    std::erase_if(seen.connections, [](const auto& item) { return !item.second.BothKnown(); });
    return CheckGate(seen, {});
  };
  EXPECT_EQ(gate({"stuck-WFBitMapT.node2", "stuck-WFBitMapT.node3"}).kind, Kind::kStuck);
  EXPECT_EQ(gate({"synctarget.node1", "synctarget.node3"}).kind, Kind::kResync);
  EXPECT_EQ(gate({"q6-mismatch.node1", "q6-mismatch.node2"}).kind, Kind::kDisk) << "Outdated";
  EXPECT_EQ(gate({"suspended-user.node1", "suspended-user.node2"}).kind, Kind::kSuspended);
  EXPECT_EQ(gate({"connected-plaintext.node1", "connected-plaintext.node2"}).kind, Kind::kOk);
  // Silence is never health.
  EXPECT_EQ(
      CheckGate(Recorded({"connected-plaintext.node1", "connected-plaintext.node2"}), {}).kind,
      Kind::kUnknown);
}

std::string Sections(const std::string& status, const std::string& show, const std::string& ss) {
  return "@@ status\n" + status + "\n@@ show\n" + show + "\n@@ ss\n" + ss +
         "\n@@ tls_stat\nTlsCurrTxSw 2\nTlsCurrRxSw 2\n@@ end\n";
}

// Without the right to ask for it, `ss` prints the congestion control and no TLS: an encrypted
// connection must not be reported as plaintext.
TEST(ReportTest, DoesNotTrustAnSsThatTheKernelContradicts) {
  const std::string ss = "ESTAB 0 0 10.0.0.1:7000 10.0.0.2:41000\n\t cubic mss:1448 rtt:0.2/0.1\n";
  EXPECT_FALSE(ParseReport("n1", Sections("[]", "[]", ss), false).sockets_reliable);
  EXPECT_TRUE(ParseSockets(ss).reliable);
}

// An older module does not name the paths in status: `show` has them.
TEST(ReportTest, TakesPathsFromTheConfiguration) {
  const std::string connection =
      R"("connections":[{"_peer_node_id":1,"peer-node-id":1,"name":"n2",)"
      R"("connection-state":"Connected","tls":true,)"
      R"("net":{"_name":"n2","transport":"tcp"})";
  const std::string status =
      R"([{"name":"r0","node-id":0,"role":"Primary","devices":[],)" + connection + "}]}]";
  const std::string show = R"([{"resource":"r0","options":{},)" + connection +
                           R"(,"paths":[{"this_host":{"address":"10.0.0.1","port":7000},)"
                           R"("remote_host":{"address":"10.0.0.2","port":7000}}]}]}])";
  const std::string ss =
      "ESTAB 0 0 10.0.0.1:7000 10.0.0.2:41000\n\t cubic tcp-ulp-tls version: 1.3 rxconf: sw "
      "txconf: "
      "sw\n"
      "ESTAB 0 0 10.0.0.1:41001 10.0.0.2:7000\n\t cubic tcp-ulp-tls version: 1.3 rxconf: sw "
      "txconf: "
      "sw\n";
  const NodeReport report = ParseReport("n1", Sections(status, show, ss), false);
  const ResourceObservation seen = BuildObservation("r0", {}, {{"n1", SliceOf(report, "r0")}}, {});
  const EndView& end = seen.connections.at(Pair::Of("n1", "n2")).a;
  EXPECT_EQ(end.sockets, SocketProof::kEncrypted);
  EXPECT_EQ(end.session, "41001-7000,7000-41000");
  const ResourceObservation strict =
      BuildObservation("r0", {}, {{"n1", SliceOf(report, "r0")}}, {}, {.ciphers = {"aes-gcm-256"}});
  EXPECT_EQ(strict.connections.at(Pair::Of("n1", "n2")).a.sockets, SocketProof::kWeak);
}

// The module is missing: drbdsetup prints nothing, and the node must be told to load DRBD.
TEST(ReportTest, AnswersWithoutDrbd) {
  const NodeReport report = ParseReport("n1", Sections("", "", ""), false);
  EXPECT_TRUE(report.ended);
  EXPECT_FALSE(report.complete);
  EXPECT_FALSE(report.versions.loaded);
}

}  // namespace
}  // namespace breakwater::replication
