#include "operator/base/log.h"

#include <array>
#include <mutex>
#include <utility>

#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <nlohmann/json.hpp>

#include "operator/base/rfc3339.h"

namespace breakwater {
namespace {

constexpr std::array<std::string_view, 6> kNames{"trace", "debug", "info", "warn", "error", "off"};

/// Hands each line to a function; spdlog's base class does the locking.
class FunctionSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FunctionSink(Logger::Sink write) : write_(std::move(write)) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& msg) override {
    write_(std::string_view(msg.payload.data(), msg.payload.size()));
  }

  void flush_() override {}

 private:
  Logger::Sink write_;
};

std::string Quoted(std::string_view text) {
  // Names from the cluster may hold anything: invalid UTF-8 becomes U+FFFD instead of an exception.
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string Rendered(const LogValue& value) {
  return std::visit(
      [](const auto& held) -> std::string {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, std::string_view>) {
          return Quoted(held);
        } else {
          return nlohmann::json(held).dump();
        }
      },
      value.value());
}

void AppendFields(std::string& line, LogFields fields) {
  for (const LogField& field : fields) {
    line += ',';
    line += Quoted(field.key);
    line += ':';
    line += Rendered(field.value);
  }
}

}  // namespace

struct Logger::Core {
  Core(spdlog::sink_ptr sink, LogLevel first_level, const Clock& time)
      : logger("breakwater", std::move(sink)), level(first_level), clock(time) {
    logger.set_level(spdlog::level::trace);
    logger.set_pattern("%v");  // the payload is the finished line
  }

  spdlog::logger logger;
  std::atomic<LogLevel> level;
  const Clock& clock;
};

std::string_view ToString(LogLevel level) {
  return kNames.at(static_cast<std::size_t>(level));
}

std::optional<LogLevel> ParseLogLevel(std::string_view text) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames.at(i) == text) {
      return static_cast<LogLevel>(i);
    }
  }
  return std::nullopt;
}

Logger::Logger(LogLevel level, const Clock& clock)
    : core_(std::make_shared<Core>(
          std::make_shared<spdlog::sinks::stderr_sink_mt>(), level, clock)) {}

Logger::Logger(Sink sink, LogLevel level, const Clock& clock)
    : core_(std::make_shared<Core>(std::make_shared<FunctionSink>(std::move(sink)), level, clock)) {
}

Logger Logger::Null() {
  return Logger([](std::string_view) {}, LogLevel::kOff);
}

Logger Logger::Named(std::string_view name, LogFields fields) const {
  Logger child = With(fields);
  child.name_ = std::string(name);
  return child;
}

Logger Logger::With(LogFields fields) const {
  Logger child = *this;
  AppendFields(child.fields_, fields);
  return child;
}

void Logger::SetLevel(LogLevel level) const {
  core_->level = level;
}

bool Logger::Enabled(LogLevel level) const {
  return level != LogLevel::kOff && level >= core_->level.load();
}

void Logger::Log(LogLevel level, std::string_view message, LogFields fields) const {
  if (!Enabled(level)) {
    return;
  }
  std::string line = R"({"ts":")" + FormatRfc3339Millis(core_->clock.SystemNow()) +
                     R"(","level":")" + std::string(ToString(level)) + R"(","logger":)" +
                     Quoted(name_) + R"(,"msg":)" + Quoted(message) + fields_;
  AppendFields(line, fields);
  line += '}';
  core_->logger.log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
}

void Logger::Flush() const {
  core_->logger.flush();
}

}  // namespace breakwater
