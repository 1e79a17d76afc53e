// What the operator relies on when it runs a program on a node, checked against FakePodExec and
// against a real API server when BREAKWATER_TEST_KUBECONFIG names a kubeconfig.

#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/object.h"
#include "operator/api/resources.h"
#include "operator/kube/http_client.h"
#include "operator/kube/ws_pod_exec.h"
#include "operator/net/beast_websocket.h"
#include "operator/net/cpprest_transport.h"
#include "operator/testing/fake_pod_exec.h"

namespace breakwater::testing {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only
using api::Json;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr const char* kNs = "default";
constexpr const char* kPod = "contract-exec";
constexpr const char* kContainer = "main";

/// Where programs run; null when it is not available.
class Kubelet {
 public:
  virtual ~Kubelet() = default;
  virtual kube::PodExec* exec() = 0;
};

class FakeKubelet final : public Kubelet {
 public:
  FakeKubelet() { exec_.AddContainer(kNs, kPod, kContainer); }

  kube::PodExec* exec() override { return &exec_; }

 private:
  FakePodExec exec_;
};

/// A pod on the first node of the cluster.
class RealKubelet final : public Kubelet {
 public:
  RealKubelet() {
    const char* path = std::getenv("BREAKWATER_TEST_KUBECONFIG");
    if (path == nullptr || *path == '\0') {
      return;
    }
    net::StartHttpThreads();
    const kube::KubeConfig config = kube::LoadConfig({.kubeconfig = path}).value();
    connection_ = kube::ConnectKube(config, RealClock(), Logger::Null()).value();
    connector_ = net::MakeBeastConnector({.base_url = config.server,
                                          .tls_server_name = config.tls_server_name,
                                          .tls = connection_.credentials->tls()})
                     .value();
    exec_ = kube::MakeWsPodExec(*connector_, connection_.credentials.get(), RealClock());
    StartPod();
  }

  ~RealKubelet() override {
    if (exec_ != nullptr) {
      (void)connection_.client->Delete(ctx_, api::kPod, {kNs, kPod}, {});
    }
  }

  kube::PodExec* exec() override { return exec_.get(); }

 private:
  void StartPod() {
    kube::KubeClient& kube = *connection_.client;
    const auto nodes = kube.List(ctx_, api::kNode, {.limit = 1});
    ASSERT_TRUE(nodes && !nodes->items.empty());
    const Json pod = {
        {"apiVersion", "v1"},
        {"kind", "Pod"},
        {"metadata", {{"name", kPod}}},
        {"spec",
         {{"nodeName", api::Object(nodes->items[0]).name()},
          {"containers", Json::array({{{"name", kContainer}, {"image", "contract"}}})}}}};
    // Refused until the namespace has its ServiceAccount, and while the last one is still there.
    while (!kube.Create(ctx_, api::kPod, kNs, pod)) {
      ASSERT_TRUE(ctx_.SleepFor(100ms)) << "the pod cannot be made";
    }
    while (!Running()) {
      ASSERT_TRUE(ctx_.SleepFor(50ms)) << "the pod does not run";
    }
  }

  bool Running() {
    const auto pod = connection_.client->Get(ctx_, api::kPod, {kNs, kPod});
    const Json* phase = pod ? api::FindPath(*pod, {"status", "phase"}) : nullptr;
    return phase != nullptr && *phase == "Running";
  }

  const Context ctx_ = Context(std::stop_token()).WithTimeout(60s);
  kube::KubeConnection connection_;
  std::unique_ptr<net::WebSocketConnector> connector_;
  std::unique_ptr<kube::PodExec> exec_;
};

class ExecContractTest : public ::testing::TestWithParam<bool> {
 protected:
  /// One pod for all tests: starting it is the slow part.
  static void SetUpTestSuite() {
    kubelets_[0] = std::make_unique<FakeKubelet>();
    kubelets_[1] = std::make_unique<RealKubelet>();
  }

  static void TearDownTestSuite() {
    for (std::unique_ptr<Kubelet>& kubelet : kubelets_) {
      kubelet.reset();
    }
  }

  void SetUp() override {
    if (exec() == nullptr) {
      GTEST_SKIP() << "NOT CHECKED against a real API server: set BREAKWATER_TEST_KUBECONFIG";
    }
  }

  static kube::PodExec* exec() { return kubelets_[GetParam() ? 1 : 0]->exec(); }

  static kube::ExecRequest Program(std::vector<std::string> argv) {
    return {.ns = kNs, .pod = kPod, .container = kContainer, .argv = std::move(argv)};
  }

  kube::KubeResult<kube::ExecResult> Run(const kube::ExecRequest& request,
                                         std::chrono::milliseconds timeout = 20s) {
    return exec()->Exec(Context(stop_.get_token()).WithTimeout(timeout), request);
  }

