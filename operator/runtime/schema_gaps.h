#pragma once

/// SchemaGaps: fields that the API server does not have, because its CustomResourceDefinitions are
/// of another version than this operator. Server-side apply refuses an object with such a field as
/// a whole, with HTTP 500 and "field not declared in schema": left out, the rest works.

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "operator/api/object.h"
#include "operator/api/resource_info.h"
#include "operator/base/clock.h"

namespace breakwater::runtime {

/// The fields that an answer of the API server complains about, as paths without indices
/// ("spec.storagePools[].lvmPool.sharedSpace"). Pure.
std::vector<std::string> UndeclaredFields(std::string_view message);

/// Thread safety: all methods may be called from any thread.
class SchemaGaps {
 public:
  /// Notes what `message` complains about; false when that is nothing, or nothing new.
  bool Learn(const api::ResourceInfo& resource, std::string_view message, SteadyTime now);

  /// `object` without what is known to be missing. What was learnt long ago is tried again: the
  /// definitions may have been updated.
  api::Json Without(const api::ResourceInfo& resource, api::Json object, SteadyTime now);

  /// What is left out, per kind, as text: "LinstorSatellite: spec.deletionPolicy".
  std::vector<std::string> Describe() const;

 private:
  struct Kind {
    std::set<std::string> fields{};
    SteadyTime learnt{};
  };

  mutable std::mutex mutex_;
  std::map<std::string, Kind> kinds_;  // by kind; guarded by mutex_
};

}  // namespace breakwater::runtime
