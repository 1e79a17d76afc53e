// The daemon's protocol: one JSON object per line in, one per line out. See README.md.
#pragma once

#include <functional>
#include <string>

#include "tests/e2e/sim/drbd/cluster.h"

namespace breakwater::sim {

class Protocol {
 public:
  using Reply = std::function<void(const std::string& line)>;

  explicit Protocol(Cluster& cluster) : cluster_(cluster) {}

  // Answers at once, or from a later event of the cluster (commands take time). Exactly one reply
  // per request, except for a command that was told to hang, and for one that goes on (events2):
  // {"stream": "..."} for each piece of output, until its client is `gone`. Never throws; errors
  // are replies {"error": "..."}. What happens to other commands whose client is gone:
  // SimConfig::kill_with_client.
  void Handle(const std::string& line, const Reply& reply, const std::function<bool()>& gone = {});

 private:
  Cluster& cluster_;
};

}  // namespace breakwater::sim
