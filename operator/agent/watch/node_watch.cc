#include "operator/agent/watch/node_watch.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <tuple>
#include <utility>

#include <malloc.h>

#include "operator/agent/process/log.h"
#include "operator/agent/watch/json_list.h"
#include "operator/core/replication/node/parse.h"
#include "operator/core/replication/node/text.h"

namespace breakwater::agent {
namespace {

using replication::DrbdShow;
using replication::DrbdStatus;
using std::chrono::milliseconds;

// More than these are read all at once: one process instead of many.
constexpr std::size_t kSingly = 4;
constexpr milliseconds kFirstWait{1000};
constexpr milliseconds kMaxWait{30000};
constexpr milliseconds kStreamIsFine{10000};
constexpr std::size_t kMaxEventLine = 65536;
constexpr ChildLimits kReadLimits{milliseconds(20000), std::size_t{64} << 20U};

// One object at a time: the tree of a large node takes ten times its text.
template <typename T, typename Parse>
bool ParseEach(const std::string& text, Parse parse, std::map<std::string, T>* into) {
  const auto objects = SplitJsonList(text);
  if (!objects) {
    return false;
  }
  for (const std::string_view object : *objects) {
    auto parsed = parse("[" + std::string(object) + "]");
    if (!parsed) {
      return false;
    }
    into->merge(*parsed);
  }
  return true;
}

using SocketKey = std::tuple<std::string, int, std::string, int>;

SocketKey KeyOf(const replication::Socket& socket) {
  return {socket.local_address, socket.local_port, socket.remote_address, socket.remote_port};
}

bool AnyTls(const replication::SocketTable& table) {
  return std::any_of(table.sockets.begin(), table.sockets.end(),
                     [](const replication::Socket& socket) { return socket.tls; });
}

// A socket with TLS has the age that it had, or begins now.
void DateSockets(const replication::ResourceReport* before, replication::ResourceReport* report) {
  for (replication::Socket& socket : report->sockets.sockets) {
    if (!socket.tls || socket.state != "ESTAB") {
      continue;
    }
    socket.since =
        std::chrono::duration_cast<std::chrono::seconds>(RealClock().SystemNow().time_since_epoch())
            .count();
    if (before == nullptr) {
      continue;
    }
    for (const replication::Socket& old : before->sockets.sockets) {
      if (old.since > 0 && KeyOf(old) == KeyOf(socket)) {
        socket.since = old.since;
      }
    }
  }
}

std::string ProblemOf(std::string_view program, const ChildResult& result) {
  if (result.timed_out) {
    return std::string(program) + " does not answer";
  }
  if (result.exit_code == 127) {
    return std::string(program) + " cannot be run";
  }
  const std::string_view error = replication::Trim(result.error);
  return std::string(program) + " failed with exit code " + std::to_string(result.exit_code) +
         (error.empty() ? "" : ": " + std::string(error.substr(0, 200)));
}

}  // namespace

struct NodeWatch::Round {
  bool all = false;
  std::set<std::string> names{};  ///< to be read anew even if their status is as before
  bool failed = false;
  int running = 0;
  std::map<std::string, DrbdStatus> status{};
  std::map<std::string, DrbdStatus> changed{};
  std::map<std::string, DrbdShow> show{};
  std::optional<replication::TlsStat> tls_before{};
  replication::SocketTable sockets{};
};

NodeWatch::NodeWatch(Loop* loop,
                     Children* children,
                     NodeWatchOptions options,
                     NodeWatchListener* listener)
    : loop_(loop),
      children_(children),
      options_(std::move(options)),
      listener_(listener),
      files_(children, options_.files_by_cat),
      node_facts_(children, &files_),
      res_dir_(loop,
               &files_,
               options_.res_dir,
               options_.own_names,
               [this](const std::vector<std::string>& names) { OnRes(names); }),
      retry_(kFirstWait),
      round_alarm_(loop),
      slow_alarm_(loop),
      progress_alarm_(loop),
      events_wait_(kFirstWait),
      events_alarm_(loop) {}

NodeWatch::~NodeWatch() = default;

void NodeWatch::Start() {
  StartEvents();
  node_facts_.Refresh([this] {
    facts_read_ = true;
    PublishFacts();
  });
  res_dir_.Start();
  due_all_ = true;
  BeginRound();
  // The first check of the .res files does not stand in the way of the first report.
  slow_alarm_.SetAfter(std::min(options_.pace, milliseconds(5000)), [this] { SlowPace(); });
}

void NodeWatch::SetProblem(std::string problem) {
  other_problem_ = std::move(problem);
  PublishFacts();
}

// ---- events ----

void NodeWatch::StartEvents() {
  event_rest_.clear();
  dumping_ = true;
  events_started_ = loop_->Now();
  events_handle_ = children_->Stream(
      {"drbdsetup", "events2", "--full", "--statistics"},
      [this](std::string_view bytes) { OnEventBytes(bytes); },
      [this](const ChildResult& result) { OnEventsEnded(result); });
}

void NodeWatch::OnEventBytes(std::string_view bytes) {
  event_rest_ += bytes;
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = event_rest_.find('\n', begin)) != std::string::npos;
       begin = end + 1) {
    OnEventLine(std::string_view(event_rest_).substr(begin, end - begin));
  }
  event_rest_.erase(0, begin);
  if (event_rest_.size() > kMaxEventLine) {
    event_rest_.clear();
    children_->Kill(events_handle_);
  }
}

