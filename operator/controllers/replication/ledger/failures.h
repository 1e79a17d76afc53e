#pragma once

/// FailureLedger: what went wrong with a volume lately, how often, and when it may be tried again.
/// A value; no clock; not thread-safe.

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "operator/api/replication_tls.h"
#include "operator/base/clock.h"

namespace breakwater::controllers {

struct VolumeFailure {
  enum class Kind {
    kRolledBack,  ///< a switch was undone: first retry after 30 s, then doubled up to 1 h
    kBlocked,     ///< it could not begin or go on: first retry after 15 s, up to 5 min
  };

  Kind kind = Kind::kBlocked;
  std::string resource{};
  std::string node{};  ///< whose fault it is, "" = not known
  std::string message{};
};

class FailureLedger {
 public:
  /// True: another failure than the last one of this volume, so people should hear of it.
  bool Failed(const VolumeFailure& failure, SystemTime now, SteadyTime steady);
  void Succeeded(const std::string& resource);
  /// The cause may be gone: try at once. The failure stays shown until something succeeds.
  void Retry(const std::string& resource);

  std::optional<SteadyTime> NotBefore(const std::string& resource) const;
  /// Resources that wait for their next try, with the reason.
  std::map<std::string, std::string> BackingOff(SteadyTime now) const;

  bool Has(const std::string& resource) const { return entries_.contains(resource); }

  std::vector<api::MigrationFailure> Shown() const;

  template <typename Known>
  void KeepOnly(const Known& known) {
    std::erase_if(entries_, [&](const auto& item) { return !known.contains(item.first); });
  }

 private:
  struct Entry {
    api::MigrationFailure shown{};
    int count = 0;
    SteadyTime retry_at{};
  };

  std::map<std::string, Entry> entries_;
};

}  // namespace breakwater::controllers
