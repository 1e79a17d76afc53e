#pragma once

/// Metrics of a store: how many objects it has, up to which version, and a fingerprint of all of
/// them.
///
/// The fingerprint is what shows whether a store is *right*: two replicas, or a store and a list
/// from the API server, agree on it exactly when they have the same objects in the same versions.

#include <cstdint>
#include <string_view>

#include "operator/runtime/metrics.h"
#include "operator/runtime/reflector.h"
#include "operator/runtime/store.h"

namespace breakwater::runtime {

/// What one object adds to the fingerprint of its store: FNV-1a over
/// "namespace/name@resourceVersion", or "name@resourceVersion" for a cluster-scoped object. Pure.
std::uint64_t FingerprintOf(const api::ObjectKey& key, std::string_view resource_version);

/// Sum over all objects, independent of their order, modulo 2^48: exact in the double of a metric.
std::uint64_t Fingerprint(const Store& store);

/// breakwater_store_objects, _resource_version and _fingerprint, brought up to date at each scrape.
/// `store` and `metrics` must outlive the registration.
Metrics::Registration ExportStore(Metrics& metrics, const Store& store, const StoreFilter& filter);

}  // namespace breakwater::runtime
