#include "operator/agent/process/guard_protocol.h"

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "operator/core/replication/node/text.h"

namespace breakwater::agent {
namespace {

constexpr int kMaxMinor = (1 << 20) - 1;

std::vector<std::string_view> Split(std::string_view text) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t comma = text.find(',');
    parts.push_back(text.substr(0, comma));
    if (comma == std::string_view::npos) {
      return parts;
    }
    text.remove_prefix(comma + 1);
  }
}

std::string Join(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) {
    text += (text.empty() ? "" : ",") + part;
  }
  return text;
}

std::optional<WorkerLine> DecodeGuard(const std::vector<std::string_view>& words) {
  const std::optional<std::int64_t> until = replication::ToInteger(words[2]);
  if (!IsTransactionId(words[1]) || !until || *until < 0) {
    return std::nullopt;
  }
  GuardLine guard{std::string(words[1]), SteadyTime(std::chrono::nanoseconds(*until)), {}};
  for (const std::string_view part : Split(words[3])) {
    const std::optional<std::int64_t> minor = replication::ToInteger(part);
    if (!minor || *minor < 0 || *minor > kMaxMinor || guard.minors.size() == kMaxGuardedMinors) {
      return std::nullopt;
    }
    guard.minors.push_back(static_cast<int>(*minor));
  }
  return guard;
}

std::optional<WorkerLine> DecodeKeep(std::string_view list) {
  KeepLine keep;
  if (list == "-") {
    return keep;
  }
  for (const std::string_view id : Split(list)) {
    if (!IsTransactionId(id)) {
      return std::nullopt;
    }
    keep.ids.emplace_back(id);
  }
  return keep;
}

}  // namespace

bool IsTransactionId(std::string_view id) {
  return !id.empty() && id.size() <= 64 && id != "." && id != ".." && id != "-" &&
         std::all_of(id.begin(), id.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-';
         });
}

std::string EncodeWorkerLine(const WorkerLine& line) {
  if (const auto* guard = std::get_if<GuardLine>(&line)) {
    std::vector<std::string> minors;
    for (const int minor : guard->minors) {
      minors.push_back(std::to_string(minor));
    }
    const auto until =
        std::chrono::duration_cast<std::chrono::nanoseconds>(guard->until.time_since_epoch());
    return "guard " + guard->id + " " + std::to_string(until.count()) + " " + Join(minors) + "\n";
  }
  if (const auto* release = std::get_if<ReleaseLine>(&line)) {
    return "release " + release->id + "\n";
  }
  if (const auto* keep = std::get_if<KeepLine>(&line)) {
    return "keep " + (keep->ids.empty() ? "-" : Join(keep->ids)) + "\n";
  }
  return "alive\n";
}

std::optional<WorkerLine> DecodeWorkerLine(std::string_view line) {
  if (line.size() > kMaxGuardLine) {
    return std::nullopt;
  }
  const std::vector<std::string_view> words = replication::Words(line);
  if (words.size() == 4 && words[0] == "guard") {
    return DecodeGuard(words);
  }
  if (words.size() == 2 && words[0] == "release" && IsTransactionId(words[1])) {
    return ReleaseLine{std::string(words[1])};
  }
  if (words.size() == 2 && words[0] == "keep") {
    return DecodeKeep(words[1]);
  }
  if (words.size() == 1 && words[0] == "alive") {
    return AliveLine{};
  }
  return std::nullopt;
}

}  // namespace breakwater::agent