void NodeWatch::OnEventLine(std::string_view line) {
  const DrbdEvent event = ParseEvent(line);
  if (event.kind == DrbdEvent::Kind::kDumpEnd) {
    dumping_ = false;
    DueAll();  // what changed before it listened
  } else if (event.kind == DrbdEvent::Kind::kNone || (dumping_ && event.exists)) {
    return;
  } else if (event.kind == DrbdEvent::Kind::kAll) {
    DueAll();
  } else if (IsProgress(event)) {
    DueSlowly(event.resource);
  } else {
    listener_->OnEvent(event.resource);
    Due(event.resource);
  }
}

// A resync or a verify says with each percent what is known already.
bool NodeWatch::IsProgress(const DrbdEvent& event) const {
  if (event.replication.empty() || event.replication == "Established") {
    return false;
  }
  const auto it = resources_.find(event.resource);
  if (it == resources_.end()) {
    return false;
  }
  for (const replication::DrbdConnection& connection : it->second->status.connections) {
    for (const replication::PeerDevice& device : connection.devices) {
      if (connection.peer == event.peer && device.volume == event.volume) {
        return device.replication == event.replication && device.peer_disk == event.peer_disk;
      }
    }
  }
  return false;
}

void NodeWatch::OnEventsEnded(const ChildResult& result) {
  const bool was_fine = loop_->Now() - events_started_ > kStreamIsFine;
  events_wait_ = was_fine ? kFirstWait : std::min(events_wait_ * 2, kMaxWait);
  const std::string problem = was_fine ? "" : ProblemOf("drbdsetup events2", result);
  if (events_problem_.empty()) {
    LogWarn("drbdsetup events2 ended", {{"exit", std::to_string(result.exit_code)},
                                        {"error", replication::Trim(result.error)}});
  }
  events_problem_ = problem;
  DueAll();
  events_alarm_.SetAfter(events_wait_, [this] {
    StartEvents();
    events_alarm_.SetAfter(kStreamIsFine, [this] {
      events_problem_.clear();  // it holds
      PublishFacts();
    });
  });
}

// ---- what is to be read, and when ----

void NodeWatch::Due(const std::string& resource) {
  due_.insert(resource);
  Schedule();
}

void NodeWatch::DueSlowly(const std::string& resource) {
  due_slowly_.insert(resource);
  if (!progress_alarm_.set()) {
    progress_alarm_.SetAfter(options_.progress, [this] {
      due_.merge(due_slowly_);
      due_slowly_.clear();
      Schedule();
    });
  }
}

void NodeWatch::DueAll() {
  due_all_ = true;
  listener_->OnEventAll();
  Schedule();
}

void NodeWatch::Schedule() {
  if (!round_ && !round_alarm_.set() && (due_all_ || !due_.empty())) {
    round_alarm_.SetAfter(options_.debounce, [this] { BeginRound(); });
  }
}

