#include "tests/e2e/sim/linstor/satellite.h"

#include <algorithm>
#include <ctime>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include "tests/e2e/sim/linstor/tool_output.h"

namespace breakwater::sim {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

milliseconds Scaled(double seconds, double scale) {
  return milliseconds(static_cast<std::int64_t>(seconds * 1000 * scale));
}

bool SameProps(const Definition& a, const Definition& b) {
  return a.props == b.props && a.group == b.group &&
         std::equal(a.connections.begin(), a.connections.end(), b.connections.begin(),
                    b.connections.end(), [](const auto& x, const auto& y) {
                      return x.first == y.first && x.second.props == y.second.props;
                    });
}

}  // namespace

void Collector::Add(CycleResult result) {
  {
    const std::lock_guard lock(mutex_);
    results_.push_back(std::move(result));
  }
  ready_.notify_all();
}

bool Collector::Take(milliseconds wait, CycleResult& result) {
  std::unique_lock lock(mutex_);
  if (!ready_.wait_for(lock, wait, [&] { return !results_.empty(); })) {
    return false;
  }
  result = std::move(results_.front());
  results_.pop_front();
  return true;
}

Satellite::Satellite(std::string node,
                     Database& database,
                     DrbdPort& port,
                     const SimOptions& options)
    : node_(std::move(node)),
      database_(database),
      port_(port),
      options_(options),
      thread_([this](const std::stop_token& stop) { Loop(stop); }) {}

Satellite::~Satellite() {
  thread_.request_stop();
  changed_.notify_all();
}

void Satellite::Submit(CycleRequest request, std::shared_ptr<Collector> collector) {
  {
    const std::lock_guard lock(mutex_);
    if (status_ == "OFFLINE") {
      if (collector) {
        collector->Add(Lost());
      }
      return;
    }
    jobs_.push_back({std::move(request), std::move(collector)});
  }
  changed_.notify_all();
}

void Satellite::Connect(std::int64_t epoch) {
  {
    const std::lock_guard lock(mutex_);
    if (status_ != "OFFLINE" && epoch == epoch_) {
      return;
    }
    if (status_ != "OFFLINE") {
      DropConnection();
    }
    epoch_ = epoch;
    status_ = "CONNECTED";
    failed_.clear();  // the full sync does it all again
    jobs_.push_back({CycleRequest{.resources = {}, .full_sync = true}, nullptr});
  }
  changed_.notify_all();
}

void Satellite::Disconnect() {
  {
    const std::lock_guard lock(mutex_);
    if (status_ == "OFFLINE") {
      return;
    }
    DropConnection();
  }
  changed_.notify_all();
}

CycleResult Satellite::Lost() const {
  CycleResult lost;
  lost.node = node_;
  lost.error = fmt::format("({}) Peer connection closed", node_);
  return lost;
}

// Whoever waits for a result gets one: a request must not hang because its job is gone.
void Satellite::DropConnection() {
  status_ = "OFFLINE";
  ++connection_;
  for (const Job& job : jobs_) {
    if (job.collector) {
      job.collector->Add(Lost());
    }
  }
  jobs_.clear();
}

void Satellite::SetHung(bool hung) {
  {
    const std::lock_guard lock(mutex_);
    hung_ = hung;
  }
  changed_.notify_all();
}

void Satellite::SetSlow(milliseconds delay) {
  const std::lock_guard lock(mutex_);
  slow_ = delay;
}

std::string Satellite::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

std::vector<std::string> Satellite::TakeDueRetries(steady_clock::time_point now) {
  // LINSTOR's source has 15 s, 30 s, 1, 2, 5, 10, 30 min and looks every 15 s; retries were seen
  // 24–33 s after the failure and 45 s after that, which half a tick on top of each delay
  // reproduces.
  static constexpr double kDelays[] = {15, 30, 60, 120, 300, 600, 1800};
  std::vector<std::string> due;
  const std::lock_guard lock(mutex_);
  if (status_ != "ONLINE") {
    return due;
  }
  for (auto& [resource, failed] : failed_) {
    const auto index =
        std::min<std::size_t>(static_cast<std::size_t>(failed.attempt), std::size(kDelays) - 1);
    if (failed.pending &&
        now - failed.since >= Scaled(kDelays[index] + 7.5, options_.retry_scale)) {
      failed.pending = false;
      ++failed.attempt;
      due.push_back(resource);
    }
  }
  return due;
}

void Satellite::NoteFailure(const std::string& resource) {
  const std::lock_guard lock(mutex_);
  auto& failed = failed_[resource];
  failed.since = steady_clock::now();
  failed.pending = true;
}

void Satellite::NoteSuccess(const std::string& resource) {
  const std::lock_guard lock(mutex_);
  failed_.erase(resource);
}

bool Satellite::Sleep(const std::stop_token& stop, milliseconds time) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, stop, time, [] { return false; });
  return !stop.stop_requested();
}

void Satellite::Loop(const std::stop_token& stop) {
  while (true) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      if (!changed_.wait(lock, stop, [&] { return !jobs_.empty() && !hung_; })) {
        return;
      }
      job = std::move(jobs_.front());
      jobs_.pop_front();
      served_ = connection_;
    }
    CycleResult result = RunCycle(stop, job.request);
    {
      const std::lock_guard lock(mutex_);
      if (served_ != connection_) {
        result = Lost();  // what it still did, nobody heard of
      }
    }
    if (job.collector) {
      job.collector->Add(std::move(result));
    }
  }
}

