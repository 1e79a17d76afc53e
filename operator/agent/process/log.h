#pragma once

/// The agent's log: JSON lines on standard error with the keys of the operator's log (`ts level
/// logger msg`, then the fields). A line that the reader of the log does not take at once is
/// dropped: a container runtime that hangs must not keep a volume frozen. No secrets.
/// Thread safety: one thread per process.

#include <initializer_list>
#include <string_view>
#include <utility>

namespace breakwater::agent {

using LogFields = std::initializer_list<std::pair<std::string_view, std::string_view>>;

/// `logger` of the lines that follow: "agent" or "supervisor". Also lets standard error drop
/// instead of wait when it is a pipe.
void StartLog(std::string_view logger);

void LogInfo(std::string_view message, LogFields fields = {});
/// Will be tried again, and a person may care.
void LogWarn(std::string_view message, LogFields fields = {});
/// A person must act.
void LogError(std::string_view message, LogFields fields = {});

}  // namespace breakwater::agent
