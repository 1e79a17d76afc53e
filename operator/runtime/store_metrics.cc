#include "operator/runtime/store_metrics.h"

#include <charconv>
#include <string>

namespace breakwater::runtime {
namespace {

// Source of the constants: the FNV-1a specification, 64 bit.
constexpr std::uint64_t kFnvOffset = 0xcbf29ce484222325;
constexpr std::uint64_t kFnvPrime = 0x100000001b3;
constexpr std::uint64_t kFingerprintMask = (std::uint64_t{1} << 48) - 1;

/// resourceVersions are decimal numbers (KEP-5504); anything else shows as 0.
double VersionNumber(const std::string& version) {
  std::uint64_t number = 0;
  std::from_chars(version.data(), version.data() + version.size(), number);
  return static_cast<double>(number);
}

}  // namespace

std::uint64_t FingerprintOf(const api::ObjectKey& key, std::string_view resource_version) {
  std::uint64_t hash = kFnvOffset;
  const auto add = [&hash](std::string_view text) {
    for (const char c : text) {
      hash = (hash ^ static_cast<unsigned char>(c)) * kFnvPrime;
    }
  };
  add(key.ToString());
  add("@");
  add(resource_version);
  return hash;
}

std::uint64_t Fingerprint(const Store& store) {
  std::uint64_t sum = 0;
  for (const api::ObjectPtr& object : store.List()) {
    sum += FingerprintOf(object->key(), object->resource_version());
  }
  return sum & kFingerprintMask;
}

Metrics::Registration ExportStore(Metrics& metrics, const Store& store, const StoreFilter& filter) {
  const api::ResourceInfo& resource = store.resource();
  const MetricLabels labels{
      {"resource",
       resource.group.empty() ? resource.plural : resource.plural + "." + resource.group},
      {"namespace", filter.ns},
      {"label_selector", filter.label_selector},
      {"field_selector", filter.field_selector}};
  GaugeRef objects =
      metrics.Gauge("breakwater_store_objects", "Objects known, by kind and selection", labels);
  GaugeRef version = metrics.Gauge("breakwater_store_resource_version",
                                   "Version up to which changes are known", labels);
  GaugeRef fingerprint = metrics.Gauge(
      "breakwater_store_fingerprint",
      "Equal in two replicas when they know the same objects in the same versions", labels);
  return metrics.OnSerialize([&store, objects, version, fingerprint]() mutable {
    objects.Set(static_cast<double>(store.size()));
    version.Set(VersionNumber(store.resource_version()));
    fingerprint.Set(static_cast<double>(Fingerprint(store)));
  });
}

}  // namespace breakwater::runtime
