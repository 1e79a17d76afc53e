#include "operator/core/replication/plan/properties.h"

#include <algorithm>
#include <cctype>
#include <limits>

#include "operator/core/replication/node/text.h"

namespace breakwater::replication {

std::optional<bool> ParseTlsValue(std::string_view text) {
  std::string lower(text.substr(0, 8));
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (lower == "yes") {
    return true;
  }
  if (lower == "no") {
    return false;
  }
  return std::nullopt;
}

std::string_view TlsValue(bool tls) {
  return tls ? "yes" : "no";
}

Level PairLevel(const ResourceLevels& levels, const PairKey& pair) {
  const auto it = levels.pairs.find(pair);
  return it == levels.pairs.end() ? Level{} : it->second;
}

bool Replaceable(const ResourceLevels& levels, const Level& level) {
  return level.ours || (levels.floor && level.value == false);
}

std::string MarkerText(bool value, bool previous, int touches) {
  std::string text = std::string(TlsValue(value)) + " " + std::string(TlsValue(previous));
  return touches > 0 ? text + " " + std::to_string(touches) : text;
}

Level ReadLevel(const std::map<std::string, std::string>& props, std::string_view marker) {
  Level level;
  if (const auto value = props.find(std::string(kTlsProperty)); value != props.end()) {
    level.value = ParseTlsValue(value->second);
  }
  const auto mark = props.find(std::string(marker));
  if (mark == props.end()) {
    return level;
  }
  const std::vector<std::string_view> words = Words(mark->second);
  const auto word = [&](std::size_t i) {
    return i < words.size() ? ParseTlsValue(words[i]) : std::nullopt;
  };
  level.previous = words.size() > 1 ? word(1) : word(0);
  if (words.size() > 2) {
    level.touches = static_cast<int>(std::clamp<std::int64_t>(ToInteger(words[2]).value_or(0), 0,
                                                              std::numeric_limits<int>::max() / 2));
  }
  // Only the marker is left: nothing there is a person's.
  const bool leftover = marker != kClusterMarker && !props.contains(std::string(kTlsProperty));
  const bool names_value = words.size() > 1 || marker != kPairMarker;
  level.ours = leftover || !names_value || (level.value && level.value == word(0));
  return level;
}

namespace {

bool Resolve(const ResourceLevels& levels,
             const PairKey& pair,
             bool with_ours,
             std::optional<bool> controller) {
  const Level own = PairLevel(levels, pair);
  if (own.value && (with_ours || !own.ours)) {
    return *own.value;
  }
  if (levels.definition.value && (with_ours || !levels.definition.ours)) {
    return *levels.definition.value;
  }
  if (const auto it = levels.node_connections.find(pair); it != levels.node_connections.end()) {
    return it->second;
  }
  return levels.group.value_or(controller.value_or(false));
}

}  // namespace

ResourceLevels WithComingGroup(ResourceLevels levels) {
  if (levels.group_coming) {
    levels.group = true;
  }
  return levels;
}

bool Effective(const ResourceLevels& levels, const PairKey& pair) {
  return Resolve(levels, pair, true, levels.controller);
}

bool Effective(const ResourceLevels& levels, const PairKey& pair, std::optional<bool> cluster) {
  return Resolve(levels, pair, true, cluster);
}

bool EffectiveWithoutOurs(const ResourceLevels& levels, const PairKey& pair) {
  return Resolve(levels, pair, false, levels.controller);
}

bool Desired(const ResourceLevels& levels, const PairKey& pair, std::optional<bool> cluster) {
  return levels.floor || Resolve(levels, pair, false, cluster);
}

bool Restored(const ResourceLevels& levels, const PairKey& pair) {
  const auto counts = [&](const Level& level) {
    return level.value && (level.ours || !Replaceable(levels, level));
  };
  if (const Level own = PairLevel(levels, pair); counts(own)) {
    return *own.value;
  }
  if (counts(levels.definition)) {
    return *levels.definition.value;
  }
  return levels.floor || Effective(levels, pair);
}

ResourceLevels After(ResourceLevels levels, const LinstorOp& op) {
  if (const auto* set = std::get_if<SetPair>(&op)) {
    levels.pairs[set->pair] = Level{set->value, true, set->previous};
  } else if (const auto* remove = std::get_if<RemovePair>(&op)) {
    if (Replaceable(levels, PairLevel(levels, remove->pair))) {
      levels.pairs.erase(remove->pair);
    }
  } else if (const auto* pin = std::get_if<SetPin>(&op)) {
    levels.definition = Level{pin->value, true, pin->previous, pin->touches};
  } else if (Replaceable(levels, levels.definition)) {
    levels.definition = Level{};
  }
  return levels;
}

std::vector<LinstorOp> CleanupOps(const ResourceLevels& levels,
                                  const std::map<PairKey, bool>& runs) {
  if (runs.empty()) {
    return {};
  }
  const auto all = [&](const auto& matches) {
    return std::all_of(runs.begin(), runs.end(), [&](const auto& item) { return matches(item); });
  };
  const auto keeps = [&](const LinstorOp& op) {
    const ResourceLevels after = After(levels, op);
    return all([&](const auto& item) { return Effective(after, item.first) == item.second; });
  };
  const Level& pin = levels.definition;
  const bool first = runs.begin()->second;
  const bool agreed = all([&](const auto& item) { return item.second == first; });
  const bool fine_without_ours = all(
      [&](const auto& item) { return EffectiveWithoutOurs(levels, item.first) == item.second; });
  if (pin.ours && fine_without_ours && keeps(RemovePin{})) {
    return {RemovePin{}};
  }
  std::vector<LinstorOp> ops;
  for (const auto& [key, level] : levels.pairs) {
    if (level.ours && keeps(RemovePair{key})) {
      ops.emplace_back(RemovePair{key});
    }
  }
  const bool ours = pin.ours || std::any_of(levels.pairs.begin(), levels.pairs.end(),
                                            [](const auto& item) { return item.second.ours; });
  const bool free = pin.ours || !pin.value;  // a user's own value on the definition is not touched
  if (ops.empty() && ours && free && agreed && !fine_without_ours && pin.value != first &&
      keeps(SetPin{first, first})) {
    // What the user wants is not in LINSTOR yet (held back): one pin holds the new value meanwhile.
    ops.emplace_back(SetPin{first, first});
  }
  return ops;
}

std::string Describe(const LinstorOp& op) {
  if (const auto* set = std::get_if<SetPair>(&op)) {
    return "set tls=" + std::string(TlsValue(set->value)) + " on connection " + set->pair;
  }
  if (const auto* remove = std::get_if<RemovePair>(&op)) {
    return "remove our value from connection " + remove->pair;
  }
  if (const auto* pin = std::get_if<SetPin>(&op)) {
    return "pin the resource definition to tls=" + std::string(TlsValue(pin->value));
  }
  return "remove the pin from the resource definition";
}

}  // namespace breakwater::replication
