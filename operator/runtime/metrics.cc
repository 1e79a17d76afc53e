#include "operator/runtime/metrics.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include "operator/base/thread_annotations.h"

namespace breakwater::runtime {

const std::vector<double> kSecondsBuckets = {0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5,
                                             1,     2.5,   5,    10,   30,  60,   120};

void CounterRef::Increment(double by) {
  counter_->Increment(by);
}

double CounterRef::Value() const {
  return counter_->Value();
}

void GaugeRef::Set(double value) {
  gauge_->Set(value);
}

double GaugeRef::Value() const {
  return gauge_->Value();
}

void HistogramRef::Observe(double value) {
  histogram_->Observe(value);
}

/// The families are kept here by name, because prometheus-cpp's builder throws when it is asked
/// twice for one name with different help or labels.
struct Metrics::Impl {
  prometheus::Registry registry{};
  mutable Mutex mutex{};
  std::map<std::string, prometheus::Family<prometheus::Counter>*> counters
      BREAKWATER_GUARDED_BY(mutex);
  std::map<std::string, prometheus::Family<prometheus::Gauge>*> gauges BREAKWATER_GUARDED_BY(mutex);
  std::map<std::string, prometheus::Family<prometheus::Histogram>*> histograms
      BREAKWATER_GUARDED_BY(mutex);
  std::map<std::string, std::vector<double>> buckets BREAKWATER_GUARDED_BY(mutex);

  mutable Mutex refresh_mutex{};
  std::map<int, std::function<void()>> refreshers BREAKWATER_GUARDED_BY(refresh_mutex);
  int next_refresher BREAKWATER_GUARDED_BY(refresh_mutex) = 0;
};

namespace {

/// A name used with two types is a programming error that would otherwise make /metrics unreadable.
void CheckUnused(bool used, const std::string& name) {
  if (used) {
    std::fprintf(stderr, "metric %s is used with two types\n", name.c_str());
    std::abort();
  }
}

}  // namespace

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}

Metrics::~Metrics() = default;

CounterRef Metrics::Counter(const std::string& name,
                            const std::string& help,
                            const MetricLabels& labels) {
  const MutexLock lock(impl_->mutex);
  auto& family = impl_->counters[name];
  if (family == nullptr) {
    CheckUnused(impl_->gauges.contains(name) || impl_->histograms.contains(name), name);
    family = &prometheus::BuildCounter().Name(name).Help(help).Register(impl_->registry);
  }
  return CounterRef(family->Add(labels));
}

GaugeRef Metrics::Gauge(const std::string& name,
                        const std::string& help,
                        const MetricLabels& labels) {
  const MutexLock lock(impl_->mutex);
  auto& family = impl_->gauges[name];
  if (family == nullptr) {
    CheckUnused(impl_->counters.contains(name) || impl_->histograms.contains(name), name);
    family = &prometheus::BuildGauge().Name(name).Help(help).Register(impl_->registry);
  }
  return GaugeRef(family->Add(labels));
}

HistogramRef Metrics::Histogram(const std::string& name,
                                const std::string& help,
                                const MetricLabels& labels,
                                const std::vector<double>& buckets) {
  const MutexLock lock(impl_->mutex);
  auto& family = impl_->histograms[name];
  if (family == nullptr) {
    CheckUnused(impl_->counters.contains(name) || impl_->gauges.contains(name), name);
    family = &prometheus::BuildHistogram().Name(name).Help(help).Register(impl_->registry);
    impl_->buckets[name] = buckets.empty() ? kSecondsBuckets : buckets;
  }
  return HistogramRef(family->Add(labels, impl_->buckets[name]));
}

void Metrics::RemoveGauge(const std::string& name, const MetricLabels& labels) {
  const MutexLock lock(impl_->mutex);
  const auto it = impl_->gauges.find(name);
  if (it != impl_->gauges.end() && it->second->Has(labels)) {
    it->second->Remove(&it->second->Add(labels));
  }
}

Metrics::Registration::~Registration() {
  if (undo_) {
    undo_();
  }
}

Metrics::Registration::Registration(Registration&& other) noexcept
    : undo_(std::exchange(other.undo_, nullptr)) {}

Metrics::Registration& Metrics::Registration::operator=(Registration&& other) noexcept {
  std::swap(undo_, other.undo_);
  return *this;
}

Metrics::Registration Metrics::OnSerialize(std::function<void()> refresh) {
  const MutexLock lock(impl_->refresh_mutex);
  const int id = impl_->next_refresher++;
  impl_->refreshers.emplace(id, std::move(refresh));
  return Registration([this, id] {
    const MutexLock undo_lock(impl_->refresh_mutex);
    impl_->refreshers.erase(id);
  });
}

std::string Metrics::Serialize() const {
  {
    const MutexLock lock(impl_->refresh_mutex);
    for (const auto& [id, refresh] : impl_->refreshers) {
      refresh();
    }
  }
  return prometheus::TextSerializer().Serialize(impl_->registry.Collect());
}

namespace {

CounterRef ApiRequests(Metrics& metrics, const std::string& verb, const std::string& code) {
  return metrics.Counter("breakwater_api_requests_total",
                         "Requests to the Kubernetes API by verb and HTTP status",
                         {{"verb", verb}, {"code", code}});
}

HistogramRef ExecSeconds(Metrics& metrics, const std::string& result) {
  return metrics.Histogram("breakwater_exec_seconds",
                           "Duration of commands in satellite containers", {{"result", result}});
}

CounterRef DroppedEvents(Metrics& metrics) {
  return metrics.Counter("breakwater_events_dropped_total",
                         "Kubernetes Events that were never written");
}

CounterRef Panics(Metrics& metrics, const std::string& where) {
  return metrics.Counter("breakwater_panics_total",
                         "Exceptions that reached the catch-all of a thread", {{"where", where}});
}

}  // namespace

void RegisterStandardMetrics(Metrics& metrics, const std::string& version) {
  metrics
      .Gauge("breakwater_build_info", "Always 1; the labels tell the build", {{"version", version}})
      .Set(1);
  metrics.Gauge("breakwater_leader", "1 in the replica that is the leader, else 0");
  for (const char* verb : {"get", "list", "watch", "create", "update", "patch", "delete"}) {
    for (const char* code : {"200", "403", "404", "409", "error"}) {
      ApiRequests(metrics, verb, code);
    }
  }
  for (const char* result : {"ok", "nonzero", "error"}) {
    ExecSeconds(metrics, result);
  }
  for (const char* where : {"controller", "reflector", "leader"}) {
    Panics(metrics, where);
  }
  DroppedEvents(metrics);
}

void CountApiRequest(Metrics& metrics, const std::string& verb, int code) {
  ApiRequests(metrics, verb, code == 0 ? "error" : std::to_string(code)).Increment();
}

void CountDroppedEvent(Metrics& metrics) {
  DroppedEvents(metrics).Increment();
}

void ObserveExec(Metrics& metrics, const std::string& result, double seconds) {
  ExecSeconds(metrics, result).Observe(seconds);
}

void CountPanic(Metrics& metrics, const std::string& where) {
  Panics(metrics, where).Increment();
}

}  // namespace breakwater::runtime
