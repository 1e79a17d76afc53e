#pragma once

/// ConditionSet: collects what one reconcile found out and makes status.conditions of it.
///
/// Rules (those of the Piraeus Operator v2.11, whose texts users search for): every type starts as
/// Unknown/NotObserved; only a higher rank (NotObserved < AsExpected < Unknown < Error) changes
/// status and reason; messages are always appended, one per line; errors get the prefix "Error: ".
///
///   ConditionSet conditions;
///   conditions.AddSuccess(api::kConditionApplied, "Resources applied");
///   conditions.AddError(api::kConditionAvailable, "Controller unreachable");
///   status.conditions = conditions.Build(api::ConditionsFromJson(object.raw()),
///   object.generation(), now);
///
/// Thread safety: none; one per reconcile.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "operator/api/condition.h"

namespace breakwater::core {

inline constexpr std::string_view kReasonNotObserved = "NotObserved";
inline constexpr std::string_view kReasonAsExpected = "AsExpected";
inline constexpr std::string_view kReasonUnknown = "Unknown";
inline constexpr std::string_view kReasonError = "Error";

class ConditionSet {
 public:
  /// With Applied, Available and Configured, the types that LinstorCluster and LinstorSatellite
  /// always show.
  ConditionSet();
  /// With the given types.
  explicit ConditionSet(const std::vector<std::string_view>& types);

  /// True/AsExpected, or `reason` when given.
  void AddSuccess(std::string_view type,
                  std::string_view message,
                  std::string_view reason = kReasonAsExpected);
  /// Unknown/Unknown, or `reason` when given.
  void AddUnknown(std::string_view type,
                  std::string_view message,
                  std::string_view reason = kReasonUnknown);
  /// False/Error, or `reason` when given.
  void AddError(std::string_view type,
                std::string_view message,
                std::string_view reason = kReasonError);
  /// False without an error: a state that is expected to pass (rank of Unknown).
  void AddPending(std::string_view type, std::string_view message, std::string_view reason);

  /// The new list, sorted by type. A transition time is kept while the status stays the same;
  /// conditions in `previous` of other types stay as they are.
  /// @param now RFC 3339 in UTC with seconds ("2026-01-02T03:04:05Z").
  std::vector<api::Condition> Build(const std::vector<api::Condition>& previous,
                                    std::int64_t generation,
                                    std::string_view now) const;

 private:
  enum class Rank { kNotObserved, kAsExpected, kUnknown, kError };

  struct Entry {
    Rank rank = Rank::kNotObserved;
    std::string status = "Unknown";
    std::string reason{kReasonNotObserved};
    std::string message{};
  };

  void Add(std::string_view type,
           Rank rank,
           std::string_view status,
           std::string_view reason,
           const std::string& message);

  std::map<std::string, Entry, std::less<>> entries_;
};

/// A reason that the API server accepts (^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$): other
/// characters are dropped; "Unknown" when nothing is left.
std::string SanitizeReason(std::string_view reason);

}  // namespace breakwater::core
