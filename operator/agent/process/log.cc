#include "operator/agent/process/log.h"

#include <string>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "operator/base/clock.h"
#include "operator/base/rfc3339.h"

namespace breakwater::agent {
namespace {

// A pipe that can be written to takes this many bytes whole.
constexpr std::size_t kMaxLine = 4096;

std::string& Name() {
  static std::string name = "agent";
  return name;
}

std::string Quoted(std::string_view text) {
  return nlohmann::json(text.substr(0, kMaxLine / 4))
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void Write(std::string_view level, std::string_view message, LogFields fields) {
  std::string line = R"({"ts":")" + FormatRfc3339Millis(RealClock().SystemNow()) +
                     R"(","level":")" + std::string(level) + R"(","logger":")" + Name() +
                     R"(","msg":)" + Quoted(message);
  for (const auto& [key, value] : fields) {
    std::string field = "," + Quoted(key) + ":" + Quoted(value);
    if (line.size() + field.size() + 2 <= kMaxLine) {
      line += field;
    }
  }
  line += "}\n";
  pollfd writable{STDERR_FILENO, POLLOUT, 0};
  if (poll(&writable, 1, 0) == 1 && (writable.revents & POLLOUT) != 0) {
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
  }
}

}  // namespace

void StartLog(std::string_view logger) {
  Name() = logger;

  struct stat status {};

  if (fstat(STDERR_FILENO, &status) == 0 && S_ISFIFO(status.st_mode)) {
    const int flags = fcntl(STDERR_FILENO, F_GETFL);
    fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK);
  }
}

void LogInfo(std::string_view message, LogFields fields) {
  Write("info", message, fields);
}

void LogWarn(std::string_view message, LogFields fields) {
  Write("warn", message, fields);
}

void LogError(std::string_view message, LogFields fields) {
  Write("error", message, fields);
}

}  // namespace breakwater::agent
