#pragma once

/// Metrics: the numbers that the operator shows at /metrics, in the Prometheus text format.
///
/// A metric exists from the moment it is asked for, at zero, so that an alert sees 0 and not
/// "absent".
///
///   metrics.Gauge("breakwater_tls_connections", "DRBD connections by state",
///                 {{"state", "encrypted"}}).Set(12);

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
}  // namespace prometheus

namespace breakwater::runtime {

using MetricLabels = std::map<std::string, std::string>;

/// Handles: cheap to copy, valid as long as the Metrics they come from and not removed.
/// Thread safety: may be used from any thread.
class CounterRef {
 public:
  explicit CounterRef(prometheus::Counter& counter) : counter_(&counter) {}

  void Increment(double by = 1);
  double Value() const;

 private:
  prometheus::Counter* counter_;
};

class GaugeRef {
 public:
  explicit GaugeRef(prometheus::Gauge& gauge) : gauge_(&gauge) {}

  void Set(double value);
  double Value() const;

 private:
  prometheus::Gauge* gauge_;
};

class HistogramRef {
 public:
  explicit HistogramRef(prometheus::Histogram& histogram) : histogram_(&histogram) {}

  void Observe(double value);

 private:
  prometheus::Histogram* histogram_;
};

/// Thread safety: all methods may be called from any thread.
class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  /// The metric with this name and these labels; the same one for the same arguments. A name must
  /// be used with one type only (programming error otherwise: aborts).
  CounterRef Counter(const std::string& name,
                     const std::string& help,
                     const MetricLabels& labels = {});
  GaugeRef Gauge(const std::string& name, const std::string& help, const MetricLabels& labels = {});
  /// `buckets`: ascending upper bounds; empty = kSecondsBuckets. Fixed by the first call of a name.
  HistogramRef Histogram(const std::string& name,
                         const std::string& help,
                         const MetricLabels& labels = {},
                         const std::vector<double>& buckets = {});
  /// Forgets a gauge whose subject is gone (a deleted resource). Handles to it become invalid.
  void RemoveGauge(const std::string& name, const MetricLabels& labels);

  /// Keeps a callback registered as long as it lives.
  class [[nodiscard]] Registration {
   public:
    Registration() = default;

    explicit Registration(std::function<void()> undo) : undo_(std::move(undo)) {}

    ~Registration();
    Registration(Registration&& other) noexcept;
    Registration& operator=(Registration&& other) noexcept;

   private:
    std::function<void()> undo_{};
  };

  /// Calls `refresh` before each Serialize, for gauges that are cheaper to read than to keep up.
  /// `refresh` must not call Serialize or OnSerialize.
  Registration OnSerialize(std::function<void()> refresh);

  /// Everything in the Prometheus text format, version 0.0.4.
  std::string Serialize() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Upper bounds for durations in seconds: from a store hit (1 ms) to the reconcile deadline (2
/// min).
extern const std::vector<double> kSecondsBuckets;

/// The metrics that exist whatever the controllers do; call once at start with the program's
/// version.
void RegisterStandardMetrics(Metrics& metrics, const std::string& version);

/// breakwater_api_requests_total{verb,code}; `code` is the HTTP status or "error".
void CountApiRequest(Metrics& metrics, const std::string& verb, int code);
/// breakwater_exec_seconds{result}; `result` is "ok", "nonzero", "error", or "stream" for the
/// opening of one.
void ObserveExec(Metrics& metrics, const std::string& result, double seconds);
/// breakwater_panics_total{where}: an exception reached a thread's catch-all.
void CountPanic(Metrics& metrics, const std::string& where);
/// A Kubernetes Event that nobody will see.
void CountDroppedEvent(Metrics& metrics);

}  // namespace breakwater::runtime
