#pragma once

#include <filesystem>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "tests/e2e/sim/linstor/database.h"
#include "tests/e2e/sim/linstor/drbd_port.h"
#include "tests/e2e/sim/linstor/faults.h"
#include "tests/e2e/sim/linstor/http_types.h"
#include "tests/e2e/sim/linstor/property_rules.h"
#include "tests/e2e/sim/linstor/router.h"
#include "tests/e2e/sim/linstor/satellites.h"
#include "tests/e2e/sim/linstor/view.h"

namespace breakwater::sim {

/// DrbdPort that lets the fault switches refuse an adjust before the real port sees it.
class FaultyPort : public DrbdPort {
 public:
  FaultyPort(DrbdPort& real, Faults& faults) : real_(real), faults_(faults) {}

  std::vector<SatelliteInfo> Satellites() override { return real_.Satellites(); }

  bool PutFile(const std::string& node,
               const std::string& path,
               const std::string& content) override {
    return real_.PutFile(node, path, content);
  }

  void RemoveFile(const std::string& node, const std::string& path) override {
    real_.RemoveFile(node, path);
  }

  void SetVolumeSize(const std::string& resource, int volume, std::int64_t size_kib) override {
    real_.SetVolumeSize(resource, volume, size_kib);
  }

  void RemoveDisks(const std::string& node, const std::string& resource) override {
    real_.RemoveDisks(node, resource);
  }

  bool TakeCopy(const VolumeCopy& copy) override { return real_.TakeCopy(copy); }

  bool RestoreCopy(const VolumeCopy& copy, const std::string& to_resource) override {
    return real_.RestoreCopy(copy, to_resource);
  }

  void DropCopy(const std::string& node,
                const std::string& resource,
                const std::string& name) override {
    real_.DropCopy(node, resource, name);
  }

  CommandResult Run(const std::string& node,
                    const std::vector<std::string>& argv,
                    std::chrono::milliseconds timeout) override;

 private:
  DrbdPort& real_;
  Faults& faults_;
};

/// The whole controller without its sockets: a request in, a reply out. Handle() may be called from
/// many threads; a request that makes satellites work blocks until they are done. Borrows the port.
class Simulator {
 public:
  Simulator(const std::filesystem::path& state_dir, DrbdPort& port, const SimOptions& options);

  /// Starts looking for satellites and retrying; unit tests call satellites.Poll() instead.
  void Start() { satellites.Start(); }

  HttpReply Handle(const HttpRequest& request);

  // Used by the handlers.
  Faults faults;
  Database database;
  const PropertyRules rules;
  FaultyPort port;
  Satellites satellites;
  StatusCache status;
  SimOptions options;

  /// Runs work that goes on after its request was answered.
  void InBackground(std::function<void()> work);

 private:
  HttpReply SideDoor(const HttpRequest& request);

  Router router_;
  std::mutex background_mutex_;
  std::vector<std::jthread> background_;  // last: ends before what it works with
};

}  // namespace breakwater::sim
