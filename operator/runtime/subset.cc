#include "operator/runtime/subset.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace breakwater::runtime {
namespace {

using api::Json;

/// Where we are in the object: member names, without list positions.
using Path = std::vector<std::string_view>;

// ---- quantities

struct Unit {
  std::string_view suffix;
  double factor;
};

/// Source: apimachinery resource.Quantity, suffixes of DecimalSI and BinarySI.
constexpr std::array<Unit, 14> kUnits{{{"n", 1e-9},
                                       {"u", 1e-6},
                                       {"m", 1e-3},
                                       {"", 1},
                                       {"k", 1e3},
                                       {"M", 1e6},
                                       {"G", 1e9},
                                       {"T", 1e12},
                                       {"P", 1e15},
                                       {"Ki", 1024.0},
                                       {"Mi", 1048576.0},
                                       {"Gi", 1073741824.0},
                                       {"Ti", 1099511627776.0},
                                       {"Pi", 1125899906842624.0}}};

std::optional<double> ParseQuantity(const Json& value) {
  if (value.is_number()) {
    return value.get<double>();
  }
  if (!value.is_string()) {
    return std::nullopt;
  }
  const std::string& text = value.get_ref<const std::string&>();
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) {
    return std::nullopt;
  }
  const std::string_view suffix(end, static_cast<std::size_t>(text.data() + text.size() - end));
  const auto* unit =
      std::find_if(kUnits.begin(), kUnits.end(), [&](const Unit& u) { return u.suffix == suffix; });
  return unit == kUnits.end() ? std::nullopt : std::optional(number * unit->factor);
}

bool Contains(const Path& path, std::string_view name) {
  return std::find(path.begin(), path.end(), name) != path.end();
}

/// Fields of type Quantity in the kinds that the operator writes (core/v1, storage/v1 OpenAPI).
bool IsQuantityField(const Path& path) {
  for (const std::string_view name : {"requests", "limits", "capacity", "hard"}) {
    if (Contains(path, name)) {
      return true;
    }
  }
  return !path.empty() && (path.back() == "sizeLimit" || path.back() == "divisor");
}

/// Fields of type IntOrString (core/v1, apps/v1, policy/v1 OpenAPI).
bool IsIntOrStringField(const Path& path) {
  static constexpr std::array<std::string_view, 5> kNames{"port", "targetPort", "maxUnavailable",
                                                          "maxSurge", "minAvailable"};
  return !path.empty() && std::find(kNames.begin(), kNames.end(), path.back()) != kNames.end();
}

std::string ScalarText(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

bool SameScalar(const Path& path, const Json& desired, const Json& live) {
  if (desired == live) {
    return true;
  }
  if (IsQuantityField(path)) {
    return SameQuantity(desired, live);
  }
  return IsIntOrStringField(path) && !desired.is_structured() && !live.is_structured() &&
         ScalarText(desired) == ScalarText(live);
}

/// What Go's `omitempty` leaves out, so that the server may return it or not.
bool IsEmptyValue(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      return true;
    case Json::value_t::boolean:
      return !value.get<bool>();
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
    case Json::value_t::number_float:
      return value.get<double>() == 0;
    case Json::value_t::string:
      return value.get_ref<const std::string&>().empty();
    case Json::value_t::array:
      return value.empty();
    case Json::value_t::object:
      return std::all_of(value.begin(), value.end(), IsEmptyValue);
    case Json::value_t::binary:
    case Json::value_t::discarded:
      return false;
  }
  return false;
}

