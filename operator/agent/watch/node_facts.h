#pragma once

/// NodeFacts: what a node can do: versions, kernel parts, helper. Read at the start and at a slow
/// pace; none of it changes while a node runs, except by a person.
/// Thread safety: none, runs in the loop's thread.

#include <functional>
#include <optional>
#include <string>

#include "operator/agent/process/child.h"
#include "operator/agent/watch/node_files.h"
#include "operator/core/replication/protocol/messages.h"

namespace breakwater::agent {

class NodeFacts {
 public:
  NodeFacts(Children* children, NodeFiles* files) : children_(children), files_(files) {}

  /// Reads files again; `done` when all have been read.
  void Refresh(std::function<void()> done);
  /// Whether drbdadm can read all .res files (F33). Costs a process that reads them all.
  void CheckResFiles(std::function<void()> done);
  void ReadTlsStat(std::function<void(std::optional<replication::TlsStat>)> done);

  /// The parts that are read here; the rest is filled by NodeWatch.
  const replication::NodeFactsMessage& facts() const { return facts_; }

 private:
  Children* const children_;
  NodeFiles* const files_;
  bool utils_known_ = false;
  replication::NodeFactsMessage facts_{};
};

/// The file that drbdadm complains about: "/var/lib/linstor.d/r1.res:12: Parse error" -> the path;
/// the begin of the text when it names none.
std::string BrokenFile(const std::string& error_text);

}  // namespace breakwater::agent
