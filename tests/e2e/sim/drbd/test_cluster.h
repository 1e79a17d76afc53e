// Helpers of the simulator's own tests: a three-node cluster with the configuration LINSTOR writes.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/e2e/sim/drbd/cluster.h"

namespace breakwater::sim::testing {

struct ResourceSpec {
  std::string name = "r0";
  std::vector<std::string> nodes = {"node1", "node2", "node3"};
  std::vector<std::string> diskless;  // of these
  int minor = 1000;
  int port = 7000;
  std::string quorum = "majority";
  std::string on_no_quorum = "suspend-io";
  bool tls = false;                                              // at resource level
  std::map<std::pair<std::string, std::string>, bool> pair_tls;  // per connection
};

[[nodiscard]] std::string ResText(const ResourceSpec& spec, const std::string& node);

// Writes the files of all nodes of the resource.
void PutRes(Cluster& cluster, const ResourceSpec& spec);

// Writes the files, starts tlshd, brings the resource up everywhere and waits until it is healthy.
void BringUp(Cluster& cluster, const ResourceSpec& spec);

[[nodiscard]] Connection& Conn(Cluster& cluster,
                               const std::string& resource,
                               const std::string& node,
                               const std::string& peer);
[[nodiscard]] PeerDevice& Peer(Cluster& cluster,
                               const std::string& resource,
                               const std::string& node,
                               const std::string& peer);

// DESIGN's gate without TLS: every pair Connected, everything UpToDate and Established as seen
// from `node`.
[[nodiscard]] bool Healthy(Cluster& cluster, const std::string& resource, const std::string& node);

// Runs a command on several nodes at the same moment and waits for all.
std::vector<ExecResult> Parallel(Cluster& cluster,
                                 const std::vector<std::string>& nodes,
                                 const std::vector<std::string>& argv);

// A certificate authority for tests.
class TestCa {
 public:
  explicit TestCa(const std::string& name);
  ~TestCa();
  TestCa(const TestCa&) = delete;
  TestCa& operator=(const TestCa&) = delete;

  // Files of /etc/tlshd.d for a node: certificate for `san` (none when empty) with subject `cn`,
  // valid from now for `days` (negative: expired).
  [[nodiscard]] std::map<std::string, std::string> Issue(const std::string& cn,
                                                         const std::string& san,
                                                         int days = 365) const;

 private:
  struct Impl;
  Impl* impl_;
};

void GiveFiles(Cluster& cluster,
               const std::string& node,
               const std::map<std::string, std::string>& files);

}  // namespace breakwater::sim::testing
