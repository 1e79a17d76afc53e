#pragma once

#include <ctime>
#include <string>
#include <vector>

#include "tests/e2e/sim/linstor/model.h"

namespace breakwater::sim {

/// What decides about one file besides the controller's data.
struct ResContext {
  std::time_t now = 0;
  bool knows_tls = true;  // L29: a drbdsetup without `tls` drops the property silently
};

struct ResFile {
  std::string content;
  std::vector<std::string> dropped;  // "DrbdOptions/Net/tls=yes" for each place it was left out
};

/// The file LINSTOR writes to /var/lib/linstor.d/<res>.res on `node`, byte for byte
/// (testdata: the files recorded from a real satellite). Pure.
ResFile WriteRes(const State& state,
                 const Definition& definition,
                 const std::string& node,
                 const ResContext& context);

/// The file without the two lines that only hold the time: LINSTOR does not rewrite a file that
/// would differ in nothing else.
std::string WithoutTime(const std::string& content);

/// Address and port of a node for DRBD: "ipv4 10.77.0.1:7000".
std::string DrbdAddress(const Node& node, int port);

}  // namespace breakwater::sim