void NodeWatch::SlowPace() {
  slow_alarm_.SetAfter(options_.pace, [this] { SlowPace(); });
  res_dir_.Check();
  node_facts_.Refresh([this] {
    node_facts_.ReadTlsStat([this](std::optional<replication::TlsStat> stat) {
      tls_stat_ = stat;
      PublishFacts();
    });
  });
  if (!files_.by_cat() && res_dir_.TakeChanged()) {
    node_facts_.CheckResFiles([this] { PublishFacts(); });
  }
  due_all_ = true;
  Schedule();
  ReadTraffic();
}

// ---- reading ----

// What a session has carried changes without any event.
void NodeWatch::ReadTraffic() {
  const bool any = std::any_of(resources_.begin(), resources_.end(),
                               [](const auto& entry) { return AnyTls(entry.second->sockets); });
  if (!any) {
    return;
  }
  children_->Run({"ss", "-tni"}, kReadLimits, [this](const ChildResult& result) {
    if (result.exit_code != 0 || result.truncated) {
      return;
    }
    std::map<SocketKey, std::int64_t> traffic;
    for (const replication::Socket& socket : replication::ParseSockets(result.output).sockets) {
      traffic[KeyOf(socket)] = socket.gib;
    }
    for (const auto& [name, report] : resources_) {
      const auto& sockets = report->sockets.sockets;
      if (std::any_of(sockets.begin(), sockets.end(), [&](const replication::Socket& socket) {
            const auto now = traffic.find(KeyOf(socket));
            return now != traffic.end() && now->second != socket.gib;
          })) {
        Due(name);
      }
    }
  });
}

void NodeWatch::BeginRound() {
  if (round_) {
    return;
  }
  round_ = std::make_shared<Round>();
  const RoundPtr round = round_;
  round->names = std::exchange(due_, {});
  round->all = std::exchange(due_all_, false) || round->names.size() > kSingly;
  if (round->all) {
    round->running = 1;
    children_->Run({"drbdsetup", "status", "--json"}, kReadLimits,
                   [this, round](const ChildResult& result) { TakeStatus(round, "", result); });
    return;
  }
  round->running = static_cast<int>(round->names.size());
  for (const std::string& name : round->names) {
    children_->Run(
        {"drbdsetup", "status", name, "--json"}, kReadLimits,
        [this, round, name](const ChildResult& result) { TakeStatus(round, name, result); });
  }
}

// `name` is "" for the status of all.
void NodeWatch::TakeStatus(const RoundPtr& round,
                           const std::string& name,
                           const ChildResult& result) {
  const bool read = result.exit_code == 0 && !result.truncated &&
                    ParseEach(result.output, replication::ParseStatus, &round->status);
  if (round->all) {
    round->failed = !read;
    complete_ = read;
    tools_problem_ = read ? "" : ProblemOf("drbdsetup status", result);
  } else if (!read || !round->status.contains(name)) {
    due_all_ = true;  // perhaps it is gone: the status of all says it
  }
  if (--round->running == 0) {
    Compare(round);
  }
}

void NodeWatch::Compare(const RoundPtr& round) {
  if (round->failed) {
    due_.merge(round->names);
    due_all_ = true;
    PublishFacts();
    EndRound();
    return;
  }
  for (const auto& [name, status] : round->status) {
    const auto known = resources_.find(name);
    if (known == resources_.end() || !(known->second->status == status) ||
        round->names.contains(name)) {
      round->changed.emplace(name, status);
    }
  }
  if (round->all) {
    std::vector<std::string> gone;
    for (const auto& entry : resources_) {
      if (!round->status.contains(entry.first)) {
        gone.push_back(entry.first);
      }
    }
    for (const std::string& name : gone) {
      resources_.erase(name);
      listener_->OnResource(name);
    }
    std::vector<std::string> names;
    for (const auto& entry : round->status) {
      names.push_back(entry.first);
    }
    res_dir_.NoteResources(names);
  }
  round->status.clear();
  if (round->changed.empty()) {
    PublishFacts();
    EndRound();
    return;
  }
  ReadDetails(round);
}

// The kernel's counter is read before and after the sockets: a connection that becomes encrypted
// in between is in one of them and not in the other, which is no contradiction (REVIEW-1 R6).
void NodeWatch::ReadDetails(const RoundPtr& round) {
  node_facts_.ReadTlsStat([this, round](std::optional<replication::TlsStat> stat) {
    round->tls_before = stat;
    RunDetails(round);
  });
}

