#include "tests/e2e/sim/linstor/database.h"

#include <chrono>
#include <ctime>
#include <fstream>
#include <functional>
#include <random>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace breakwater::sim {
namespace {

/// More reports than this are of no use to a test and make every save slower.
constexpr std::size_t kMaxReports = 2000;

std::string NewBootId() {
  return fmt::format("{:08X}", static_cast<std::uint32_t>(std::random_device{}()));
}

}  // namespace

Database::Database(const std::filesystem::path& dir)
    : file_(dir.empty() ? std::filesystem::path() : dir / "controller.json") {
  state = FreshState();
  if (!file_.empty()) {
    std::filesystem::create_directories(dir);
    if (std::ifstream in(file_); in) {
      nlohmann::json::parse(in).get_to(state);
    }
    for (auto& [key, definition] : state.definitions) {
      if (HasFlag(definition.flags, "CLONING")) {  // who copied is gone
        definition.flags = {"FAILED"};
      }
    }
  }
  state.boot_id = NewBootId();
}

void Database::Save() const {
  if (file_.empty()) {
    return;
  }
  const auto temporary = file_.string() + ".new";
  {
    std::ofstream out(temporary, std::ios::trunc);
    out << nlohmann::json(state).dump(1) << '\n';
    out.flush();
    if (!out) {
      throw std::runtime_error("cannot write " + temporary);
    }
  }
  std::filesystem::rename(temporary, file_);
}

std::string Database::Add(ErrorReport report, const std::string& extra) {
  using std::chrono::system_clock;
  const auto now = system_clock::now();
  report.time_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
  const bool controller = report.module == "CONTROLLER";
  report.text = fmt::format(
      "ERROR REPORT {}\n\n============================================================\n\n"
      "Application:                        LINBIT® LINSTOR\n"
      "Module:                             {}\n"
      "Version:                            1.34.0-rc.1\n"
      "Build ID:                           35cabe346258a29862529deb373f9f922bd7a08b\n"
      "Build time:                         2026-05-22T10:46:05+00:00\n"
      "Error time:                         {:%F %T}\n"
      "Node:                               {}\n"
      "Thread:                             {}\n\n"
      "============================================================\n\n"
      "Reported error:\n===============\n\n"
      "Category:                           LinStorException\n"
      "Class name:                         {}\n\n"
      "Error message:                      {}\n\n{}\nEND OF ERROR REPORT.\n",
      report.id, controller ? "Controller" : "Satellite",
      fmt::localtime(system_clock::to_time_t(now)), report.node,
      controller ? "grizzly-http-server" : "DeviceManager", report.exception, report.message,
      extra);
  state.reports.push_back(report);
  if (state.reports.size() > kMaxReports) {
    state.reports.erase(state.reports.begin());
  }
  return report.id;
}

std::string Database::FileReport(const std::string& exception,
                                 const std::string& message,
                                 const std::string& peer) {
  ErrorReport report;
  report.id = fmt::format("{}-00000-{:06}", state.boot_id, state.next_report++);
  report.node = "linstor-controller";
  report.module = "CONTROLLER";
  report.peer = peer;
  report.exception = exception;
  report.message = message;
  return Add(std::move(report), "");
}

std::string Database::FileSatelliteReport(const std::string& node,
                                          const std::string& exception,
                                          const std::string& message,
                                          const std::string& text) {
  ErrorReport report;
  const auto node_part = static_cast<std::uint32_t>(std::hash<std::string>{}(node)) & 0xFFFFFU;
  report.id =
      fmt::format("{}-{:05X}-{:06}", state.boot_id, node_part, state.next_satellite_report[node]++);
  report.node = node;
  report.module = "SATELLITE";
  report.exception = exception;
  report.message = message;
  return Add(std::move(report), text);
}

std::string CommandFailureText(const std::string& command,
                               const std::string& program,
                               int exit,
                               const std::string& out,
                               const std::string& err) {
  return fmt::format(
      "Caused by:\n==========\n\nCategory:                           LinStorException\n"
      "Class name:                         ExtCmdFailedException\n\n"
      "Error message:                      The external command '{0}' exited with error code "
      "{1}\n\n\n"
      "ErrorContext:\n  Description: Execution of the external command '{0}' failed.\n"
      "  Cause:       The external command exited with error code {1}.\n"
      "  Correction:  - Check whether the external program is operating properly.\n"
      "- Check whether the command line is correct.\n"
      "  Details:     The full command line executed was:\n{2}\n\n"
      "The external command sent the following output data:\n{3}\n\n"
      "The external command sent the following error information:\n{4}\n\n",
      program, exit, command, out, err);
}

}  // namespace breakwater::sim
