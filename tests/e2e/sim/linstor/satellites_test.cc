#include "tests/e2e/sim/linstor/satellites.h"

#include <gtest/gtest.h>

#include <future>
#include <set>

#include "tests/e2e/sim/linstor/simulator.h"
#include "tests/e2e/sim/linstor/testing.h"

namespace breakwater::sim {
namespace {

using std::chrono::milliseconds;

constexpr const char* kTls = "DrbdOptions/Net/tls";

/// Three online nodes with pools, driven without sockets and without waiting.
class SatellitesTest : public ::testing::Test {
 protected:
  SatellitesTest() : sim_("", port_, Options()) {
    for (const std::string number : {"1", "2", "3"}) {
      port_.pods.push_back({"n" + number, "10.77.0." + number, true});
      Expect(201, "POST", "/v1/nodes",
             {{"name", "n" + number},
              {"type", "Satellite"},
              {"net_interfaces",
               {{{"name", "default"},
                 {"address", "10.77.0." + number},
                 {"satellite_port", 3366},
                 {"satellite_encryption_type", "PLAIN"}}}}});
      Expect(201, "POST", "/v1/nodes/n" + number + "/storage-pools",
             {{"storage_pool_name", "fthin"}, {"provider_kind", "FILE_THIN"}});
    }
  }

  static SimOptions Options() {
    SimOptions options;
    options.first_adjust = milliseconds(2);
    options.next_round = milliseconds(1);
    options.full_sync = milliseconds(1);
    options.snapshot = milliseconds(2);
    return options;
  }

  nlohmann::json Expect(int status,
                        const std::string& method,
                        const std::string& path,
                        const nlohmann::json& body = nullptr) {
    HttpRequest request;
    request.method = method;
    request.path = path;
    request.body = body.is_null() ? "" : body.dump();
    const auto reply = sim_.Handle(request);
    EXPECT_EQ(reply.status, status) << method << " " << path << ": " << reply.body;
    return reply.body.empty() ? nlohmann::json() : nlohmann::json::parse(reply.body);
  }

  void AddResource(const std::string& name, const std::vector<std::string>& nodes) {
    const auto base = "/v1/resource-definitions/" + name;
    Expect(201, "POST", "/v1/resource-definitions", {{"resource_definition", {{"name", name}}}});
    Expect(200, "POST", base + "/volume-definitions",
           {{"volume_definition", {{"size_kib", 65536}}}});
    auto wanted = nlohmann::json::array();
    for (const auto& node : nodes) {
      wanted.push_back(
          {{"resource", {{"node_name", node}, {"props", {{"StorPoolName", "fthin"}}}}}});
    }
    Expect(201, "POST", base + "/resources", wanted);
    Forget();
  }

  void Forget() {
    const std::lock_guard lock(port_.mutex);
    port_.calls.clear();
  }

  std::size_t Adjusts(const std::string& node, const std::string& resource) {
    return port_.Calls(node + " drbdadm -vvv adjust " + resource).size();
  }

  std::string File(const std::string& node, const std::string& resource) {
    const std::lock_guard lock(port_.mutex);
    return port_.files[node + ":/var/lib/linstor.d/" + resource + ".res"];
  }

  static bool Until(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition() && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(milliseconds(1));
    }
    return condition();
  }

  /// A resource in pools that can make snapshots, on nodes that know what is suspended.
  void AddSnapshotResource(const std::string& name) {
    for (const std::string node : {"n1", "n2", "n3"}) {
      Expect(201, "POST", "/v1/nodes/" + node + "/storage-pools",
             {{"storage_pool_name", "thin"}, {"provider_kind", "LVM_THIN"}});
    }
    Expect(201, "POST", "/v1/resource-definitions", {{"resource_definition", {{"name", name}}}});
    Expect(200, "POST", "/v1/resource-definitions/" + name + "/volume-definitions",
           {{"volume_definition", {{"size_kib", 65536}}}});
    Expect(201, "POST", "/v1/resource-definitions/" + name + "/autoplace",
           {{"select_filter", {{"place_count", 2}, {"storage_pool", "thin"}}}});
    Forget();
  }

  /// Hook: `drbdsetup status` shows what suspend-io and resume-io left behind.
  std::function<void(const std::string&, const std::string&, CommandResult&)> Suspending() {
    return [this](const std::string& node, const std::string& command, CommandResult& result) {
      const std::lock_guard lock(port_.mutex);
      if (command.rfind("drbdadm suspend-io ", 0) == 0) {
        suspended_.insert(node + " " + command.substr(19));
      } else if (command.rfind("drbdadm resume-io ", 0) == 0) {
        suspended_.erase(node + " " + command.substr(18));
      } else if (command == "drbdsetup status") {
        for (const auto& one : suspended_) {
          if (one.rfind(node + " ", 0) == 0) {
            result.out += one.substr(node.size() + 1) + " role:Primary suspended:user\n";
          }
        }
      }
    };
  }

