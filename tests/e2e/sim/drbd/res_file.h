// Reader of DRBD configuration files (.res) as LINSTOR and people write them.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/e2e/sim/drbd/state.h"

namespace breakwater::sim {

struct ResVolume {
  std::string disk = "none";
  std::string meta_disk = "internal";
  int minor = -1;
  Options disk_options;
};

struct ResHost {
  int node_id = -1;
  std::string address;  // "ip:port" when given here instead of in a connection
  std::map<int, ResVolume> volumes;
};

struct ResConnection {
  std::map<std::string, Address> hosts;
  Options net;
};

struct ResFile {
  std::string name;
  std::string path;
  Options options;
  Options net;
  std::map<std::string, ResHost> hosts;
  std::vector<ResConnection> connections;
};

struct ResParse {
  std::vector<ResFile> resources;
  std::string error;  // empty: fine; else in drbdadm's words, "path:line: Parse error: ..."
};

// Parses one file, which may hold several resources.
[[nodiscard]] ResParse ParseResFile(const std::string& path, std::string_view text);

}  // namespace breakwater::sim
