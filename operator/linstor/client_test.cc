// The client against recorded replies of a real LINSTOR (testdata/README.md).

#include <atomic>
#include <fstream>
#include <latch>
#include <sstream>
#include <thread>

#include <gtest/gtest.h>

#include "operator/linstor/decode.h"
#include "operator/linstor/http_client.h"
#include "operator/net/cpprest_transport.h"
#include "operator/net/loopback_server.h"
#include "operator/testing/fake_clock.h"
#include "operator/testing/scripted_transport.h"
#include "operator/testing/source_dir.h"

namespace breakwater::linstor {
namespace {

using breakwater::testing::ScriptedTransport;
using net::TransportError;

std::string Sample(const std::string& name) {
  std::ifstream file(testing::SourceDir() + "/operator/linstor/testdata/" + name);
  EXPECT_TRUE(file.good()) << name;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class ClientTest : public ::testing::Test {
 protected:
  std::shared_ptr<Client> Make(int endpoints = 1) {
    std::vector<Endpoint> list;
    for (int i = 0; i < endpoints; ++i) {
      transports_.push_back(std::make_shared<ScriptedTransport>());
      list.push_back({"http://c" + std::to_string(i) + ":3370", "", transports_.back()});
    }
    return MakeHttpClient(std::move(list), {.retry_delay = std::chrono::milliseconds(0),
                                            .max_requests_per_second = 0});
  }

  std::vector<std::shared_ptr<ScriptedTransport>> transports_;
  std::stop_source stop_;
  Context ctx_{stop_.get_token()};
};

const TransportError kRefused{TransportError::Kind::kConnect, "connection refused", true};
const TransportError kReset{TransportError::Kind::kReset, "reset by peer", false};

// A node list that is read wrongly makes the operator register nodes again or believe them offline.
TEST_F(ClientTest, ReadsNodes) {
  const auto client = Make();
  transports_[0]->Expect("GET", "/v1/nodes").Reply(200, Sample("nodes.json"));
  const auto nodes = client->ListNodes(ctx_);
  ASSERT_TRUE(nodes);
  ASSERT_EQ(nodes->size(), 3U);
  const Node& node = nodes->front();
  EXPECT_EQ(node.name, "n1");
  EXPECT_TRUE(node.online());
  ASSERT_EQ(node.net_interfaces.size(), 1U);
  EXPECT_EQ(node.net_interfaces[0].address, "10.77.0.1");
  EXPECT_EQ(node.net_interfaces[0].satellite_port, 3366);
  EXPECT_EQ(node.net_interfaces[0].satellite_encryption_type, "PLAIN");
  EXPECT_TRUE(node.net_interfaces[0].is_active);
}

// The migration decides by these fields what it may cut.
TEST_F(ClientTest, ReadsResourcesWithTheirDrbdState) {
  const auto client = Make();
  transports_[0]
      ->Expect("GET", "/v1/view/resources?nodes=n1&resources=r1")
      .Reply(200, Sample("view_resources.json"));
  const auto resources = client->ListResources(ctx_, "n1", "r1");
  ASSERT_TRUE(resources);
  ASSERT_EQ(resources->size(), 3U);
  const Resource& resource = resources->front();
  EXPECT_TRUE(resource.has_drbd);
  EXPECT_EQ(resource.drbd_node_id, 0);
  EXPECT_EQ(resource.tcp_ports, std::vector<int>{7000});
  EXPECT_EQ(resource.in_use, false);
  EXPECT_TRUE(resource.connections.at("n2").connected);
  EXPECT_EQ(resource.connections.at("n2").message, "Connected");
  ASSERT_EQ(resource.volumes.size(), 1U);
  EXPECT_EQ(resource.volumes[0].disk_state, "UpToDate");
  EXPECT_EQ(resource.volumes[0].replication_states.at("n3"), "Established");
  EXPECT_FALSE(resource.diskless());
}

// An offline node reports no capacity: that must not read as "0 bytes free of 0", nor be an error.
TEST_F(ClientTest, ReadsPoolsOfOfflineNodes) {
  const auto client = Make();
  transports_[0]
      ->Expect("GET", "/v1/view/storage-pools?cached=true")
      .Reply(200, Sample("storage_pools_offline.json"));
  const auto pools = client->ListStoragePools(ctx_, "");
  ASSERT_TRUE(pools);
  EXPECT_EQ(pools->at(0).name, "DfltDisklessStorPool");
  EXPECT_FALSE(pools->at(0).free_kib.has_value());
  ASSERT_EQ(pools->at(0).reports.size(), 1U);
  EXPECT_FALSE(pools->at(0).reports[0].IsError());
}

TEST_F(ClientTest, ReadsDefinitionsAndConnections) {
  const auto client = Make();
  transports_[0]
      ->Expect("GET", "/v1/resource-definitions")
      .Reply(200, Sample("resource_definitions.json"));
  transports_[0]->Expect("GET", "/v1/node-connections").Reply(200, Sample("node_connections.json"));
  const auto definitions = client->ListResourceDefinitions(ctx_);
  ASSERT_TRUE(definitions);
  EXPECT_EQ(definitions->at(2).props.at(std::string(kPropertyTls)), "yes");
  EXPECT_EQ(definitions->at(2).resource_group, "rg1");
  const auto connections = client->ListNodeConnections(ctx_);
  ASSERT_TRUE(connections);
  EXPECT_TRUE(connections->at(0).IsBetween("nb", "na"));
}

// REVIEW-2 M2: 45 MB of auxiliary properties on volumes took 129 MiB: whoever may write one LINSTOR
// object killed the operator. Ours must still be read.
TEST_F(ClientTest, AuxPropertiesOfOthersDoNotFillTheMemory) {
  nlohmann::json props{{"Aux/breakwater.io/tls-pin", "yes"}, {kPropertyTls, "no"}};
  for (int i = 0; i < 9; ++i) {
    props["Aux/junk" + std::to_string(i)] = std::string(1U << 20U, 'x');
  }
  const nlohmann::json one{{"name", "r"}, {"props", props}};
  const auto client = Make();
  transports_[0]
      ->Expect("GET", "/v1/resource-definitions")
      .Reply(200, nlohmann::json::array({one}).dump());
  const auto definitions = client->ListResourceDefinitions(ctx_);
  ASSERT_TRUE(definitions);
  EXPECT_EQ(definitions->at(0).props,
            (Props{{"Aux/breakwater.io/tls-pin", "yes"}, {std::string(kPropertyTls), "no"}}));
}

// "No active connection to satellite" comes with 201: the node gets the change later, and the user
// must be told that it has not got it yet.
TEST_F(ClientTest, KeepsWarningsOfAcceptedWrites) {
  const auto client = Make();
  transports_[0]->Expect("POST", "/v1/nodes").Reply(201, Sample("create_node_offline.json"));
  const auto reply = client->CreateNode(ctx_, {.name = "na"});
  ASSERT_TRUE(reply);
  ASSERT_EQ(reply->messages.size(), 2U);
  EXPECT_EQ(reply->messages[1].ret_code, -9223372036834065430);  // a double would lose its end
}

// LINSTOR answers nearly every fault with 500; the first message may even be a success.
TEST_F(ClientTest, ErrorsKeepTheirMessages) {
  const auto client = Make();
  transports_[0]->Expect("POST", "/v1/nodes").Reply(500, Sample("create_node_refused.json"));
  const auto reply = client->CreateNode(ctx_, {.name = "nb"});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().http_status(), 500);
  EXPECT_NE(reply.error().message().find("TCP connector"), std::string::npos);
  EXPECT_EQ(reply.error().message().find("registered"),
            std::string::npos);  // the success is not the cause
  EXPECT_EQ(reply.error().ToError().error_class, ErrorClass::kTransient);
}

// A change that failed on one node must not be taken for done.
TEST_F(ClientTest, AdjustThatFailsOnOneNodeIsAnError) {
  const auto client = Make();
  transports_[0]
      ->Expect("PUT", "/v1/resource-definitions/r1")
      .Reply(500, Sample("adjust_failed.json"));
  const auto reply = client->ModifyResourceDefinition(ctx_, "r1", {.override_props = {{"k", "v"}}});
  EXPECT_FALSE(reply);
}

TEST_F(ClientTest, AnErrorInsideASuccessIsAnError) {
  const auto client = Make();
  transports_[0]
      ->Expect("DELETE", "/v1/nodes/n1")
      .Reply(200,
             R"([{"ret_code":1,"message":"a"},{"ret_code":-4611686018427387597,"message":"b"}])");
  const auto reply = client->DeleteNode(ctx_, "n1");
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().message(), "b");
}

TEST_F(ClientTest, NotFoundIsRecognised) {
  const auto client = Make();
  transports_[0]
      ->Expect("GET", "/v1/nodes/n9")
      .Reply(404, R"([{"ret_code":-4611686018427387597,"message":"Node 'n9' not found."}])");
  const auto node = client->GetNode(ctx_, "n9");
  ASSERT_FALSE(node);
  EXPECT_TRUE(node.error().IsNotFound());
}

TEST_F(ClientTest, SendsPropertyChangesAndEncodesNames) {
  const auto client = Make();
  transports_[0]
      ->Expect("PUT", "/v1/resource-definitions/my%20res/resource-connections/a/b")
      .Reply(200, "[]")
      .Check([](const net::Request& request) {
        EXPECT_EQ(Json::parse(request.body),
                  Json::parse(
                      R"({"override_props":{"DrbdOptions/Net/tls":"yes"},"delete_props":["x"]})"));
        EXPECT_EQ(net::FindHeader(request.headers, "content-type"), "application/json");
      });
  EXPECT_TRUE(client->ModifyResourceConnection(
      ctx_, "my res", "a", "b",
      {.override_props = {{std::string(kPropertyTls), "yes"}}, .delete_props = {"x"}}));
}

// Two nodes on the same disks: without the name LINSTOR takes them for two copies of the data.
TEST_F(ClientTest, PoolsOnSharedDisksSaySo) {
  const auto client = Make();
  const auto body = [](const char* text) {
    return [wanted = Json::parse(text)](const net::Request& request) {
      EXPECT_EQ(Json::parse(request.body), wanted);
    };
  };
  const StoragePool shared{.name = "san",
                           .node = "n1",
                           .provider_kind = "LVM",
                           .shared_space = "array",
                           .external_locking = true};
  transports_[0]
      ->Expect("POST", "/v1/nodes/n1/storage-pools")
      .Reply(201, "[]")
      .Check(body(R"({"storage_pool_name":"san","provider_kind":"LVM","shared_space":"array",
                      "external_locking":true})"));
  EXPECT_TRUE(client->CreateStoragePool(ctx_, shared));
  transports_[0]
      ->Expect("POST", "/v1/nodes/n1/storage-pools")
      .Reply(201, "[]")
      .Check(body(R"({"storage_pool_name":"own","provider_kind":"LVM"})"));
  EXPECT_TRUE(
      client->CreateStoragePool(ctx_, {.name = "own", .node = "n1", .provider_kind = "LVM"}));
  transports_[0]
      ->Expect("POST", "/v1/physical-storage/n1")
      .Reply(201, "[]")
      .Check(body(R"({"provider_kind":"LVM","device_paths":["/dev/sdb"],"pool_name":"vg",
                      "with_storage_pool":{"name":"san","shared_space":"array"}})"));
  EXPECT_TRUE(client->CreatePhysicalStorage(ctx_, "n1",
                                            {.provider_kind = "LVM",
                                             .device_paths = {"/dev/sdb"},
                                             .pool_name = "vg",
                                             .storage_pool = "san",
                                             .shared_space = "array"}));
  transports_[0]
      ->Expect("GET", "/v1/view/storage-pools?cached=true")
      .Reply(200, R"([{"storage_pool_name":"san","node_name":"n1","provider_kind":"LVM",
                       "shared_space":"array","external_locking":true}])");
  const auto pools = client->ListStoragePools(ctx_, "");
  ASSERT_TRUE(pools);
  EXPECT_EQ(pools->at(0).shared_space, "array");
  EXPECT_TRUE(pools->at(0).external_locking);
}

