// The one command that the operator still runs on a node that has no agent. What it was decided on
// may be old by the time it runs: it must look again itself, and refuse.

#include "operator/controllers/replication/exec_heal.h"

#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "operator/testing/fake_pod_exec.h"

namespace breakwater::controllers {
namespace {

constexpr const char* kGood =
    "exists resource name:r0 role:Primary suspended:no may_promote:no\n"
    "exists connection name:r0 peer-node-id:1 conn-name:node2 connection:Connected\n"
    "exists connection name:r0 peer-node-id:2 conn-name:node3 connection:Connected\n"
    "exists device name:r0 volume:0 minor:1000 disk:UpToDate client:no quorum:yes\n"
    "exists peer-device name:r0 peer-node-id:1 conn-name:node2 volume:0 replication:Established "
    "peer-disk:Outdated out-of-sync:0\n"
    "exists peer-device name:r0 peer-node-id:2 conn-name:node3 volume:0 replication:Established "
    "peer-disk:UpToDate out-of-sync:0\n";

class ExecHealTest : public ::testing::Test, public NodeShell {
 protected:
  ExecHealTest() : directory_(::testing::TempDir() + "exec-heal/") {
    mkdir(directory_.c_str(), 0700);
    exec_.AddContainer("ns", "pod", "satellite");
    std::ofstream(directory_ + "drbdsetup")
        << "#!/bin/sh\ncase $1 in events2) cat " << directory_ << "state;; *) echo \"$@\" > "
        << directory_ << "ran;; esac\n";
    chmod((directory_ + "drbdsetup").c_str(), 0700);
  }

  Result<kube::ExecResult, Error> Run(const Context& ctx,
                                      const std::string&,
                                      const std::string&,
                                      const std::vector<std::string>& argv) override {
    kube::ExecRequest request{.ns = "ns", .pod = "pod", .container = "satellite", .argv = argv};
    request.argv.at(2) = "PATH=" + directory_ + ":$PATH\n" + request.argv.at(2);
    const auto result = exec_.Exec(ctx, request);
    if (!result) {
      return Unexpected{result.error().ToError()};
    }
    return *result;
  }

  /// What the node was told, "" for nothing, when it shows `state`.
  std::string Heal(const std::string& state) {
    std::ofstream(directory_ + "state") << state;
    std::remove((directory_ + "ran").c_str());
    const auto healed =
        HealByExec(Context(std::stop_token{}).WithTimeout(std::chrono::seconds(20)), *this,
                   "satellite", "r0", {.primary = "node1", .peer = "node2"}, 1);
    std::stringstream ran;
    ran << std::ifstream(directory_ + "ran").rdbuf();
    EXPECT_EQ(healed.has_value(), !ran.str().empty());
    return ran.str();
  }

  static std::string With(const std::string& from, const std::string& to) {
    std::string state = kGood;
    const std::size_t at = state.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return state.replace(at, from.size(), to);
  }

  const std::string directory_;
  testing::FakePodExec exec_;
};

TEST_F(ExecHealTest, ResyncsThePeerThatIsBehind) {
  const std::string expected = "invalidate-remote r0 1 0 --reset-bitmap=no\n";
  EXPECT_EQ(Heal(kGood), expected);
  EXPECT_EQ(Heal(With("peer-disk:Outdated out-of-sync:0", "peer-disk:UpToDate out-of-sync:8")),
            expected);
}

TEST_F(ExecHealTest, RefusesWhatIsAnotherStateByNow) {
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"suspended:no", "suspended:user"},
           {"quorum:yes", "quorum:no"},
           {"disk:UpToDate client", "disk:Inconsistent client"},
           {"peer-disk:Outdated", "peer-disk:UpToDate"},
           {"replication:Established peer-disk:Outdated", "replication:Off peer-disk:Outdated"},
           {"conn-name:node3 connection:Connected", "conn-name:node3 connection:Connecting"},
       }) {
    EXPECT_EQ(Heal(With(from, to)), "") << from;
  }
  EXPECT_EQ(Heal(""), "");
}

}  // namespace
}  // namespace breakwater::controllers