  static nlohmann::json Set(const std::string& value) {
    return {{"override_props", {{kTls, value}}}};
  }

  std::set<std::string> suspended_;  // "node resource"; guarded by port_.mutex
  RecordingPort port_;
  Simulator sim_;
};

TEST_F(SatellitesTest, NewReplicasStartFromOneGeneration) {
  Expect(201, "POST", "/v1/resource-definitions", {{"resource_definition", {{"name", "r1"}}}});
  Expect(200, "POST", "/v1/resource-definitions/r1/volume-definitions",
         {{"volume_definition", {{"size_kib", 4096}}}});
  Expect(201, "POST", "/v1/resource-definitions/r1/autoplace",
         {{"select_filter", {{"place_count", 2}}}});
  EXPECT_EQ(port_.Calls("create-md r1/0").size(), 2U);
  EXPECT_EQ(port_.Calls("set-gi").size(), 6U) << "two nodes, three node ids with the tiebreaker";
  const auto& r1 = sim_.database.state.definitions.at("r1");
  EXPECT_TRUE(HasFlag(r1.resources.at("n3").flags, "TIE_BREAKER"));
  EXPECT_EQ(r1.props.at("DrbdOptions/Resource/quorum"), "majority");
  EXPECT_NE(File("n3", "r1").find("disk        none;"), std::string::npos);
}

TEST_F(SatellitesTest, ThirdReplicaTakesTheTiebreakersPlaceAndSyncs) {
  AddResource("r1", {"n1", "n2"});
  Expect(201, "POST", "/v1/resource-definitions/r1/resources/n3",
         {{"resource", {{"props", {{"StorPoolName", "fthin"}}}}}});
  EXPECT_EQ(port_.Calls("n3 drbdadm -vvv --max-peers 7 -- --force create-md r1/0").size(), 1U);
  EXPECT_TRUE(port_.Calls("set-gi").empty()) << "its data is not on the new disk";
  EXPECT_EQ(sim_.database.state.definitions.at("r1").resources.at("n3").node_id, 2);
}

TEST_F(SatellitesTest, WhoAdjusts) {  // L17
  AddResource("r1", {"n1", "n2", "n3"});
  AddResource("r2", {"n1", "n2"});
  Expect(201, "POST", "/v1/controller/properties", Set("yes"));
  EXPECT_EQ(Adjusts("n1", "r1") + Adjusts("n2", "r1") + Adjusts("n3", "r1"), 3U);
  EXPECT_EQ(Adjusts("n1", "r2") + Adjusts("n2", "r2") + Adjusts("n3", "r2"), 3U);
  Forget();
  Expect(200, "PUT", "/v1/resource-definitions/r1", Set("no"));
  EXPECT_EQ(port_.Calls("adjust").size(), 3U);
  Forget();
  Expect(200, "PUT", "/v1/resource-definitions/r1/resource-connections/n1/n2", Set("yes"));
  EXPECT_EQ(port_.Calls("adjust r1").size(), 6U) << "all nodes, twice";
  EXPECT_EQ(port_.Calls("adjust").size(), 6U);
  Forget();
  Expect(200, "PUT", "/v1/node-connections/n1/n2", Set("yes"));
  EXPECT_EQ(port_.Calls("adjust").size(), 12U) << "all resources on all nodes, twice";
  Forget();
  Expect(200, "PUT", "/v1/resource-definitions/r1", Set("no"));
  EXPECT_TRUE(port_.calls.empty()) << "an equal value: nobody";
}

TEST_F(SatellitesTest, OneFailureKeepsThePropertyAndTheOldFileThere) {  // L20, L21
  AddResource("r1", {"n1", "n2", "n3"});
  const auto before = File("n2", "r1");
  port_.hook = [](const std::string& node, const std::string& command, CommandResult& result) {
    if (node == "n2" && command.find("adjust r1") != std::string::npos) {
      result = {.exit = 10, .out = "", .err = "TLS can not be enabled, tlshd not running"};
    }
  };
  const auto reply = Expect(500, "PUT", "/v1/resource-definitions/r1", Set("yes"));
  const auto& last = reply.back();
  EXPECT_EQ(last.at("message"), "(n2) Failed to adjust DRBD resource r1");
  EXPECT_EQ(last.at("ret_code").get<std::int64_t>(), -4611686018390162458);
  ASSERT_EQ(last.at("error_report_ids").size(), 2U);
  const auto report =
      Expect(200, "GET", "/v1/error-reports/" + last.at("error_report_ids")[1].get<std::string>());
  EXPECT_NE(report[0].at("text").get<std::string>().find("tlshd not running"), std::string::npos);
  EXPECT_EQ(Expect(200, "GET", "/v1/resource-definitions/r1").at("props").at(kTls), "yes");
  EXPECT_EQ(File("n2", "r1"), before);
  // The reply comes with the first error, the other nodes are not done yet.
  ASSERT_TRUE(Until([&] { return port_.Calls("adjust r1").size() == 3; }));
  Forget();
  Expect(200, "PUT", "/v1/resource-definitions/r1", Set("yes"));
  EXPECT_TRUE(port_.calls.empty());
}

TEST_F(SatellitesTest, FailedNodeIsRetriedAloneAfterItsDelay) {  // L22
  AddResource("r1", {"n1", "n2", "n3"});
  port_.hook = [](const std::string& node, const std::string& command, CommandResult& result) {
    result.exit = node == "n2" && command.find("adjust r1") != std::string::npos ? 10 : result.exit;
  };
  SimOptions options = Options();
  Satellite alone("n2", sim_.database, port_, options);
  alone.Connect();
  const auto after = std::make_shared<Collector>();  // one job after the other: then it has failed
  alone.Submit({}, after);
  CycleResult done;
  ASSERT_TRUE(after->Take(std::chrono::seconds(20), done));
  const auto now = std::chrono::steady_clock::now();
  EXPECT_TRUE(alone.TakeDueRetries(now + std::chrono::seconds(21)).empty());
  EXPECT_EQ(alone.TakeDueRetries(now + std::chrono::seconds(23)), std::vector<std::string>{"r1"});
  EXPECT_TRUE(alone.TakeDueRetries(now + std::chrono::seconds(60)).empty()) << "once per failure";
}

TEST_F(SatellitesTest, SuspendedResourceIsResumedBeforeItIsAdjusted) {  // L24
  AddResource("r1", {"n1", "n2", "n3"});
  AddResource("r2", {"n1", "n2", "n3"});
  port_.hook = [](const std::string& node, const std::string& command, CommandResult& result) {
    if (node == "n1" && command == "drbdsetup status") {
      result.out = "r1 role:Primary suspended:user\n  disk:UpToDate\n";
    }
  };
  Expect(200, "PUT", "/v1/resource-definitions/r2", Set("yes"));
  EXPECT_TRUE(port_.Calls("resume-io").empty()) << "another resource's change";
  Expect(200, "PUT", "/v1/resource-definitions/r1", {{"override_props", {{"Aux/q", "1"}}}});
  const auto calls = port_.Calls("n1 drbdadm");
  ASSERT_GE(calls.size(), 2U);
  EXPECT_EQ(calls[calls.size() - 2], "n1 drbdadm resume-io r1");
  EXPECT_EQ(calls.back(), "n1 drbdadm -vvv adjust r1");
}

TEST_F(SatellitesTest, AReconnectAdjustsWhatIsSuspendedButDoesNotResumeIt) {  // L24, L27
  // Otherwise each restart of a satellite would thaw a volume in the middle of its migration.
  AddResource("r1", {"n1", "n2", "n3"});
  port_.hook = [](const std::string& node, const std::string& command, CommandResult& result) {
    if (node == "n1" && command == "drbdsetup status") {
      result.out = "r1 role:Primary suspended:user\n  disk:UpToDate\n";
    }
  };
  Expect(200, "PUT", "/v1/nodes/n1/reconnect");
  EXPECT_TRUE(Until([&] { return Adjusts("n1", "r1") == 1; }));
  sim_.satellites.Restart();
  EXPECT_TRUE(Until([&] { return Adjusts("n1", "r1") == 2 && Adjusts("n3", "r1") == 1; }));
  EXPECT_TRUE(port_.Calls("resume-io").empty());
}

TEST_F(SatellitesTest, ASatelliteThatIsBackAtOnceIsNoticed) {  // L27
  AddResource("r1", {"n1", "n2", "n3"});
  sim_.satellites.Poll();
  EXPECT_TRUE(port_.Calls("adjust").empty());
  port_.pods[1].epoch = 1;
  sim_.satellites.Poll();
  EXPECT_TRUE(Until([&] { return Adjusts("n2", "r1") == 1; }));
  EXPECT_EQ(port_.Calls("adjust").size(), 1U);
}

TEST_F(SatellitesTest, ALostConnectionEndsTheRequestsThatWaitForIt) {  // L28
  // A client without a deadline would hang for ever on a satellite that is back already.
  AddResource("r1", {"n1", "n2", "n3"});
  AddResource("r2", {"n1", "n2", "n3"});
  std::promise<void> release;
  const std::shared_future<void> released = release.get_future().share();
  port_.hook = [released](const std::string& node, const std::string& command, CommandResult&) {
    if (node == "n2" && command.find("adjust r1") != std::string::npos) {
      released.wait();
    }
  };
  const auto put = [this](const std::string& name) {
    return std::async(std::launch::async, [this, name] {
      return Expect(500, "PUT", "/v1/resource-definitions/" + name, Set("yes"));
    });
  };
  auto running = put("r1");
  EXPECT_TRUE(Until([&] { return Adjusts("n2", "r1") == 1; }));
  auto queued = put("r2");
  EXPECT_TRUE(Until([&] { return Adjusts("n1", "r2") + Adjusts("n3", "r2") == 2; }));
  sim_.satellites.Restart();
  EXPECT_EQ(queued.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  release.set_value();
  for (auto* reply : {&queued, &running}) {
    EXPECT_EQ(reply->get().back().at("message"), "(n2) Peer connection closed");
  }
}

TEST_F(SatellitesTest, FailedResumeMeansNoAdjustThere) {  // L24
  AddResource("r1", {"n1", "n2", "n3"});
  port_.hook = [](const std::string& node, const std::string& command, CommandResult& result) {
    if (node == "n1" && command == "drbdsetup status") {
      result.out = "r1 role:Primary suspended:user\n";
    }
    result.exit = command == "drbdadm resume-io r1" ? 10 : result.exit;
  };
  const auto reply = Expect(500, "PUT", "/v1/resource-definitions/r1", Set("yes"));
  EXPECT_EQ(reply.back().at("message"),
            "(n1) Failed to resume IO for resource r1 on layer DrbdLayer");
  EXPECT_EQ(Adjusts("n1", "r1"), 0U);
}

TEST_F(SatellitesTest, ResourceInUseCannotBeDeleted) {  // L32
  AddResource("r1", {"n1", "n2", "n3"});
  port_.hook = [](const std::string&, const std::string& command, CommandResult& result) {
    if (command == "drbdsetup status --json") {
      result.out = R"([{"name":"r1","role":"Primary"}])";
    }
  };
  Expect(500, "DELETE", "/v1/resource-definitions/r1/resources/n1");
  port_.hook = [](const std::string&, const std::string& command, CommandResult& result) {
    result.exit = command == "drbdadm down r1" ? 10 : result.exit;
  };
  // Refused for the use first, as long as the status is remembered; then because `down` fails.
  ASSERT_TRUE(Until([&] {
    Expect(500, "DELETE", "/v1/resource-definitions/r1/resources/n1");
    return !port_.Calls("n1 drbdadm down r1").empty();
  }));
  Expect(500, "DELETE", "/v1/resource-definitions/r1/resources/n1");
  EXPECT_TRUE(HasFlag(sim_.database.state.definitions.at("r1").resources.at("n1").flags, "DELETE"));
  port_.hook = nullptr;
  Expect(200, "DELETE", "/v1/resource-definitions/r1/resources/n1");
  EXPECT_FALSE(sim_.database.state.definitions.at("r1").resources.contains("n1"));
  EXPECT_EQ(File("n2", "r1").find("on \"n1\""), std::string::npos);
}

// The guide's own order leads here (REVIEW-1 R2): the property is stored and answered with 200, the
// node does not have it, and the cluster's value then reaches the resource there.
TEST_F(SatellitesTest, AChangeDuringAFullSyncIsMissedUntilTheNextOne) {  // L33
  AddResource("r1", {"n1", "n2", "n3"});
  std::promise<void> release;
  const std::shared_future<void> released = release.get_future().share();
  port_.hook = [released](const std::string& node, const std::string& command, CommandResult&) {
    if (node == "n2" && command == "drbdadm --version") {
      released.wait();
    }
  };
  port_.pods[1].epoch = 1;
  sim_.satellites.Poll();
  ASSERT_TRUE(Until([&] { return port_.Calls("n2 drbdadm --version").size() == 1; }));
  EXPECT_EQ(sim_.satellites.status("n2"), "CONNECTED");
  const auto reply = Expect(200, "PUT", "/v1/resource-definitions/r1", Set("no"));
  EXPECT_EQ(reply.dump().find("No active connection"), std::string::npos);
  release.set_value();
  ASSERT_TRUE(Until([&] { return Adjusts("n2", "r1") == 1; }));
  EXPECT_NE(File("n1", "r1").find("tls no;"), std::string::npos);
  EXPECT_EQ(File("n2", "r1").find("tls no;"), std::string::npos);
  Expect(201, "POST", "/v1/controller/properties", Set("yes"));
  EXPECT_NE(File("n1", "r1").find("tls no;"), std::string::npos);
  EXPECT_NE(File("n2", "r1").find("tls yes;"), std::string::npos);
  Expect(200, "PUT", "/v1/resource-definitions/r1", {{"override_props", {{"Aux/q", "1"}}}});
  EXPECT_NE(File("n2", "r1").find("tls no;"), std::string::npos);
}

TEST_F(SatellitesTest, ASlowSatelliteHoldsTheRequestUp) {  // L36
  AddResource("r1", {"n1", "n2", "n3"});
  Expect(200, "POST", "/sim/fault",
         {{"kind", "slow-satellite"}, {"node", "n2"}, {"delay_ms", 100}});
  const auto start = std::chrono::steady_clock::now();
  Expect(200, "PUT", "/v1/resource-definitions/r1", Set("yes"));
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(100));
  Expect(200, "DELETE", "/sim/fault");
}

TEST_F(SatellitesTest, ASnapshotIsMadeWhileAllNodesStandStill) {  // REVIEW-1 H4
  AddSnapshotResource("r1");
  port_.hook = Suspending();
  Expect(201, "POST", "/v1/resource-definitions/r1/snapshots", {{"name", "s1"}});
  EXPECT_EQ(port_.Calls("drbdadm suspend-io r1").size(), 3U) << "the tiebreaker may be the Primary";
  EXPECT_EQ(port_.Calls("drbdadm resume-io r1").size(), 3U);
  const auto snapshots = Expect(200, "GET", "/sim/snapshots");
  EXPECT_EQ(snapshots.at(0).at("torn"), false);
  Expect(500, "DELETE", "/v1/resource-definitions/r1");
}

TEST_F(SatellitesTest, AChangeWhileASnapshotIsMadeTearsIt) {  // REVIEW-1 H4, L24
  AddSnapshotResource("r1");
  const auto remember = Suspending();
  port_.hook = [this, remember](const std::string& node, const std::string& command,
                                CommandResult& result) {
    remember(node, command, result);
    if (node == "n2" && command == "drbdadm suspend-io r1") {
      EXPECT_TRUE(Until([&] { return !port_.Calls("n1 drbdadm resume-io r1").empty(); }));
    }
  };
  auto snapshot = std::async(std::launch::async, [this] {
    Expect(201, "POST", "/v1/resource-definitions/r1/snapshots", {{"name", "s1"}});
  });
  ASSERT_TRUE(Until([&] {
    const std::lock_guard lock(port_.mutex);
    return suspended_.contains("n1 r1");
  }));
  Expect(200, "PUT", "/v1/resource-definitions/r1", {{"override_props", {{"Aux/q", "1"}}}});
  snapshot.get();
  EXPECT_EQ(Expect(200, "GET", "/sim/snapshots").at(0).at("torn"), true);
}

TEST_F(SatellitesTest, ASnapshotEndsASuspensionOfSomebodyElse) {  // REVIEW-1 H4
  // LINSTOR brings every resource to what it wants: at the end of a snapshot that is "not
  // suspended".
  AddSnapshotResource("r1");
  port_.hook = Suspending();
  suspended_.insert("n1 r1");
  Expect(201, "POST", "/v1/resource-definitions/r1/snapshots", {{"name", "s1"}});
  EXPECT_EQ(port_.Calls("n1 drbdadm suspend-io r1").size(), 0U);
  EXPECT_EQ(port_.Calls("n1 drbdadm resume-io r1").size(), 1U);
}

TEST_F(SatellitesTest, ABrokenSuspendIsResumedAndTheSnapshotFails) {
  AddSnapshotResource("r1");
  const auto remember = Suspending();
  port_.hook = [remember](const std::string& node, const std::string& command,
                          CommandResult& result) {
    if (node == "n2" && command == "drbdadm suspend-io r1") {
      result.exit = 20;
    } else {
      remember(node, command, result);
    }
  };
  Expect(500, "POST", "/v1/resource-definitions/r1/snapshots", {{"name", "s1"}});
  EXPECT_TRUE(suspended_.empty());
  EXPECT_EQ(Expect(200, "GET", "/v1/resource-definitions/r1/snapshots/s1").at("flags"),
            nlohmann::json::array({"FAILED_DEPLOYMENT"}));
}

}  // namespace
}  // namespace breakwater::sim