// Replies hold DRBD's shared secrets: no error text may quote them.
TEST_F(ClientTest, BrokenRepliesAreNotQuoted) {
  const auto client = Make();
  transports_[0]
      ->Expect("GET", "/v1/view/resources")
      .Reply(200, Sample("view_resources.json").substr(0, 3000));
  const auto resources = client->ListResources(ctx_, "", "");
  ASSERT_FALSE(resources);
  EXPECT_EQ(resources.error().message().find("DO-NOT-LOG"), std::string::npos);
}

// Half a reply of a proxy is not "there is nothing": pools would be made again, and a node whose
// resources were not listed would be deleted.
TEST_F(ClientTest, NoReadTakesAnotherBodyForAnEmptyList) {
  for (const char* body :
       {"", "{}", "null", "5", "[", R"([{"name":"n1"})", "[1]", "[null]", R"(["n1"])",
        R"([{"ret_code":-4611686018427387597,"message":"Peer not connected"}])",
        R"([{"ret_code":-9223372036834065430,"message":"not available"}])"}) {
    const auto client = Make();
    transports_.back()->Expect("GET", "/v1/view/resources?nodes=n1").Reply(200, body);
    EXPECT_FALSE(client->ListResources(ctx_, "n1", "")) << body;
    transports_.back()->Expect("GET", "/v1/view/storage-pools?cached=true").Reply(200, body);
    EXPECT_FALSE(client->ListStoragePools(ctx_, "")) << body;
  }
  for (const char* body : {"", "[]", "null", R"({"name":"n1")",
                           R"({"ret_code":-4611686018427387597,"message":"broken"})"}) {
    const auto client = Make();
    transports_.back()->Expect("GET", "/v1/nodes/n1").Reply(200, body);
    EXPECT_FALSE(client->GetNode(ctx_, "n1")) << body;
  }
}

