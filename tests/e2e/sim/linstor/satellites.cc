#include "tests/e2e/sim/linstor/satellites.h"

#include <algorithm>
#include <optional>
#include <set>

#include <fmt/format.h>

namespace breakwater::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// LINSTOR's retry timer fires every 15 s (L22).
constexpr double kRetryTickSeconds = 15;

void Every(const std::stop_token& stop, milliseconds time, const std::function<void()>& work) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  while (!stop.stop_requested()) {
    never.wait_for(lock, stop, time, [] { return false; });
    if (!stop.stop_requested()) {
      work();
    }
  }
}

}  // namespace

Satellites::Satellites(Database& database, DrbdPort& port, const SimOptions& options)
    : database_(database), port_(port), options_(options) {}

Satellites::~Satellites() {
  retrier_ = {};
  poller_ = {};
}

void Satellites::Start() {
  Poll();
  poller_ = std::jthread(
      [this](const std::stop_token& stop) { Every(stop, options_.poll, [this] { Poll(); }); });
  const milliseconds tick(std::max<std::int64_t>(
      10, static_cast<std::int64_t>(kRetryTickSeconds * 1000 * options_.retry_scale)));
  retrier_ = std::jthread(
      [this, tick](const std::stop_token& stop) { Every(stop, tick, [this] { RetryTick(); }); });
}

std::shared_ptr<Satellite> Satellites::Find(const std::string& node) const {
  const std::lock_guard lock(mutex_);
  const auto it = satellites_.find(Key(node));
  return it == satellites_.end() ? nullptr : it->second;
}

std::shared_ptr<Satellite> Satellites::Get(const std::string& node) {
  const std::lock_guard lock(mutex_);
  auto& satellite = satellites_[Key(node)];
  if (!satellite) {
    satellite = std::make_shared<Satellite>(node, database_, port_, options_);
  }
  return satellite;
}

std::string Satellites::status(const std::string& node) const {
  const auto satellite = Find(node);
  return satellite ? satellite->status() : "OFFLINE";
}

void Satellites::Poll() {
  const std::lock_guard one(poll_mutex_);
  const auto pods = port_.Satellites();
  std::vector<std::pair<std::string, std::optional<std::int64_t>>> wanted;  // epoch, if there
  {
    const std::lock_guard lock(database_.mutex);
    for (auto& entry : database_.state.nodes) {
      Node& node = entry.second;
      const auto there = std::find_if(pods.begin(), pods.end(), [&](const SatelliteInfo& pod) {
        return pod.running && Key(pod.node) == entry.first &&
               std::any_of(node.nets.begin(), node.nets.end(), [&](const NetIf& net) {
                 return net.address == pod.address && net.port != 0;
               });
      });
      if (there == pods.end()) {
        wanted.emplace_back(node.name, std::nullopt);
      } else {
        node.props["NodeUname"] = node.name;
        wanted.emplace_back(node.name, there->epoch);
      }
    }
  }
  const auto now = steady_clock::now();
  for (const auto& [name, epoch] : wanted) {
    bool hung = false;
    {
      const std::lock_guard lock(mutex_);
      const auto it = hung_since_.find(Key(name));
      hung = it != hung_since_.end() && now - it->second >= options_.hang_noticed;
    }
    const auto satellite = Get(name);
    if (epoch && !hung) {
      satellite->Connect(*epoch);
    } else {
      satellite->Disconnect();
    }
  }
}

namespace {

/// One request per node, so that one result per node comes back.
std::vector<Satellites::Work> Merged(const std::vector<Satellites::Work>& work) {
  std::vector<Satellites::Work> out;
  for (const auto& item : work) {
    const auto it = std::find_if(out.begin(), out.end(),
                                 [&](const auto& one) { return one.node == item.node; });
    if (it == out.end()) {
      out.push_back(item);
    } else {
      auto& resources = it->request.resources;
      resources.insert(resources.end(), item.request.resources.begin(),
                       item.request.resources.end());
      it->request.snapshots.insert(item.request.snapshots.begin(), item.request.snapshots.end());
    }
  }
  return out;
}

}  // namespace

void Satellites::RunRound(const std::vector<Work>& work,
                          const std::function<void(const CycleResult&)>& each) {
  const auto collector = std::make_shared<Collector>();
  std::set<std::string> pending;
  for (const Work& item : Merged(work)) {
    const auto satellite = Get(item.node);
    if (satellite->online()) {
      pending.insert(item.node);
      satellite->Submit(item.request, collector);
    } else {
      CycleResult offline;
      offline.node = item.node;
      offline.offline = true;
      offline.syncing = satellite->status() == "CONNECTED";
      each(offline);
    }
  }
  while (!pending.empty()) {
    CycleResult result;
    if (collector->Take(milliseconds(200), result)) {
      pending.erase(result.node);
      each(result);
      if (!result.error.empty()) {
        return;
      }
      continue;
    }
    for (const auto& node : std::set<std::string>(pending)) {
      if (status(node) == "OFFLINE") {  // lost while it worked: the request fails (L28)
        CycleResult lost;
        lost.node = node;
        lost.error = fmt::format("({}) Peer connection closed", node);
        each(lost);
        return;
      }
    }
  }
}

bool Satellites::WaitOnline(const std::string& node, milliseconds wait) {
  const auto deadline = steady_clock::now() + wait;
  while (steady_clock::now() < deadline) {
    if (status(node) == "ONLINE") {
      return true;
    }
    std::this_thread::sleep_for(milliseconds(10));
  }
  return status(node) == "ONLINE";
}

bool Satellites::Reconnect(const std::string& node, milliseconds wait) {
  Get(node)->Disconnect();
  Poll();
  if (status(node) == "OFFLINE") {
    std::this_thread::sleep_for(wait);
    return false;
  }
  return WaitOnline(node, std::max(wait, milliseconds(10000)));
}

void Satellites::Restart() {
  std::vector<std::shared_ptr<Satellite>> all;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, satellite] : satellites_) {
      all.push_back(satellite);
    }
  }
  for (const auto& satellite : all) {
    satellite->Disconnect();
  }
  Poll();
}

void Satellites::SetHung(const std::string& node, bool hung) {
  {
    const std::lock_guard lock(mutex_);
    if (hung) {
      hung_since_[Key(node)] = steady_clock::now();
    } else {
      hung_since_.erase(Key(node));
    }
  }
  Get(node)->SetHung(hung);
}

void Satellites::SetSlow(const std::string& node, milliseconds delay) {
  Get(node)->SetSlow(delay);
}

void Satellites::Forget(const std::string& node) {
  std::shared_ptr<Satellite> gone;
  {
    const std::lock_guard lock(mutex_);
    if (const auto it = satellites_.find(Key(node)); it != satellites_.end()) {
      gone = it->second;
      satellites_.erase(it);
    }
  }
  if (gone) {
    gone->Disconnect();
  }
}

void Satellites::RetryTick() {
  std::vector<std::shared_ptr<Satellite>> all;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, satellite] : satellites_) {
      all.push_back(satellite);
    }
  }
  for (const auto& satellite : all) {
    const auto due = satellite->TakeDueRetries(steady_clock::now());
    if (!due.empty()) {
      satellite->Submit({.resources = due, .later_round = true, .with_definitions = false},
                        nullptr);
    }
  }
}

}  // namespace breakwater::sim
