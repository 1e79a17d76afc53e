#include "operator/runtime/health.h"

#include <utility>

namespace breakwater::runtime {

void Health::Heartbeat::Busy() {
  const SteadyTime now = clock_.SteadyNow();
  const MutexLock lock(mutex_);
  busy_since_ = now;
}

void Health::Heartbeat::Idle() {
  const MutexLock lock(mutex_);
  busy_since_.reset();
}

bool Health::Heartbeat::Late(SteadyTime now) const {
  const MutexLock lock(mutex_);
  return busy_since_ && now - *busy_since_ > limit_;
}

std::shared_ptr<Health::Heartbeat> Health::AddHeartbeat(const std::string& name,
                                                        std::chrono::nanoseconds limit) {
  auto heartbeat = std::make_shared<Heartbeat>(clock_, name, limit);
  const MutexLock lock(mutex_);
  std::erase_if(heartbeats_, [](const auto& weak) { return weak.expired(); });
  heartbeats_.push_back(heartbeat);
  return heartbeat;
}

void Health::AddReadyCheck(const std::string& name,
                           std::function<std::optional<std::string>()> check) {
  const MutexLock lock(mutex_);
  checks_[name] = std::move(check);
}

void Health::RemoveReadyCheck(const std::string& name) {
  const MutexLock lock(mutex_);
  checks_.erase(name);
}

HealthReport Health::Live() const {
  const SteadyTime now = clock_.SteadyNow();
  HealthReport report;
  const MutexLock lock(mutex_);
  for (const auto& weak : heartbeats_) {
    const std::shared_ptr<Heartbeat> heartbeat = weak.lock();
    if (heartbeat && heartbeat->Late(now)) {
      report.ok = false;
      report.text += heartbeat->name_ + ": no progress\n";
    }
  }
  if (report.ok) {
    report.text = "ok\n";
  }
  return report;
}

HealthReport Health::Ready() const {
  HealthReport report;
  // The lock is held during the checks, so that RemoveReadyCheck() can promise that none runs after
  // it.
  const MutexLock lock(mutex_);
  for (const auto& [name, check] : checks_) {
    if (const std::optional<std::string> missing = check()) {
      report.ok = false;
      report.text += name + ": " + *missing + "\n";
    }
  }
  if (report.ok) {
    report.text = "ok\n";
  }
  return report;
}

}  // namespace breakwater::runtime