CommandResult Satellite::Run(const std::vector<std::string>& argv) {
  const auto start = steady_clock::now();
  auto result = port_.Run(node_, argv, options_.exec_timeout);
  spdlog::debug("{} exit={} {}ms {}", node_, result.exit,
                duration_cast<milliseconds>(steady_clock::now() - start).count(),
                fmt::join(argv, " "));
  return result;
}

CycleResult Satellite::RunCycle(const std::stop_token& stop, const CycleRequest& request) {
  CycleResult result;
  result.node = node_;
  CycleRequest work = request;
  milliseconds slow{0};
  {
    const std::lock_guard lock(mutex_);
    slow = slow_;
  }
  if (slow.count() > 0 && !Sleep(stop, slow)) {
    return result;
  }
  if (request.with_definitions && !request.full_sync) {
    for (const auto& resource : request.resources) {
      stale_.erase(resource);
    }
  }
  if (request.full_sync) {
    if (!FullSync(stop, result)) {
      return result;
    }
    const std::lock_guard lock(database_.mutex);
    for (const auto& [key, definition] : database_.state.definitions) {
      if (definition.resources.contains(Key(node_))) {
        work.resources.push_back(key);
      }
    }
  }
  if (request.kind != CycleKind::kAdjust) {
    SnapshotStep(stop, request, result);
    return result;
  }
  const auto wait = request.later_round ? options_.next_round : options_.first_adjust;
  if (!request.full_sync && !Sleep(stop, wait * 6 / 10)) {
    return result;
  }
  const auto suspended = UserSuspended(Run({"drbdsetup", "status"}).out);
  if (!request.full_sync && !Sleep(stop, wait * 4 / 10)) {
    return result;
  }
  const auto fresh = WriteFiles(work, result);
  std::set<std::string> listed(work.resources.begin(), work.resources.end());
  if (lists_adjustable_ && !work.resources.empty()) {
    listed = ListAdjustable();
    listed.insert(fresh.begin(), fresh.end());
  }
  for (const auto& resource : work.resources) {
    if (stop.stop_requested()) {
      break;
    }
    // L24: a reconnect or restart adjusts everything, but resumes nothing.
    const bool resume = suspended.contains(resource) && !request.full_sync;
    Process(resource, listed.contains(resource), resume, result);
  }
  return result;
}

bool Satellite::FullSync(const std::stop_token& stop, CycleResult& result) {
  std::map<std::string, Definition> sent;
  {
    const std::lock_guard lock(database_.mutex);
    sent = database_.state.definitions;
  }
  if (!Sleep(stop, options_.full_sync)) {
    return false;
  }
  const auto version = Run({"drbdadm", "--version"});
  lists_adjustable_ = UtilsVersion(version.out) >= 0x092000;  // 9.32.0, L18
  bool broken = false;
  knows_tls_ = true;
  for (const char* topic :
       {"resource-options", "peer-device-options", "new-peer", "disk-options", "new-minor"}) {
    const auto help = Run({"drbdsetup", "xml-help", topic});
    broken = broken || help.exit != 0 || help.out.find("<command") == std::string::npos;
    if (std::string(topic) == "new-peer") {
      knows_tls_ = help.out.find("\"tls\"") != std::string::npos;
    }
  }
  const std::lock_guard database_lock(database_.mutex);
  const std::lock_guard lock(mutex_);
  if (status_ != "CONNECTED" || served_ != connection_) {
    return false;  // went away meanwhile
  }
  stale_.clear();
  for (auto& [key, before] : sent) {
    const auto now = database_.state.definitions.find(key);
    if (now != database_.state.definitions.end() && !SameProps(before, now->second)) {
      spdlog::info("{}: {} was changed during the full sync", node_, before.name);
      stale_[key] = std::move(before);
    }
  }
  status_ = broken ? "FULL_SYNC_FAILED" : "ONLINE";  // L30
  spdlog::info("{}: {} tls={} list-adjustable={}", node_, status_, knows_tls_, lists_adjustable_);
  if (broken) {
    result.error = fmt::format("({}) full sync failed", node_);
  }
  files_.clear();  // every file is written again (L27)
  return !broken;
}

std::set<std::string> Satellite::ListAdjustable() {
  const auto list = Run({"drbdadm", "sh-list-adjustable", "all"});
  std::set<std::string> out;
  for (const auto& name : Words(list.out)) {
    out.insert(Key(name));
  }
  return out;
}

std::set<std::string> Satellite::WriteFiles(const CycleRequest& request, CycleResult& result) {
  std::set<std::string> fresh;
  for (const auto& resource : request.resources) {
    bool is_new = false;
    {
      const std::lock_guard lock(database_.mutex);
      const auto it = database_.state.definitions.find(resource);
      if (it != database_.state.definitions.end()) {
        const auto own = it->second.resources.find(Key(node_));
        is_new = own != it->second.resources.end() && !own->second.initialized;
      }
    }
    if (is_new) {
      fresh.insert(resource);
    }
    WriteFile(resource, request.full_sync, result);
  }
  return fresh;
}

}  // namespace breakwater::sim
