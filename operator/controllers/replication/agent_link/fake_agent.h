#pragma once

/// Fakes for the tests of this folder: the agents of many nodes as an in-process PodExec, and a
/// recorder of what the links tell.

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "operator/controllers/replication/agent_link/agent_links.h"
#include "operator/kube/pod_exec.h"

namespace breakwater::controllers {

/// One stream, seen from the agent. Thread safety: all methods from any thread.
class FakeAgentStream {
 public:
  explicit FakeAgentStream(std::string pod) : pod_(std::move(pod)) {}

  const std::string& pod() const { return pod_; }

  void Say(const replication::AgentMessage& message) { SayBytes(replication::Encode(message)); }

  void SayBytes(std::string bytes);
  /// Hello of protocol `protocol`, as the agent of `node`.
  void Hello(const std::string& node, int protocol = replication::kProtocolVersion);
  /// Facts of a healthy node, these resources, and the end of the full report.
  void Report(const std::vector<std::string>& resources);
  /// The connection breaks.
  void Break();
  /// `connect` ends.
  void End(int exit_code, const std::string& err);
  /// From now on what is written fails.
  void RefuseWrites();

  /// The next message of the operator; waits for it. Nothing: 20 seconds passed, or it is closed.
  std::optional<replication::OperatorMessage> Next();
  /// Waits for the operator to close it; false after 20 seconds.
  bool WaitClosed();
  bool closed() const;

  // The other side.
  kube::KubeResult<std::optional<std::string>> Read(const Context& ctx);
  kube::KubeResult<void> Write(std::string_view bytes);
  kube::KubeResult<kube::ExecResult> Ended() const;
  void Close();

 private:
  void Change(const std::function<void()>& change);

  const std::string pod_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::stop_source wake_{};
  std::deque<std::string> to_operator_;
  std::string to_agent_;
  std::optional<kube::ExecResult> ended_;
  bool broken_ = false;
  bool refuse_writes_ = false;
  bool closed_ = false;
};

/// Thread safety: all methods from any thread.
class FakeAgents final : public kube::PodExec {
 public:
  using StreamPtr = std::shared_ptr<FakeAgentStream>;
  /// Says what happens to an exec: an error, or nothing and the stream is opened.
  using OnOpen = std::function<std::optional<kube::KubeError>(const Context&, const StreamPtr&)>;

  explicit FakeAgents(const Clock& clock) : clock_(clock) {}

  void SetOnOpen(OnOpen on_open);

  kube::KubeResult<kube::ExecResult> Exec(const Context& ctx,
                                          const kube::ExecRequest& request) override;
  kube::KubeResult<std::unique_ptr<kube::ExecStream>> Open(
      const Context& ctx, const kube::ExecRequest& request) override;

  /// The stream of the `number`th exec (from 0) in a pod, once there is one; null after 20 seconds.
  StreamPtr Stream(const std::string& pod, std::size_t number = 0);
  /// Waits for so many execs in all.
  bool WaitOpens(std::size_t count);
  /// When each exec was started.
  std::vector<SteadyTime> opens() const;

 private:
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  OnOpen on_open_;
  std::map<std::string, std::vector<StreamPtr>> streams_;
  std::vector<SteadyTime> opens_;
};

/// Takes the events of AgentLinks. Thread safety: all methods from any thread.
class EventRecorder {
 public:
  AgentEvents Events();

  /// Looks at `condition` now and after each event; false after 20 seconds.
  bool WaitFor(const std::function<bool()>& condition);

  std::vector<std::pair<std::string, replication::ResultMessage>> results() const;
  int changes_of(const std::string& resource) const;
  int node_changes(const std::string& node) const;
  int clock_moves(const std::string& node) const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::pair<std::string, replication::ResultMessage>> results_;
  std::map<std::string, int> resources_;
  std::map<std::string, int> nodes_;
  std::map<std::string, int> clocks_;
  int events_ = 0;
};

/// A healthy report of a resource with one connection.
replication::ResourceReport SomeReport(const std::string& resource);

}  // namespace breakwater::controllers