TEST_F(ClientTest, AWriteMayBeAnsweredWithoutABody) {
  const auto client = Make();
  transports_[0]->Expect("PUT", "/v1/nodes/n1/restore").Reply(200, "");
  EXPECT_TRUE(client->RestoreNode(ctx_, "n1"));
}

// An ingress without a backend answers 404 too. Believing it would register every node again, and
// end an evacuation that has not begun.
TEST_F(ClientTest, NotFoundIsOnlyBelievedFromLinstor) {
  const auto client = Make();
  transports_[0]->Expect("GET", "/v1/nodes/n1").Reply(404, "404 page not found");
  const auto node = client->GetNode(ctx_, "n1");
  ASSERT_FALSE(node);
  EXPECT_FALSE(node.error().IsNotFound());
  EXPECT_EQ(node.error().ToError().error_class, ErrorClass::kTransient);
}

// Layers within layers are read recursively: a proxy's or attacker's reply must not end the
// operator.
TEST_F(ClientTest, DeepRepliesAreErrors) {
  const auto client = Make();
  std::string reply = R"([{"name":"r","layer_object":)";
  for (int i = 0; i < 200'000; ++i) {
    reply += R"({"children":[)";
  }
  for (int i = 0; i < 200'000; ++i) {
    reply += "]}";
  }
  transports_[0]->Expect("GET", "/v1/view/resources").Reply(200, reply + "}]");
  const auto resources = client->ListResources(ctx_, "", "");
  ASSERT_FALSE(resources);
  EXPECT_NE(resources.error().message().find("levels deep"), std::string::npos);
}

