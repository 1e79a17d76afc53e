#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "operator/testing/source_dir.h"
#include "tests/e2e/sim/linstor/drbd_port.h"

/// Helpers of the unit tests.
namespace breakwater::sim {

inline std::string ReadSample(const std::string& name) {
  const auto path = std::filesystem::path(breakwater::testing::SourceDir()) /
                    "tests/e2e/sim/linstor/testdata/samples" / name;
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

/// Nodes on which every command succeeds and is recorded, unless `hook` says otherwise.
class RecordingPort : public DrbdPort {
 public:
  std::vector<SatelliteInfo> Satellites() override {
    const std::lock_guard lock(mutex);
    return pods;
  }

  bool PutFile(const std::string& node,
               const std::string& path,
               const std::string& content) override {
    const std::lock_guard lock(mutex);
    files[node + ":" + path] = content;
    return true;
  }

  void RemoveFile(const std::string& node, const std::string& path) override {
    const std::lock_guard lock(mutex);
    files.erase(node + ":" + path);
  }

  void SetVolumeSize(const std::string&, int, std::int64_t) override {}

  void RemoveDisks(const std::string&, const std::string&) override {}

  bool TakeCopy(const VolumeCopy& copy) override {
    const std::lock_guard lock(mutex);
    copies.insert(copy.node + " " + copy.resource + " " + copy.name);
    return true;
  }

  bool RestoreCopy(const VolumeCopy& copy, const std::string& to_resource) override {
    const std::lock_guard lock(mutex);
    calls.push_back(copy.node + " restore " + to_resource + " from " + copy.resource);
    return copies.contains(copy.node + " " + copy.resource + " " + copy.name);
  }

  void DropCopy(const std::string& node,
                const std::string& resource,
                const std::string& name) override {
    const std::lock_guard lock(mutex);
    copies.erase(node + " " + resource + " " + name);
  }

  CommandResult Run(const std::string& node,
                    const std::vector<std::string>& argv,
                    std::chrono::milliseconds) override {
    std::string command;
    for (const auto& word : argv) {
      command += (command.empty() ? "" : " ") + word;
    }
    CommandResult result;
    if (command == "drbdadm --version") {
      result.out = "DRBDADM_VERSION_CODE=" + version + "\n";
    } else if (argv.size() > 1 && argv[1] == "xml-help") {
      result.out = "<command><option name=\"tls\"></option></command>";
    } else if (command == "drbdsetup status --json") {
      result.out = "[]";
    } else if (command == "drbdadm sh-list-adjustable all") {
      result.out = adjustable;
    }
    {
      const std::lock_guard lock(mutex);
      calls.push_back(node + " " + command);
    }
    if (hook) {
      hook(node, command, result);
    }
    return result;
  }

  /// Recorded calls that contain `part`, in order.
  std::vector<std::string> Calls(const std::string& part) {
    const std::lock_guard lock(mutex);
    std::vector<std::string> out;
    for (const auto& call : calls) {
      if (call.find(part) != std::string::npos) {
        out.push_back(call);
      }
    }
    return out;
  }

  std::mutex mutex;
  std::vector<SatelliteInfo> pods;
  std::map<std::string, std::string> files;
  std::set<std::string> copies;  // "node resource name"
  std::vector<std::string> calls;
  std::string version = "0x091F00";
  std::string adjustable;
  std::function<void(const std::string&, const std::string&, CommandResult&)> hook;
};

}  // namespace breakwater::sim