  std::stop_source stop_;

 private:
  static inline std::array<std::unique_ptr<Kubelet>, 2> kubelets_{};
};

// A warning of drbdadm on stderr inside the JSON of stdout would make every status unreadable.
TEST_P(ExecContractTest, GivesBothStreamsAndTheExitCode) {
  const auto result = Run(Program({"sh", "-c", "echo out; echo err >&2; exit 3"}));
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(result->out, "out\n");
  EXPECT_EQ(result->err, "err\n");
  EXPECT_EQ(result->exit_code, 3);
  EXPECT_FALSE(result->truncated);
  EXPECT_EQ(Run(Program({"true"})).value().exit_code, 0);
}

// Names from outside must reach the program as they are and never a shell.
TEST_P(ExecContractTest, ArgumentsAreNotInterpreted) {
  const auto result = Run(Program({"printf", "%s|", "a b", "$HOME", "'", "ü&x=1", ""}));
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(result->out, "a b|$HOME|'|ü&x=1||");
}

// A node with a thousand volumes prints ten megabytes.
TEST_P(ExecContractTest, LargeOutputArrivesWhole) {
  kube::ExecRequest request = Program({"head", "-c", "10000000", "/dev/zero"});
  request.max_output_bytes = 16U << 20U;
  const auto result = Run(request);
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_THAT(result->out, SizeIs(10000000));
  EXPECT_FALSE(result->truncated);
  EXPECT_EQ(result->exit_code, 0);
}

// A program gone mad must not fill the operator's memory, and its end is still seen.
TEST_P(ExecContractTest, OutputIsCapped) {
  kube::ExecRequest request = Program({"sh", "-c", "head -c 1000000 /dev/zero; exit 4"});
  request.max_output_bytes = 1000;
  const auto result = Run(request);
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_THAT(result->out, SizeIs(1000));
  EXPECT_TRUE(result->truncated);
  EXPECT_EQ(result->exit_code, 4);
}

// Killed (out of memory, a pod that ends) is a failure, whatever was printed before.
TEST_P(ExecContractTest, AKilledProgramHasAnExitCode) {
  const auto result = Run(Program({"sh", "-c", "echo half; kill -9 $$"}));
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(result->out, "half\n");
  EXPECT_EQ(result->exit_code, 137);
}

// A hanging drbdadm must cost one step, not a thread for ever.
TEST_P(ExecContractTest, TheDeadlineEndsTheWait) {
  const auto before = std::chrono::steady_clock::now();
  const auto result = Run(Program({"sleep", "60"}), 500ms);
  ASSERT_FALSE(result);
  ASSERT_NE(result.error().transport(), nullptr) << result.error().message();
  EXPECT_EQ(result.error().transport()->kind, net::TransportError::Kind::kTimeout);
  EXPECT_LT(std::chrono::steady_clock::now() - before, 15s);
}

// SIGTERM of the operator must not wait for a program on a node.
TEST_P(ExecContractTest, AStopRequestEndsTheWait) {
  // Processes of the test bed are processes of this machine; elsewhere two seconds have to do.
  const std::string started = ::testing::TempDir() + "exec-contract-" + std::to_string(getpid());
  const std::jthread stopper([&] {
    const Context ctx = Context(std::stop_token()).WithTimeout(2s);
    while (!std::filesystem::exists(started) && ctx.SleepFor(10ms)) {
    }
    stop_.request_stop();
  });
  const auto result = Run(Program({"sh", "-c", "touch " + started + "; sleep 60"}));
  std::filesystem::remove(started);
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().IsCanceled()) << result.error().message();
}

// The pod was replaced between look and exec: an error to look again, not a result.
TEST_P(ExecContractTest, WhatDoesNotExistIsAnError) {
  kube::ExecRequest request = Program({"true"});
  request.pod = "contract-no-such-pod";
  const auto no_pod = Run(request);
  ASSERT_FALSE(no_pod);
  EXPECT_TRUE(no_pod.error().IsNotFound()) << no_pod.error().message();

  request = Program({"true"});
  request.container = "no-such-container";
  const auto no_container = Run(request);
  ASSERT_FALSE(no_container);
  EXPECT_TRUE(no_container.error().IsInvalid()) << no_container.error().message();

  const auto no_program = Run(Program({"no-such-program"}));
  ASSERT_FALSE(no_program);
  EXPECT_THAT(no_program.error().message(), HasSubstr("no-such-program"));
}

class StreamContractTest : public ExecContractTest {
 protected:
  kube::KubeResult<std::unique_ptr<kube::ExecStream>> Open(std::vector<std::string> argv) {
    return exec()->Open(Within(20s), Program(std::move(argv)));
  }

  Context Within(std::chrono::milliseconds time) const {
    return Context(stop_.get_token()).WithTimeout(time);
  }

