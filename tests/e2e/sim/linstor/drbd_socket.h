#pragma once

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "tests/e2e/sim/linstor/drbd_port.h"

namespace breakwater::sim {

/// DrbdPort over drbd-sim's UNIX socket: one JSON object per line in each direction, one connection
/// per call, so that a command that hangs holds up nobody else. Thread safe.
class DrbdSocket : public DrbdPort {
 public:
  explicit DrbdSocket(std::string path) : path_(std::move(path)) {}

  std::vector<SatelliteInfo> Satellites() override;
  bool PutFile(const std::string& node,
               const std::string& path,
               const std::string& content) override;
  void RemoveFile(const std::string& node, const std::string& path) override;
  void SetVolumeSize(const std::string& resource, int volume, std::int64_t size_kib) override;
  void RemoveDisks(const std::string& node, const std::string& resource) override;
  bool TakeCopy(const VolumeCopy& copy) override;
  bool RestoreCopy(const VolumeCopy& copy, const std::string& to_resource) override;
  void DropCopy(const std::string& node,
                const std::string& resource,
                const std::string& name) override;
  CommandResult Run(const std::string& node,
                    const std::vector<std::string>& argv,
                    std::chrono::milliseconds timeout) override;

 private:
  enum class Failure { kNone, kUnreachable, kTimeout };
  std::optional<nlohmann::json> Call(const nlohmann::json& request,
                                     std::chrono::milliseconds timeout,
                                     Failure& failure) const;

  const std::string path_;
};

}  // namespace breakwater::sim
