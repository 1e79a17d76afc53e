#pragma once

/// AgentLink: the thread that keeps one node's stream: waits for its turn, opens the exec, shakes
/// hands, reads until the stream ends, and again. One per node, also while the node has no pod: its
/// running transactions are remembered.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "operator/base/backoff.h"
#include "operator/base/thread.h"
#include "operator/controllers/replication/agent_link/agent_links.h"
#include "operator/controllers/replication/agent_link/agent_record.h"
#include "operator/controllers/replication/agent_link/exec_pacer.h"
#include "operator/controllers/replication/agent_link/memory_budget.h"

namespace breakwater::controllers {

/// What all links share; outlives them.
struct LinkCommons {
  kube::PodExec& exec;
  const Clock& clock;
  const Logger log;
  const AgentEvents events;
  const AgentLinksOptions options;
  ExecPacer pacer;
  MemoryBudget budget;
  /// Held while a large line is decoded: the tree of JSON takes many times its length.
  std::mutex large_line{};
  /// Ends the stream of a node and says why.
  std::function<void(const std::string& node, const std::string& why)> drop{};
};

/// Thread safety: all methods from any thread.
class AgentLink {
 public:
  AgentLink(LinkCommons& commons, std::string node);
  ~AgentLink();
  AgentLink(const AgentLink&) = delete;
  AgentLink& operator=(const AgentLink&) = delete;

  /// Where the agent is; nothing: nowhere. A pod or an epoch other than before ends the stream; a
  /// new pod and a restarted container are tried at once.
  void Retarget(const std::optional<AgentTarget>& target, std::int64_t epoch);
  /// Ends the stream; it is tried again after the longest wait.
  void Drop(const std::string& why);
  /// Does not wait.
  void RequestStop();
  /// Stops and waits. To be called before the last owner goes, not from a callback.
  void Join();

  /// Has no target, and nothing of it has to be remembered.
  bool Idle() const;
  /// Nothing when it has no target.
  std::optional<replication::AgentView> View() const;
  std::string Problem() const;

  bool Has(const std::string& resource) const;
  std::optional<replication::NodeSlice> Slice(const std::string& resource) const;
  std::optional<replication::NodeReport> Report() const;
  std::vector<replication::RunningTransaction> Running(const std::string& resource) const;
  std::set<std::string> Busy() const;

  Result<void, Error> Ask(const replication::TransactionRequest& request);
  Result<void, Error> Cancel(const std::string& id);

 private:
  /// One attempt: what it is made to, and the token that ends it.
  struct Turn {
    AgentTarget target{};
    std::int64_t epoch = 0;
    std::stop_token interrupt{};
    bool retry = false;
  };

  /// How an attempt ended.
  struct Ending {
    std::string why{};
    bool hopeless = false;  ///< trying again soon cannot help
    std::optional<SteadyTime> synced_at{};
  };

  /// Limits the work that one agent can make: bytes and lines in the current second.
  struct Throttle {
    SteadyTime second{};
    std::size_t bytes = 0;
    std::size_t lines = 0;
  };

  /// One stream while it is served; of the link's thread.
  struct Session {
    const Turn& turn;
    kube::ExecStream& stream;
    replication::LineSplitter lines{};
    bool greeted = false;
    SteadyTime last_line{};
    SteadyTime next_ping{};
    std::int64_t pings = 0;
    SystemTime pinged{};
    Throttle throttle{};
    Ending ending{};
  };

  void Run();
  std::optional<Turn> AwaitTurn();
  Ending Attempt(const Turn& turn);
  void Serve(Session& session);
  bool ReadOnce(Session& session);
  bool TakeLines(Session& session, const std::string& bytes);
  bool TakeLine(Session& session, const std::string& line);
  Result<std::optional<replication::AgentMessage>, Error> Decode(const std::string& line);
  bool Greet(Session& session, const replication::AgentHello& hello);
  bool Ping(Session& session);
  void CompareClocks(const Session& session, const replication::PongMessage& pong);
  bool KeepPace(Session& session, std::size_t bytes, std::size_t lines);
  void Finish(const Ending& ending);
  void Emit(const AgentEffects& effects);
  void SetProblem(const std::string& problem);
  void Charge();
  void Interrupt();
  enum class When { kGreeting, kSynced };
  Result<void, Error> Send(const replication::OperatorMessage& message,
                           When when,
                           const std::stop_token& stop);

  LinkCommons& commons_;
  const std::string node_;
  const Logger log_;

  /// Held for the whole of a write, before mutex_.
  std::mutex write_mutex_;
  mutable std::mutex mutex_;
  // Guarded by mutex_ from here.
  std::optional<AgentTarget> target_{};
  std::int64_t epoch_ = 0;
  bool stopping_ = false;
  std::stop_source interrupt_{};
  bool waiting_ = false;  ///< for its turn
  bool urgent_ = false;   ///< to be tried at once
  bool healthy_ = false;  ///< the last stream was: no token is needed
  SteadyTime not_before_{};
  SteadyTime untargeted_since_{};
  std::shared_ptr<kube::ExecStream> stream_{};  ///< greeted
  AgentRecord record_;
  bool too_old_ = false;
  std::string version_{};
  int protocol_ = 0;
  std::string problem_{};
  std::string dropped_{};  ///< why the stream that runs was dropped

  // Of the thread from here.
  Backoff backoff_;
  std::int64_t clock_ahead_ = 0;  ///< seconds; the node's clock against ours when it was told last
  SteadyTime clock_told_{};
  Thread thread_{};  // last: it uses all the others
};

}  // namespace breakwater::controllers