void NodeWatch::RunDetails(const RoundPtr& round) {
  const auto ended = [this, round] {
    if (--round->running > 0) {
      return;
    }
    node_facts_.ReadTlsStat([this, round](std::optional<replication::TlsStat> stat) {
      tls_stat_ = stat;
      Publish(round);
    });
  };
  std::vector<std::vector<std::string>> shows;
  if (round->changed.size() > kSingly) {
    shows.push_back({"drbdsetup", "show", "--json", "--show-defaults"});
  } else {
    for (const auto& entry : round->changed) {
      shows.push_back({"drbdsetup", "show", entry.first, "--json", "--show-defaults"});
    }
  }
  round->running = static_cast<int>(shows.size()) + 1;
  for (const std::vector<std::string>& show : shows) {
    children_->Run(show, kReadLimits, [this, round, ended](const ChildResult& result) {
      TakeShow(round, result);
      ended();
    });
  }
  children_->Run({"ss", "-tni"}, kReadLimits, [round, ended](const ChildResult& result) {
    if (result.exit_code == 0 && !result.truncated) {
      round->sockets = replication::ParseSockets(result.output);
    }
    ended();
  });
}

void NodeWatch::TakeShow(const RoundPtr& round, const ChildResult& result) {
  if (result.exit_code == 0 && !result.truncated) {
    ParseEach(result.output, replication::ParseShow, &round->show);
  }
}

void NodeWatch::Publish(const RoundPtr& round) {
  replication::SocketTable& sockets = round->sockets;
  const bool none = std::none_of(sockets.sockets.begin(), sockets.sockets.end(),
                                 [](const replication::Socket& socket) { return socket.tls; });
  if (none && round->tls_before && tls_stat_ &&
      std::min(round->tls_before->current_tx, tls_stat_->current_tx) >= 2) {
    sockets.reliable = false;  // the kernel counts sockets with TLS, and `ss` shows none
  }
  sockets_reliable_ = sockets.reliable;
  PublishFacts();
  for (const auto& [name, joined] :
       replication::JoinResources(round->changed, round->show, sockets)) {
    replication::ResourceReport report = *joined;
    report.res = res_dir_.Get(name);
    if (!report.show) {
      DueSlowly(name);  // gone meanwhile, or the tools are in trouble
    }
    const auto known = resources_.find(name);
    DateSockets(known == resources_.end() ? nullptr : known->second.get(), &report);
    if (known == resources_.end() || !(*known->second == report)) {
      resources_.insert_or_assign(
          name, std::make_shared<const replication::ResourceReport>(std::move(report)));
      listener_->OnResource(name);
    }
  }
  EndRound();
}

void NodeWatch::EndRound() {
  const bool failed = round_->failed;
  const bool large = round_->all;
  round_.reset();
  if (large) {
    malloc_trim(0);  // megabytes of text, of which little is kept
  }
  if (!first_reported_) {
    first_reported_ = true;
    listener_->OnFirstReport();
  }
  if (!failed) {
    retry_ = kFirstWait;
    Schedule();
    return;
  }
  round_alarm_.SetAfter(retry_, [this] { BeginRound(); });
  retry_ = std::min(retry_ * 2, kMaxWait);
}

void NodeWatch::PublishFacts() {
  replication::NodeFactsMessage facts = node_facts_.facts();
  facts.complete = complete_;
  facts.sockets_reliable = sockets_reliable_;
  facts.tls_stat = tls_stat_;
  facts.tls_module = facts.tls_module || tls_stat_.has_value();
  for (const std::string* problem : {&tools_problem_, &events_problem_, &other_problem_}) {
    if (!problem->empty()) {
      facts.problem += (facts.problem.empty() ? "" : "; ") + *problem;
    }
  }
  if (facts_read_ && !(facts == published_)) {
    published_ = std::move(facts);
    listener_->OnFacts();
  }
}

void NodeWatch::OnRes(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const auto known = resources_.find(name);
    const std::optional<replication::ResConfig> res = res_dir_.Get(name);
    if (known != resources_.end() && !(known->second->res == res)) {
      replication::ResourceReport report = *known->second;
      report.res = res;
      known->second = std::make_shared<const replication::ResourceReport>(std::move(report));
      listener_->OnResource(name);
    }
  }
}

}  // namespace breakwater::agent
