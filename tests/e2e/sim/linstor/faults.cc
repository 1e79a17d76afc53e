#include "tests/e2e/sim/linstor/faults.h"

#include <map>

namespace breakwater::sim {
namespace {

constexpr std::size_t kLogLimit = 20000;

bool IsWireKind(const std::string& kind) {
  return kind != "refuse-adjust" && kind != "hang-satellite" && kind != "slow-satellite";
}

}  // namespace

void Faults::Add(Fault fault) {
  const std::lock_guard lock(mutex_);
  faults_.push_back(std::move(fault));
}

void Faults::Clear() {
  const std::lock_guard lock(mutex_);
  faults_.clear();
}

nlohmann::json Faults::List() const {
  const std::lock_guard lock(mutex_);
  auto out = nlohmann::json::array();
  for (const Fault& fault : faults_) {
    out.push_back({{"kind", fault.kind},
                   {"method", fault.method},
                   {"path", fault.path},
                   {"node", fault.node},
                   {"resource", fault.resource},
                   {"times", fault.times},
                   {"delay_ms", fault.delay_ms},
                   {"status", fault.status}});
  }
  return out;
}

bool Faults::Use(Fault& fault) {
  if (fault.times == 0) {
    return false;
  }
  if (fault.times > 0) {
    --fault.times;
  }
  return true;
}

std::optional<Faults::Fault> Faults::Take(const HttpRequest& request) {
  const std::lock_guard lock(mutex_);
  for (Fault& fault : faults_) {
    if (IsWireKind(fault.kind) && (fault.method.empty() || fault.method == request.method) &&
        request.path.rfind(fault.path.empty() ? "/v1" : fault.path, 0) == 0 && Use(fault)) {
      return fault;
    }
  }
  return std::nullopt;
}

bool Faults::TakeRefusal(const std::string& node, const std::string& resource) {
  const std::lock_guard lock(mutex_);
  for (Fault& fault : faults_) {
    if (fault.kind == "refuse-adjust" && (fault.node.empty() || fault.node == node) &&
        (fault.resource.empty() || fault.resource == resource) && Use(fault)) {
      return true;
    }
  }
  return false;
}

void Faults::Log(const HttpRequest& request, int status, double seconds) {
  const std::lock_guard lock(mutex_);
  log_.push_back({request.method, request.path, request.body, request.user_agent, status, seconds});
  if (log_.size() > kLogLimit) {
    log_.pop_front();
    ++dropped_;
  }
}

nlohmann::json Faults::Requests(std::size_t since) const {
  const std::lock_guard lock(mutex_);
  auto requests = nlohmann::json::array();
  std::map<std::string, int> counts;
  for (std::size_t i = since > dropped_ ? since - dropped_ : 0; i < log_.size(); ++i) {
    const Logged& one = log_[i];
    requests.push_back({{"method", one.method},
                        {"path", one.path},
                        {"body", one.body},
                        {"user_agent", one.agent},
                        {"status", one.status},
                        {"seconds", one.seconds}});
    ++counts[one.method + " " + one.path];
  }
  return {{"requests", requests}, {"counts", counts}, {"next", dropped_ + log_.size()}};
}

void Faults::ClearLog() {
  const std::lock_guard lock(mutex_);
  log_.clear();
  dropped_ = 0;
}

}  // namespace breakwater::sim
