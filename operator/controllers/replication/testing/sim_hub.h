#pragma once

/// SimHub: AgentHub on the agents of simulated nodes: the real Runner on drbd-sim, without a
/// stream. What a stream can do to messages is agent_link's own tests' matter; here a node can be
/// cut off, and its agent killed. Thread safety: none.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "operator/agent/testing/sim_agent.h"
#include "operator/controllers/replication/agent_link/agent_hub.h"
#include "operator/core/replication/node/parse.h"
#include "tests/e2e/sim/drbd/cluster.h"

namespace breakwater::controllers {

class SimHub final : public AgentHub {
 public:
  /// What the links tell the controllers.
  struct Events {
    std::function<void(const std::string& resource)> resource_changed{};
    std::function<void(const std::string& node)> node_changed{};
    std::function<void(const std::string& node, const replication::ResultMessage&)> result{};
    std::function<void(const std::string& node)> clock_moved{};
  };

  /// What a node's .res file says about a resource.
  using ReadRes =
      std::function<replication::ResConfig(const std::string& node, const std::string& resource)>;

  SimHub(sim::Cluster* cluster, agent::testing::SimAgents* agents, ReadRes read_res)
      : cluster_(*cluster), agents_(*agents), read_res_(std::move(read_res)) {}

  void SetEvents(Events events) { events_ = std::move(events); }

  /// The stream to a node is there or not. Its transactions do not notice.
  void SetConnected(const std::string& node, bool connected);

  /// Another operator: it remembers nothing of what was asked.
  void NewOperator() { asked_.clear(); }

  /// Reads what the nodes show now and hands out changes and results, as the streams do.
  void Pump();

  void SetTargets(const std::vector<AgentTarget>& targets, std::int64_t epoch) override;

  void Stop() override {}

  std::map<std::string, replication::AgentView> Agents() const override;
  std::string ProblemOf(const std::string& node) const override;
  std::optional<replication::NodeSlice> Slice(const std::string& node,
                                              const std::string& resource) const override;
  std::optional<replication::NodeReport> Report(const std::string& node) const override;
  std::set<std::string> NodesOf(const std::string& resource) const override;
  std::vector<replication::RunningTransaction> Running(const std::string& resource) const override;
  std::set<std::string> Busy() const override;
  Result<void, Error> Ask(const std::string& node,
                          const replication::TransactionRequest& request) override;
  Result<void, Error> Cancel(const std::string& node, const std::string& id) override;

  /// What was asked for, in order: "Lead node1 r0".
  std::vector<std::string> asks{};
  /// What the simulation does not know of sockets: their traffic.
  std::function<void(replication::SocketTable*)> on_sockets{};
  /// Called before each request goes out.
  std::function<void(const replication::TransactionRequest&)> on_ask{};

 private:
  /// What a text says, parsed again only when it is another: most looks see what the last one saw.
  template <typename Value>
  class Memo {
   public:
    template <typename Parse>
    const Value& Of(std::string text, Parse parse) {
      if (!value_ || text != text_) {
        text_ = std::move(text);
        value_ = parse(text_);
      }
      return *value_;
    }

   private:
    std::string text_{};
    std::optional<Value> value_{};
  };

  struct Parsed {
    Memo<decltype(replication::ParseStatus({}))> status{};
    Memo<decltype(replication::ParseShow({}))> show{};
    Memo<replication::SocketTable> sockets{};
  };

  bool Linked(const std::string& node) const {
    return targets_.contains(node) && !cut_off_.contains(node);
  }

  bool Due(const std::string& node);
  replication::NodeReport Read(const std::string& node);

  sim::Cluster& cluster_;
  agent::testing::SimAgents& agents_;
  const ReadRes read_res_;
  Events events_{};
  std::set<std::string> targets_{};
  std::set<std::string> cut_off_{};
  std::map<std::string, replication::NodeReport> reports_{};
  std::map<std::string, std::pair<std::string, sim::Time>> looked_{};  // last event, and when
  std::map<std::string, Parsed> parsed_{};
  std::map<std::string, std::int64_t> clock_ahead_{};  // seconds
  std::map<std::string, std::size_t> results_seen_{};
  /// Requests without an answer, by id.
  std::map<std::string, replication::RunningTransaction> asked_{};
};

}  // namespace breakwater::controllers
