#pragma once

/// NodeWatch: what this node's DRBD shows, kept up to date. One unfiltered `drbdsetup events2`
/// wakes it (F34); what changed is then read from status, show and ss. A full `drbdsetup status` at
/// a slow pace catches what events missed (F25), and is all that happens while nothing changes.
///
///   events2 line -> resource is due -> (a moment) -> status -> changed? -> show, ss -> report
///
/// At the slow pace `ss` is read as well, where there is TLS: how much went over its sockets.
/// Thread safety: none, runs in the loop's thread.

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "operator/agent/process/child.h"
#include "operator/agent/process/loop.h"
#include "operator/agent/watch/events.h"
#include "operator/agent/watch/node_facts.h"
#include "operator/agent/watch/node_files.h"
#include "operator/agent/watch/res_dir.h"
#include "operator/core/replication/protocol/messages.h"

namespace breakwater::agent {

struct NodeWatchOptions {
  std::set<std::string> own_names{};  ///< that this node may have in .res files
  std::string res_dir{};
  bool files_by_cat = false;
  std::chrono::milliseconds debounce{200};
  std::chrono::milliseconds pace{60000};     ///< of the full status
  std::chrono::milliseconds progress{5000};  ///< how often the percents of a resync are read
};

class NodeWatchListener {
 public:
  virtual ~NodeWatchListener() = default;

  /// An event of this resource was seen, just now; the report comes later.
  virtual void OnEvent(const std::string& resource) = 0;
  /// Events may have been missed.
  virtual void OnEventAll() = 0;
  /// The report is another one, or the resource is gone from resources().
  virtual void OnResource(const std::string& name) = 0;
  virtual void OnFacts() = 0;
  /// Everything has been read for the first time, as far as the tools answer.
  virtual void OnFirstReport() = 0;
};

class NodeWatch {
 public:
  using Resources = std::map<std::string, std::shared_ptr<const replication::ResourceReport>>;

  NodeWatch(Loop* loop, Children* children, NodeWatchOptions options, NodeWatchListener* listener);
  ~NodeWatch();
  NodeWatch(const NodeWatch&) = delete;
  NodeWatch& operator=(const NodeWatch&) = delete;

  void Start();

  const Resources& resources() const { return resources_; }

  const replication::NodeFactsMessage& facts() const { return published_; }

  /// For people, beside what is found here; "" = nothing.
  void SetProblem(std::string problem);

 private:
  struct Round;
  using RoundPtr = std::shared_ptr<Round>;

  void StartEvents();
  void OnEventBytes(std::string_view bytes);
  void OnEventLine(std::string_view line);
  void OnEventsEnded(const ChildResult& result);
  bool IsProgress(const DrbdEvent& event) const;
  void Due(const std::string& resource);
  void DueSlowly(const std::string& resource);
  void DueAll();
  void Schedule();
  void SlowPace();
  void ReadTraffic();

  void BeginRound();
  void TakeStatus(const RoundPtr& round, const std::string& name, const ChildResult& result);
  void Compare(const RoundPtr& round);
  void ReadDetails(const RoundPtr& round);
  void RunDetails(const RoundPtr& round);
  void TakeShow(const RoundPtr& round, const ChildResult& result);
  void Publish(const RoundPtr& round);
  void EndRound();
  void PublishFacts();
  void OnRes(const std::vector<std::string>& names);

  Loop* const loop_;
  Children* const children_;
  const NodeWatchOptions options_;
  NodeWatchListener* const listener_;
  NodeFiles files_;
  NodeFacts node_facts_;
  ResDir res_dir_;

  Resources resources_{};
  replication::NodeFactsMessage published_{};
  bool first_reported_ = false;
  bool facts_read_ = false;

  // What is found while reading, for the facts.
  bool complete_ = false;
  bool sockets_reliable_ = false;
  std::optional<replication::TlsStat> tls_stat_{};
  std::string tools_problem_{};
  std::string events_problem_{};
  std::string other_problem_{};

  std::set<std::string> due_{};
  std::set<std::string> due_slowly_{};
  bool due_all_ = false;
  RoundPtr round_{};
  std::chrono::milliseconds retry_;
  Alarm round_alarm_;
  Alarm slow_alarm_;
  Alarm progress_alarm_;

  std::string event_rest_{};
  int events_handle_ = 0;
  bool dumping_ = false;
  SteadyTime events_started_{};
  std::chrono::milliseconds events_wait_;
  Alarm events_alarm_;
};

}  // namespace breakwater::agent
