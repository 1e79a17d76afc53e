#pragma once

#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "tests/e2e/sim/linstor/model.h"

namespace breakwater::sim {

/// The controller's data and its file. Lock `mutex` for every access to `state`; never hold it
/// while a command runs on a node.
class Database {
 public:
  /// Loads DIR/controller.json when it is there. An empty path keeps everything in memory.
  explicit Database(const std::filesystem::path& dir);

  /// Writes a temporary file and renames it. Needs the lock.
  void Save() const;

  /// Files an error report of the controller and returns its id. Needs the lock.
  std::string FileReport(const std::string& exception,
                         const std::string& message,
                         const std::string& peer = "");

  /// The same for a satellite; `text` is what its tools said. Needs the lock.
  std::string FileSatelliteReport(const std::string& node,
                                  const std::string& exception,
                                  const std::string& message,
                                  const std::string& text);

  std::mutex mutex;
  State state;

 private:
  std::string Add(ErrorReport report, const std::string& extra);

  const std::filesystem::path file_;
};

/// LINSTOR's wording about an external command that failed; goes into a satellite's report.
std::string CommandFailureText(const std::string& command,
                               const std::string& program,
                               int exit,
                               const std::string& out,
                               const std::string& err);

}  // namespace breakwater::sim
