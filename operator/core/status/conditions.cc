#include "operator/core/status/conditions.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace breakwater::core {

ConditionSet::ConditionSet()
    : ConditionSet({api::kConditionApplied, api::kConditionAvailable, api::kConditionConfigured}) {}

ConditionSet::ConditionSet(const std::vector<std::string_view>& types) {
  for (const std::string_view type : types) {
    entries_.emplace(type, Entry{});
  }
}

void ConditionSet::Add(std::string_view type,
                       Rank rank,
                       std::string_view status,
                       std::string_view reason,
                       const std::string& message) {
  Entry& entry = entries_[std::string(type)];
  if (rank > entry.rank) {
    entry.rank = rank;
    entry.status = status;
    entry.reason = SanitizeReason(reason);
  }
  if (!message.empty()) {
    entry.message += (entry.message.empty() ? "" : "\n") + message;
  }
}

void ConditionSet::AddSuccess(std::string_view type,
                              std::string_view message,
                              std::string_view reason) {
  Add(type, Rank::kAsExpected, "True", reason, std::string(message));
}

void ConditionSet::AddUnknown(std::string_view type,
                              std::string_view message,
                              std::string_view reason) {
  Add(type, Rank::kUnknown, "Unknown", reason, std::string(message));
}

void ConditionSet::AddPending(std::string_view type,
                              std::string_view message,
                              std::string_view reason) {
  Add(type, Rank::kUnknown, "False", reason, std::string(message));
}

void ConditionSet::AddError(std::string_view type,
                            std::string_view message,
                            std::string_view reason) {
  Add(type, Rank::kError, "False", reason, "Error: " + std::string(message));
}

std::vector<api::Condition> ConditionSet::Build(const std::vector<api::Condition>& previous,
                                                std::int64_t generation,
                                                std::string_view now) const {
  constexpr std::size_t kMaxMessage = 32768;  // limit of the API server
  std::vector<api::Condition> result;
  for (const auto& [type, entry] : entries_) {
    const api::Condition* old = api::FindCondition(previous, type);
    const bool same =
        old != nullptr && old->status == entry.status && !old->last_transition_time.empty();
    result.push_back({.type = type,
                      .status = entry.status,
                      .reason = entry.reason,
                      .message = entry.message.substr(0, kMaxMessage),
                      .last_transition_time = same ? old->last_transition_time : std::string(now),
                      .observed_generation = generation});
  }
  for (const api::Condition& old : previous) {
    if (!entries_.contains(old.type)) {
      result.push_back(old);
    }
  }
  std::sort(result.begin(), result.end(),
            [](const api::Condition& a, const api::Condition& b) { return a.type < b.type; });
  return result;
}

std::string SanitizeReason(std::string_view reason) {
  std::string result;
  for (const char c : reason) {
    const auto byte = static_cast<unsigned char>(c);
    const bool first = result.empty();
    if (std::isalpha(byte) != 0 ||
        (!first && (std::isdigit(byte) != 0 || c == '_' || c == ',' || c == ':'))) {
      result += c;
    }
  }
  while (!result.empty() && (result.back() == ',' || result.back() == ':')) {
    result.pop_back();
  }
  return result.empty() ? std::string(kReasonUnknown) : result;
}

}  // namespace breakwater::core
