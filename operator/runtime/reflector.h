#pragma once

/// Reflector: keeps a Store equal to the API server by list and watch, for ever.
///
/// The life of a watch is a small state machine (reflector_state.h); the thread here only makes the
/// calls and feeds their outcome to it.

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "operator/base/backoff.h"
#include "operator/base/context.h"
#include "operator/base/log.h"
#include "operator/base/thread.h"
#include "operator/kube/client.h"
#include "operator/runtime/health.h"
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
  /// watches of all kinds do not end together. Source: kube-rs watcher, 290 s (below the 5 min at
  /// which many load balancers cut idle connections).
  std::chrono::seconds watch_timeout{290};
  /// What the client waits longer than the server before it calls the peer dead. Source: kube-rs, 5
  /// s.
  std::chrono::seconds idle_margin{5};
  /// After failures: client-go's reflector, but at most 2 s (4 s with jitter) instead of 30 s. Its
  /// limit protects an API server from thousands of kubelets; ours have a storage cluster that
  /// waits: after a fault of any length the operator must know the state within 10 s of noticing
  /// its end (see HttpClientOptions::watch_silence for a connection that says nothing).
  Backoff::Options backoff{.max = std::chrono::seconds{2}};
  /// A 410 so long after the last list is normal (etcd was compacted, the server restarted): list
  /// at once. Earlier, the server refuses what it just gave: pause first.
  std::chrono::seconds fresh_list{10};
  /// Shortest time between two logs about a missing right.
  std::chrono::seconds forbidden_log_interval{60};
  /// For jitter; empty = RealRandom().
  RandomSource random{};
};

/// One thread. Ownership: keeps references to everything it is given, all of which must outlive it.
/// Thread safety: Start and Stop from one thread.
class Reflector {
 public:
  Reflector(Services services,
            kube::KubeReader& client,
            Store& store,
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
  void Run(const std::stop_token& stop);
  ReflectorInput Step(const Context& ctx);
  ReflectorInput ListAll(const Context& ctx);
  ReflectorInput OpenWatch(const Context& ctx, const std::string& version);
  ReflectorInput ReadEvent();
  void Absorb(ReflectorInput& input);
  bool ShouldPause(const ReflectorInput& input) const;
  void Report(const ReflectorInput& input);

  const Services services_;         // constant after construction
  kube::KubeReader& client_;        // constant after construction
  Store& store_;                    // constant after construction
  const ReflectorOptions options_;  // constant after construction
  const Logger log_;                // constant after construction

  // Only used by the thread.
  ReflectorState state_{};
  Backoff backoff_;
  int page_size_;  // of the next list
  std::shared_ptr<Health::Heartbeat> heartbeat_{};
  std::unique_ptr<kube::WatchStream> stream_{};
  std::optional<Context> stream_ctx_{};
  std::optional<SteadyTime> listed_{};
  SteadyTime stream_opened_{};
  bool stream_had_event_ = false;
  std::optional<SteadyTime> forbidden_logged_{};

  Thread thread_;  // last member: joined first
};

}  // namespace breakwater::runtime
