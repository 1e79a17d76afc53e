#pragma once

/// Reflector: keeps a Store equal to the API server by list and watch, for ever.
///
/// The life of a watch is a small state machine (reflector_state.h); the thread here only makes the
/// calls and feeds their outcome to it.

#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "operator/base/context.h"
#include "operator/kube/client.h"
#include "operator/runtime/reflector_state.h"
#include "operator/runtime/services.h"
#include "operator/runtime/store.h"

namespace breakwater::runtime {

/// Which objects of the kind to watch.
struct StoreFilter {
  std::string ns{};  ///< "" = all namespaces
  std::string label_selector{};
  std::string field_selector{};

  auto operator<=>(const StoreFilter&) const = default;
};

struct ReflectorOptions {
  StoreFilter filter{};
  /// Page size of a list. Source: client-go pager, 500.
  int page_size = 500;
  /// Time for one page. Generous: a loaded API server may need long for a large page.
  std::chrono::seconds list_timeout{60};
  /// Longest watch that the server is asked for; the real one is up to 20 % shorter, so that the
  /// watches of all kinds do not end together. Source: kube-rs watcher, 290 s (below the 5 min at which
  /// many load balancers cut idle connections).
  std::chrono::seconds watch_timeout{290};
  /// What the client waits longer than the server before it calls the peer dead. Source: kube-rs, 5 s.
  std::chrono::seconds idle_margin{5};
  /// Backoff after failures. Source: client-go reflector (backoffManager), 0.8 s to 30 s, x2, jitter.
  std::chrono::milliseconds first_backoff{800};
  std::chrono::milliseconds max_backoff{std::chrono::seconds{30}};
  /// The backoff starts anew after this time without failure. Source: same, 2 min.
  std::chrono::seconds healthy_after{120};
  /// Shortest time between two logs about a missing right.
  std::chrono::seconds forbidden_log_interval{60};
  /// Random numbers in [0, 1) for jitter; empty = a generator seeded by the machine.
  std::function<double()> random{};
};

/// One thread. Ownership: keeps references to everything it is given, all of which must outlive it.
/// Thread safety: Start and Stop from one thread.
class Reflector {
 public:
  Reflector(Services services, kube::KubeReader& client, Store& store,
            ReflectorOptions options = {});
  ~Reflector();
  Reflector(const Reflector&) = delete;
  Reflector& operator=(const Reflector&) = delete;

  void Start();
  /// Cancels whatever call is running; does not wait.
  void RequestStop();
  /// RequestStop and join. Returns as fast as the client obeys its context (< 1 s).
  void Stop();

 private:
  void Run(std::stop_token stop);
  ReflectorInput Step(const Context& ctx);
  ReflectorInput ListAll(const Context& ctx);
  ReflectorInput OpenWatch(const Context& ctx, const std::string& version);
  ReflectorInput ReadEvent();
  ReflectorInput Failure(const kube::KubeError& error, std::string_view verb);
  bool Recover(const Context& ctx, const ReflectorInput& input);
  std::chrono::nanoseconds NextBackoff();
  void LogFailure(const Failed& failed);

  const Services services_;        // constant after construction
  kube::KubeReader& client_;       // constant after construction
  Store& store_;                   // constant after construction
  const ReflectorOptions options_;  // constant after construction

  // Only used by the thread.
  ReflectorState state_{};
  std::unique_ptr<kube::WatchStream> stream_{};
  std::optional<Context> stream_ctx_{};
  SteadyTime stream_opened_{};
  bool stream_had_event_ = false;
  int failures_ = 0;
  std::optional<SteadyTime> last_failure_{};
  std::optional<SteadyTime> forbidden_logged_{};

  std::jthread thread_;  // last member: joined first
};

}  // namespace breakwater::runtime
