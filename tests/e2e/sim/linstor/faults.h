#pragma once

#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/e2e/sim/linstor/http_types.h"

namespace breakwater::sim {

/// Faults that tests switch on through POST /sim/fault, and the log of requests behind GET
/// /sim/requests. Thread safe.
class Faults {
 public:
  struct Fault {
    std::string kind;            // http-500, http-status, delay, hang, drop, half, refuse-adjust,
                                 // hang-satellite, slow-satellite
    std::string method;          // empty: any
    std::string path;            // prefix; empty: any path below /v1
    std::string node, resource;  // of refuse-adjust, hang-satellite, slow-satellite; empty: any
    int times = -1;              // how often; -1: until cleared
    int delay_ms = 0;
    int status = 500;
  };

  void Add(Fault fault);
  void Clear();
  [[nodiscard]] nlohmann::json List() const;

  /// The first fault that fits this request, used up once.
  std::optional<Fault> Take(const HttpRequest& request);
  /// True when `drbdadm adjust` of this resource on this node has to fail.
  bool TakeRefusal(const std::string& node, const std::string& resource);

  void Log(const HttpRequest& request, int status, double seconds);
  /// {"requests": […], "counts": {"GET /v1/nodes": 3}} of what was logged from `since` on.
  [[nodiscard]] nlohmann::json Requests(std::size_t since) const;
  void ClearLog();

 private:
  struct Logged {
    std::string method, path, body, agent;
    int status = 0;
    double seconds = 0;
  };

  static bool Use(Fault& fault);

  mutable std::mutex mutex_;
  std::vector<Fault> faults_;
  std::deque<Logged> log_;
  std::size_t dropped_ = 0;  // oldest requests that fell out of the log
};

}  // namespace breakwater::sim
