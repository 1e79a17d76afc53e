#pragma once

/// What the tests of this folder share: services on a fake clock, and waits on conditions.

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "operator/api/object.h"
#include "operator/base/context.h"
#include "operator/base/log.h"
#include "operator/runtime/health.h"
#include "operator/runtime/metrics.h"
#include "operator/runtime/services.h"
#include "operator/testing/fake_clock.h"

namespace breakwater::runtime {

struct TestServices {
  breakwater::testing::FakeClock clock{};
  Logger log = Logger::Null();
  Metrics metrics{};
  Health health{clock};

  // NOLINTNEXTLINE(google-explicit-constructor): passed as Services
  operator Services() { return {clock, log, metrics, health}; }

  Context Ctx(std::stop_token stop = {}) const { return Context(std::move(stop), clock); }
};

/// Waits (in real time, at most 10 s) until `condition` holds; false when it never did. The
/// condition may have side effects: AdvanceUntil moves the clock in it.
inline bool Eventually(const std::function<bool()>& condition) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > limit) {
      return false;
    }
    std::this_thread::yield();
    std::this_thread::sleep_for(
        std::chrono::microseconds(100));  // poll interval, not a wait for luck
  }
  return true;
}

/// Moves the clock step by step until `condition` holds.
inline bool AdvanceUntil(breakwater::testing::FakeClock& clock,
                         std::chrono::nanoseconds step,
                         const std::function<bool()>& condition) {
  return Eventually([&] {
    if (condition()) {
      return true;
    }
    clock.Advance(step);
    return false;
  });
}

/// Real time that `action` took.
inline std::chrono::milliseconds Took(const std::function<void()>& action) {
  const auto start = std::chrono::steady_clock::now();
  action();
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                               start);
}

/// A stop that takes longer than this would be felt by a person and by the kubelet's grace.
inline constexpr std::chrono::milliseconds kPromptly{1000};

inline api::ResourceInfo ConfigMaps() {
  return {.kind = "ConfigMap", .plural = "configmaps"};
}

/// A small namespaced object in namespace "ns".
inline api::Json Item(const std::string& name,
                      const std::string& version,
                      const std::string& uid = "") {
  return {{"metadata",
           {{"name", name},
            {"namespace", "ns"},
            {"uid", uid.empty() ? "uid-" + name : uid},
            {"resourceVersion", version}}}};
}

inline api::ObjectKey Key(const std::string& name) {
  return {"ns", name};
}

}  // namespace breakwater::runtime
