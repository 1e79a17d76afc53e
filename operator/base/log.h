#pragma once

/// Logger: JSON lines, one object a line: `ts level logger msg` and then the fields.
///
///   log.Info("applied", {{"kind", kind}, {"name", name}, {"generation", 3}});
///
/// The message is constant text; what varies goes into fields, and the same thing has the same key
/// everywhere. Log an error once, where it is handled. Secret<T> does not convert to a field.
/// Thread safety: all methods may be called from any thread. Cheap to copy: copies share level and
/// sink.

#include <atomic>
#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "operator/base/clock.h"

namespace breakwater {

enum class LogLevel { kTrace, kDebug, kInfo, kWarn, kError, kOff };

std::string_view ToString(LogLevel level);
/// "trace", "debug", "info", "warn", "error" or "off"; nothing for any other text.
std::optional<LogLevel> ParseLogLevel(std::string_view text);

/// One value of a field; borrows text for the duration of the call.
class LogValue {
 public:
  using Variant = std::variant<std::string_view, std::int64_t, std::uint64_t, double, bool>;

  // NOLINTNEXTLINE(google-explicit-constructor): fields read as pairs
  LogValue(const char* text) : value_(std::string_view(text)) {}

  // NOLINTNEXTLINE(google-explicit-constructor): fields read as pairs
  LogValue(std::string_view text) : value_(text) {}

  // NOLINTNEXTLINE(google-explicit-constructor): fields read as pairs
  LogValue(const std::string& text) : value_(std::string_view(text)) {}

  template <typename T>

  // NOLINTNEXTLINE(google-explicit-constructor): fields read as pairs
  requires std::is_arithmetic_v<T> LogValue(T number) {
    if constexpr (std::same_as<T, bool>) {
      value_ = number;
    } else if constexpr (std::floating_point<T>) {
      value_ = static_cast<double>(number);
    } else if constexpr (std::is_signed_v<T>) {
      value_ = static_cast<std::int64_t>(number);
    } else {
      value_ = static_cast<std::uint64_t>(number);
    }
  }

  const Variant& value() const { return value_; }

 private:
  Variant value_;
};

struct LogField {
  std::string_view key;
  LogValue value;
};

using LogFields = std::initializer_list<LogField>;

class Logger {
 public:
  /// Gets one complete line without its line end. Called under the logger's lock, one line at a
  /// time.
  using Sink = std::function<void(std::string_view line)>;

  /// Writes to standard error.
  explicit Logger(LogLevel level = LogLevel::kInfo, const Clock& clock = RealClock());
  /// Writes to `sink`: for tests and for tools that show logs in another way.
  Logger(Sink sink, LogLevel level, const Clock& clock = RealClock());

  /// A logger that drops everything: for tests that do not look at logs.
  static Logger Null();

  /// The same logger with another `logger` field and more fields on every line.
  Logger Named(std::string_view name, LogFields fields = {}) const;
  Logger With(LogFields fields) const;

  /// For all copies of this logger, also those made before.
  void SetLevel(LogLevel level) const;
  bool Enabled(LogLevel level) const;

  void Log(LogLevel level, std::string_view message, LogFields fields = {}) const;

  void Trace(std::string_view message, LogFields f = {}) const {
    Log(LogLevel::kTrace, message, f);
  }

  /// Why nothing changed.
  void Debug(std::string_view message, LogFields f = {}) const {
    Log(LogLevel::kDebug, message, f);
  }

  /// State changed.
  void Info(std::string_view message, LogFields f = {}) const { Log(LogLevel::kInfo, message, f); }

  /// Will be retried, and a person may care.
  void Warn(std::string_view message, LogFields f = {}) const { Log(LogLevel::kWarn, message, f); }

  /// A person must act.
  void Error(std::string_view message, LogFields f = {}) const {
    Log(LogLevel::kError, message, f);
  }

  /// Everything that was logged has left the process afterwards.
  void Flush() const;

 private:
  struct Core;

  std::shared_ptr<Core> core_;
  std::string name_ = "breakwater";
  std::string fields_;  // rendered: `,"key":value` for each
};

}  // namespace breakwater
