#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace breakwater::sim {

struct SatelliteInfo {
  std::string node, address;
  bool running = false;
  std::int64_t epoch = 0;  // counts the starts of the satellite's process
};

struct CommandResult {
  int exit = 0;
  std::string out, err;
  bool timed_out = false;  // no answer in time; the command was given up
};

/// What the disk of a volume held on one node at some moment, kept there under a name.
struct VolumeCopy {
  std::string node, resource;
  int volume = 0;
  std::string name;
};

/// Where satellites run their tools. One call is one command on one node; calls may come from many
/// threads at once and block until the command ends.
class DrbdPort {
 public:
  virtual ~DrbdPort() = default;

  /// Pods of satellites that exist at the moment. Empty when the simulator cannot be reached.
  virtual std::vector<SatelliteInfo> Satellites() = 0;

  /// False when the node cannot be reached.
  virtual bool PutFile(const std::string& node,
                       const std::string& path,
                       const std::string& content) = 0;

  /// Best effort: a file that stays behind is overwritten or found at the next start.
  virtual void RemoveFile(const std::string& node, const std::string& path) = 0;

  /// Tells the simulated disks how large a volume is. Real satellites make a device of that size.
  virtual void SetVolumeSize(const std::string& resource, int volume, std::int64_t size_kib) = 0;

  /// The node deletes the disks of a resource that it has stopped. Best effort.
  virtual void RemoveDisks(const std::string& node, const std::string& resource) = 0;

  /// Copies the disk as it is; a copy of that name is replaced. False when it did not work.
  virtual bool TakeCopy(const VolumeCopy& copy) = 0;

  /// The disk of the same volume of another resource, on the same node and not in use, begins with
  /// the copy. False when there is no such copy.
  virtual bool RestoreCopy(const VolumeCopy& copy, const std::string& to_resource) = 0;

  /// Forgets the copies of that name of all volumes. Best effort.
  virtual void DropCopy(const std::string& node,
                        const std::string& resource,
                        const std::string& name) = 0;

  virtual CommandResult Run(const std::string& node,
                            const std::vector<std::string>& argv,
                            std::chrono::milliseconds timeout) = 0;
};

}  // namespace breakwater::sim
