#pragma once

/// JSON of plain structs: one `Fields(archive, value)` per struct names its members, and serves
/// both directions. Internal to this folder.
///
/// Writing leaves out what has its default value; reading takes the default for what is not there.
/// Reading is strict in everything else: the first member of a wrong kind, out of bounds, or with a
/// name that is no name makes the whole text invalid.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "operator/base/clock.h"
#include "operator/core/replication/node/text.h"
#include "operator/core/replication/transaction/transaction.h"

namespace breakwater::replication {

using Json = nlohmann::json;

inline constexpr std::size_t kMaxText = 4096;   ///< of one string
inline constexpr std::size_t kMaxItems = 8192;  ///< of one list
/// Of times and durations: 30 years, so that no sum overflows the clock's nanoseconds.
inline constexpr std::int64_t kMaxMilliseconds = 1'000'000'000'000;

class Writer {
 public:
  explicit Writer(Json* json) : json_(*json) {}

  template <typename T>
  void operator()(const char* key, const T& value) {
    // Numbers like minors and node ids have -1 as their default: 0 must be written.
    if (std::is_same_v<T, int> || !(value == T{})) {
      json_[key] = ToJson(value);
    }
  }

  /// Always written, and must be there.
  template <typename T>
  void Must(const char* key, const T& value) {
    json_[key] = ToJson(value);
  }

  /// Always written: not to be mistaken for a member that an older version lacks.
  void Name(const char* key, const std::string& value) { json_[key] = value; }

  void Id(const char* key, const std::string& value) { json_[key] = value; }

  template <typename T, typename Parse>
  void Enum(const char* key, const T& value, Parse /*parse*/) {
    json_[key] = std::string(ToString(value));
  }

  void Names(const char* key, const std::vector<std::string>& value) { (*this)(key, value); }

  template <typename T>
  void NameMap(const char* key, const std::map<std::string, T>& value) {
    if (!value.empty()) {
      Json object = Json::object();
      for (const auto& [name, item] : value) {
        object[name] = ToJson(item);
      }
      json_[key] = std::move(object);
    }
  }

  template <typename T>
  static Json ToJson(const T& value);

 private:
  Json& json_;
};

class Reader {
 public:
  /// `problem` gets the first one.
  Reader(const Json& json, std::string* problem) : json_(json), problem_(*problem) {
    if (!json.is_object()) {
      Fail("an object is expected");
    }
  }

  template <typename T>
  void operator()(const char* key, T& value) {
    if (const Json* member = Member(key)) {
      FromJson(*member, value, key);
    }
  }

  template <typename T>
  void Must(const char* key, T& value) {
    if (Member(key) == nullptr) {
      Fail(key);
    }
    (*this)(key, value);
  }

  void Name(const char* key, std::string& value) {
    (*this)(key, value);
    if (!IsSafeName(value)) {
      Fail(key);
    }
  }

  void Id(const char* key, std::string& value) {
    (*this)(key, value);
    if (!IsTransactionId(value)) {
      Fail(key);
    }
  }

  template <typename T, typename Parse>
  void Enum(const char* key, T& value, Parse parse) {
    std::string text;
    (*this)(key, text);
    if (const std::optional<T> parsed = parse(text)) {
      value = *parsed;
    } else {
      Fail(key);
    }
  }

  void Names(const char* key, std::vector<std::string>& value) {
    (*this)(key, value);
    for (const std::string& name : value) {
      if (!IsSafeName(name)) {
        Fail(key);
      }
    }
  }

  template <typename T>
  void NameMap(const char* key, std::map<std::string, T>& value) {
    const Json* member = Member(key);
    if (member == nullptr) {
      return;
    }
    if (!member->is_object() || member->size() > kMaxItems) {
      Fail(key);
      return;
    }
    for (const auto& [name, item] : member->items()) {
      if (!IsSafeName(name)) {
        Fail(key);
        return;
      }
      FromJson(item, value[name], key);
    }
  }

  void Fail(std::string_view what) {
    if (problem_.empty()) {
      problem_ = "member " + std::string(what) + " is missing or wrong";
    }
  }