/// Absent means something else than the empty value (core/v1 types: pointers with another default,
/// members of a union), so that the server keeps what was sent.
bool IsEmptyWithMeaning(std::string_view name) {
  static constexpr std::array<std::string_view, 4> kNames{
      "automountServiceAccountToken", "allowPrivilegeEscalation", "enableServiceLinks", "emptyDir"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

/// Maps, and lists with all that is in them, which the server merges as a whole
/// (x-kubernetes-map-type and x-kubernetes-list-type "atomic") and gives no defaults: what is there
/// besides the desired was put there by somebody else and would go with the next apply.
bool IsAtomic(const Path& path) {
  static constexpr std::array<std::string_view, 3> kMaps{"selector", "nodeSelector", "matchLabels"};
  static constexpr std::array<std::string_view, 4> kLists{"rules", "subjects", "tolerations",
                                                          "nodeSelectorTerms"};
  return !path.empty() &&
         (std::find(kMaps.begin(), kMaps.end(), path.back()) != kMaps.end() ||
          std::any_of(kLists.begin(), kLists.end(),
                      [&](const std::string_view name) { return Contains(path, name); }));
}

// ---- lists

/// How the server merges a list of this name (x-kubernetes-list-map-keys in the OpenAPI of
/// core/v1).
struct MergeKey {
  std::string_view list;
  std::array<std::string_view, 2> keys;  // second "" = only one
  std::string_view second_default;
};

constexpr std::array<MergeKey, 19> kMergeKeys{{
    {"containers", {"name", ""}, ""},
    {"initContainers", {"name", ""}, ""},
    {"ephemeralContainers", {"name", ""}, ""},
    {"volumes", {"name", ""}, ""},
    {"env", {"name", ""}, ""},
    {"imagePullSecrets", {"name", ""}, ""},
    {"secrets", {"name", ""}, ""},
    {"webhooks", {"name", ""}, ""},
    {"volumeMounts", {"mountPath", ""}, ""},
    {"volumeDevices", {"devicePath", ""}, ""},
    {"ports", {"containerPort", "protocol"}, "TCP"},
    {"ports", {"port", "protocol"}, "TCP"},
    {"hostAliases", {"ip", ""}, ""},
    {"podIPs", {"ip", ""}, ""},
    {"topologySpreadConstraints", {"topologyKey", "whenUnsatisfiable"}, ""},
    {"conditions", {"type", ""}, ""},
    {"ownerReferences", {"uid", ""}, ""},
    {"resourceClaims", {"name", ""}, ""},
    {"drivers", {"name", ""}, ""},
}};

/// Lists of scalars that the server treats as a set that several managers share.
bool IsSetField(const Path& path) {
  return !path.empty() && path.back() == "finalizers";
}

const MergeKey* FindMergeKey(const Path& path, const Json& list) {
  if (path.empty() || list.empty()) {
    return nullptr;
  }
  for (const MergeKey& candidate : kMergeKeys) {
    const bool usable = candidate.list == path.back() &&
                        std::all_of(list.begin(), list.end(), [&](const Json& item) {
                          return api::FindMember(item, candidate.keys[0]) != nullptr;
                        });
    if (usable) {
      return &candidate;
    }
  }
  return nullptr;
}

bool SameKey(const MergeKey& key, const Json& desired, const Json& live) {
  for (const std::string_view name : key.keys) {
    if (name.empty()) {
      continue;
    }
    const Json fallback = std::string(key.second_default);
    const Json* left = api::FindMember(desired, name);
    const Json* right = api::FindMember(live, name);
    if ((left != nullptr ? *left : fallback) != (right != nullptr ? *right : fallback)) {
      return false;
    }
  }
  return true;
}

// ---- the comparison

class Comparison {
 public:
  /// True when `desired` is in `live`; else the place is in `where()`.
  bool Covers(const Json& desired, const Json& live) {
    if (desired.is_object() && live.is_object()) {
      return CoversObject(desired, live);
    }
    if (desired.is_array() && live.is_array()) {
      return CoversList(desired, live);
    }
    return SameScalar(names_, desired, live) || (IsEmptyValue(desired) && IsEmptyValue(live)) ||
           Fail();
  }

  const std::string& where() const { return where_; }

 private:
  bool CoversObject(const Json& desired, const Json& live) {
    for (const auto& [name, value] : desired.items()) {
      if (steps_.empty() && (name == "apiVersion" || name == "kind")) {
        continue;
      }
      const auto it = live.find(name);
      Enter(name, name);
      const bool ok = it == live.end()
                          ? (IsEmptyValue(value) && !IsEmptyWithMeaning(name)) || Fail()
                          : Covers(value, *it);
      Leave(true);
      if (!ok) {
        return false;
      }
    }
    return !IsAtomic(names_) || HasNothingElse(desired, live);
  }

  bool HasNothingElse(const Json& desired, const Json& live) {
    for (const auto& [name, value] : live.items()) {
      if (!desired.contains(name) && !IsEmptyValue(value)) {
        Enter(name, name);
        const bool ok = Fail();
        Leave(true);
        return ok;
      }
    }
    return true;
  }

  bool CoversList(const Json& desired, const Json& live) {
    const MergeKey* key = FindMergeKey(names_, desired);
    if (key == nullptr && !IsSetField(names_) && desired.size() != live.size()) {
      return Fail();
    }
    for (std::size_t i = 0; i < desired.size(); ++i) {
      const Json* match = nullptr;
      if (key != nullptr) {
        match = Find(live, [&](const Json& item) { return SameKey(*key, desired[i], item); });
      } else if (IsSetField(names_)) {
        match = Find(live, [&](const Json& item) { return item == desired[i]; });
      } else {
        match = &live[i];
      }
      Enter(std::to_string(i), {});
      const bool ok = match == nullptr ? Fail() : Covers(desired[i], *match);
      Leave(false);
      if (!ok) {
        return false;
      }
    }
    return true;
  }

  template <typename Fn>
  static const Json* Find(const Json& list, Fn matches) {
    const auto it = std::find_if(list.begin(), list.end(), matches);
    return it == list.end() ? nullptr : &*it;
  }

  void Enter(std::string step, std::string_view name) {
    steps_.push_back(std::move(step));
    if (!name.empty()) {
      names_.push_back(name);
    }
  }

  void Leave(bool named) {
    steps_.pop_back();
    if (named && !names_.empty()) {
      names_.pop_back();
    }
  }

  bool Fail() {
    where_.clear();
    for (const std::string& step : steps_) {
      where_ += "/";
      for (const char c : step) {
        where_ += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
      }
    }
    return false;
  }

  std::vector<std::string> steps_{};
  Path names_{};
  std::string where_{};
};

}  // namespace

std::optional<std::string> FirstDifference(const Json& desired, const Json& live) {
  Comparison comparison;
  if (comparison.Covers(desired, live)) {
    return std::nullopt;
  }
  return comparison.where();
}

bool SameQuantity(const Json& left, const Json& right) {
  const std::optional<double> a = ParseQuantity(left);
  const std::optional<double> b = ParseQuantity(right);
  // Doubles hold every amount below 2^53 exactly; above, one part in 10^15 is the same disk.
  return a && b && std::abs(*a - *b) <= 1e-12 * std::max(std::abs(*a), std::abs(*b));
}

}  // namespace breakwater::runtime