  /// Reads until `end` or until `size` bytes are there.
  std::string ReadBytes(kube::ExecStream& stream, std::size_t size) const {
    std::string all;
    while (all.size() < size) {
      const auto some = stream.Read(Within(20s));
      if (!some || !some->has_value()) {
        break;
      }
      all += **some;
    }
    return all;
  }
};

TEST_P(StreamContractTest, BothDirectionsWhileTheProgramRuns) {
  auto stream = Open({"cat"});
  ASSERT_TRUE(stream) << stream.error().message();
  for (const std::string line : {"one\n", "two\n"}) {
    ASSERT_TRUE((*stream)->Write(Within(20s), line));
    EXPECT_EQ(ReadBytes(**stream, line.size()), line) << "an answer before the end of the input";
  }
  ASSERT_TRUE((*stream)->Write(Within(20s), "half"));
  EXPECT_EQ(ReadBytes(**stream, 4), "half");
}

// More than pipes and windows hold, in both directions at once.
TEST_P(StreamContractTest, AHundredThousandLinesCross) {
  constexpr int kLines = 100000;
  auto stream = Open({"cat"});
  ASSERT_TRUE(stream) << stream.error().message();
  std::string all;
  for (int i = 0; i < kLines; ++i) {
    all += std::to_string(i) + "\n";
  }
  std::jthread writer([&] {
    for (std::size_t at = 0; at < all.size(); at += 1000) {
      ASSERT_TRUE((*stream)->Write(Within(20s), std::string_view(all).substr(at, 1000)));
    }
  });
  EXPECT_TRUE(ReadBytes(**stream, all.size()) == all);
}

// An operator that is busy must not lose or reorder what an agent says meanwhile.
TEST_P(StreamContractTest, ASlowReaderGetsEverything) {
  auto stream = Open({"head", "-c", "3000000", "/dev/zero"});
  ASSERT_TRUE(stream) << stream.error().message();
  (void)Within(20s).SleepFor(300ms);  // the program fills what lies between it and us
  EXPECT_THAT(ReadBytes(**stream, 3000000), SizeIs(3000000));
  EXPECT_FALSE((*stream)->Read(Within(20s)).value().has_value());
  EXPECT_EQ((*stream)->Ended().value().exit_code, 0);
}

// An agent that has nothing to say keeps its stream.
TEST_P(StreamContractTest, ADeadlineLeavesTheStreamAlive) {
  auto stream = Open({"cat"});
  ASSERT_TRUE(stream) << stream.error().message();
  const auto nothing = (*stream)->Read(Within(200ms));
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().transport()->kind, net::TransportError::Kind::kTimeout);
  ASSERT_TRUE((*stream)->Write(Within(20s), "x"));
  EXPECT_EQ(ReadBytes(**stream, 1), "x");
}

// "agent.sock: no such file" must reach the admin.
TEST_P(StreamContractTest, TheEndHasAnExitCodeAndTheLastWords) {
  auto stream = Open({"sh", "-c", "read line; echo got $line; echo why >&2; exit 7"});
  ASSERT_TRUE(stream) << stream.error().message();
  ASSERT_TRUE((*stream)->Write(Within(20s), "it\n"));
  EXPECT_EQ(ReadBytes(**stream, 7), "got it\n");
  EXPECT_FALSE((*stream)->Read(Within(20s)).value().has_value());
  EXPECT_EQ((*stream)->Ended().value().exit_code, 7);
  EXPECT_EQ((*stream)->Ended().value().err, "why\n");
}

TEST_P(StreamContractTest, CloseWakesAWaitingRead) {
  auto stream = Open({"cat"});
  ASSERT_TRUE(stream) << stream.error().message();
  const std::jthread closer([&] {
    (void)Within(20s).SleepFor(50ms);
    (*stream)->Close();
  });
  EXPECT_FALSE((*stream)->Read(Within(20s)));
  EXPECT_FALSE((*stream)->Read(Within(20s)));
}

TEST_P(StreamContractTest, WhatDoesNotExistIsAnError) {
  kube::ExecRequest request = Program({"cat"});
  request.pod = "contract-no-such-pod";
  const auto no_pod = exec()->Open(Within(20s), request);
  ASSERT_FALSE(no_pod);
  EXPECT_TRUE(no_pod.error().IsNotFound()) << no_pod.error().message();
}

INSTANTIATE_TEST_SUITE_P(Kubelets,
                         StreamContractTest,
                         ::testing::Values(false, true),
                         [](const auto& kubelet) { return kubelet.param ? "Real" : "Fake"; });

INSTANTIATE_TEST_SUITE_P(Kubelets,
                         ExecContractTest,
                         ::testing::Values(false, true),
                         [](const auto& kubelet) { return kubelet.param ? "Real" : "Fake"; });

}  // namespace
}  // namespace breakwater::testing