 private:
  const Json* Member(const char* key) const {
    if (!json_.is_object()) {
      return nullptr;
    }
    const auto it = json_.find(key);
    return it == json_.end() ? nullptr : &*it;
  }

  void FromJson(const Json& json, bool& value, const char* key) {
    json.is_boolean() ? void(value = json.get<bool>()) : Fail(key);
  }

  void FromJson(const Json& json, std::string& value, const char* key) {
    const bool good = json.is_string() && json.get_ref<const std::string&>().size() <= kMaxText;
    good ? void(value = json.get<std::string>()) : Fail(key);
  }

  void FromJson(const Json& json, std::uint64_t& value, const char* key) {
    json.is_number_unsigned() ? void(value = json.get<std::uint64_t>()) : Fail(key);
  }

  void FromJson(const Json& json, std::int64_t& value, const char* key) {
    constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
    const bool good =
        json.is_number_integer() && !(json.is_number_unsigned() &&
                                      json.get<std::uint64_t>() > static_cast<std::uint64_t>(kMax));
    good ? void(value = json.get<std::int64_t>()) : Fail(key);
  }

  void FromJson(const Json& json, int& value, const char* key) {
    std::int64_t wide = 0;
    FromJson(json, wide, key);
    const bool good =
        wide >= std::numeric_limits<int>::min() && wide <= std::numeric_limits<int>::max();
    good ? void(value = static_cast<int>(wide)) : Fail(key);
  }

  void FromJson(const Json& json, std::chrono::milliseconds& value, const char* key) {
    std::int64_t count = 0;
    FromJson(json, count, key);
    const bool good = count >= -kMaxMilliseconds && count <= kMaxMilliseconds;
    good ? void(value = std::chrono::milliseconds(count)) : Fail(key);
  }

  void FromJson(const Json& json, SteadyTime& value, const char* key) {
    std::chrono::milliseconds since{};
    FromJson(json, since, key);
    value = SteadyTime(since);
  }

  template <typename T>
  void FromJson(const Json& json, std::optional<T>& value, const char* key) {
    FromJson(json, value.emplace(), key);
  }

  template <typename T>
  void FromJson(const Json& json, std::vector<T>& value, const char* key) {
    if (!json.is_array() || json.size() > kMaxItems) {
      Fail(key);
      return;
    }
    for (const Json& item : json) {
      FromJson(item, value.emplace_back(), key);
    }
  }

  template <typename T>
  void FromJson(const Json& json, T& value, const char* key) {
    if (!json.is_object()) {
      Fail(key);
      return;
    }
    Reader reader(json, &problem_);
    Fields(reader, value);
  }

  const Json& json_;
  std::string& problem_;
};

namespace codec_internal {

inline Json Write(bool value) {
  return value;
}

inline Json Write(int value) {
  return value;
}

inline Json Write(std::int64_t value) {
  return value;
}

inline Json Write(std::uint64_t value) {
  return value;
}

inline Json Write(const std::string& value) {
  return value.substr(0, kMaxText);
}

inline Json Write(std::chrono::milliseconds value) {
  return static_cast<std::int64_t>(value.count());
}

inline Json Write(SteadyTime value) {
  return Write(std::chrono::duration_cast<std::chrono::milliseconds>(value.time_since_epoch()));
}

template <typename T>
Json Write(const std::optional<T>& value) {
  return Writer::ToJson(*value);  // an empty one is its default and never written
}

template <typename T>
Json Write(const std::vector<T>& value) {
  Json list = Json::array();
  for (const T& item : value) {
    list.push_back(Writer::ToJson(item));
  }
  return list;
}

template <typename T>
Json Write(const T& value) {
  Json object = Json::object();
  Writer writer(&object);
  Fields(writer, value);
  return object;
}

}  // namespace codec_internal

template <typename T>
Json Writer::ToJson(const T& value) {
  return codec_internal::Write(value);
}

/// Bytes that are no UTF-8 (a kernel's state of a future version, a person's file name) are
/// replaced.
inline std::string ToText(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// An object, not nested deeper than any message of ours; nothing: no such text.
std::optional<Json> ParseObject(std::string_view text);

}  // namespace breakwater::replication