TEST_F(ClientTest, ReadsAreRepeated) {
  const auto client = Make();
  transports_[0]->Expect("GET", "/v1/controller/version").Fail(kReset);
  transports_[0]->Expect("GET", "/v1/controller/version").Reply(200, Sample("version.json"));
  const auto version = client->GetVersion(ctx_);
  ASSERT_TRUE(version);
  EXPECT_EQ(version->rest_api_version, "1.28.0");
}

// A write that may have been made is never made twice: evacuating twice adds replicas.
TEST_F(ClientTest, WritesAreNotRepeated) {
  const auto client = Make(2);
  transports_[0]->Expect("PUT", "/v1/nodes/n1/evacuate").Fail(kReset);
  const auto reply = client->EvacuateNode(ctx_, "n1");
  ASSERT_FALSE(reply);
  EXPECT_TRUE(reply.error().IsTransport());
}

// Breaks: a node is evacuated twice, or a device is prepared twice, because the HTTP library
// repeats by itself what it sent on a kept connection that closes before the reply.
TEST(LoopbackClientTest, NobodyBelowRepeatsAWrite) {
  std::atomic<int> writes = 0;
  std::latch both(2);
  net::LoopbackServer server([&](net::LoopbackPeer& peer) {
    while (true) {
      const std::string request = peer.ReadRequest();
      if (request.empty()) {
        return;
      }
      if (!request.starts_with("GET")) {
        ++writes;
        return;  // closes without a reply
      }
      if (!both.try_wait()) {
        both.arrive_and_wait();  // two requests at once: two kept connections
      }
      peer.Reply(200, Sample("version.json"));
    }
  });
  net::StartHttpThreads();
  const auto client = MakeHttpClient(
      {{server.url(), "", net::MakeCpprestTransport({.base_url = server.url()}).value()}},
      {.max_requests_per_second = 0});
  const Context ctx = Context(std::stop_token()).WithTimeout(std::chrono::seconds(10));
  {
    const std::jthread other([&] { EXPECT_TRUE(client->GetVersion(ctx)); });
    ASSERT_TRUE(client->GetVersion(ctx));
  }
  ASSERT_TRUE(client->GetVersion(ctx));  // one of the two connections is idle for certain
  const auto evacuated = client->EvacuateNode(ctx, "n1");
  ASSERT_FALSE(evacuated);
  EXPECT_TRUE(evacuated.error().IsTransport());
  EXPECT_EQ(writes, 1);
}

// With a redundant controller only one of the URLs answers; the next call starts there.
TEST_F(ClientTest, FailsOverToTheControllerThatAnswers) {
  const auto client = Make(2);
  transports_[0]->Expect("PUT", "/v1/nodes/n1/evacuate").Fail(kRefused);
  transports_[1]->Expect("PUT", "/v1/nodes/n1/evacuate").Reply(200, "[]");
  transports_[1]->Expect("GET", "/v1/controller/version").Reply(200, Sample("version.json"));
  EXPECT_TRUE(client->EvacuateNode(ctx_, "n1"));
  EXPECT_EQ(client->url(), "http://c1:3370");
  EXPECT_TRUE(client->GetVersion(ctx_));
}

TEST_F(ClientTest, SaysWhichAddressDidNotAnswer) {
  const auto client = Make();
  transports_[0]->Expect("GET", "/v1/nodes").Fail(kRefused);
  transports_[0]->Expect("GET", "/v1/nodes").Fail(kRefused);
  const auto nodes = client->ListNodes(ctx_);
  ASSERT_FALSE(nodes);
  EXPECT_NE(nodes.error().message().find("http://c0:3370"), std::string::npos);
}

}  // namespace
}  // namespace breakwater::linstor
