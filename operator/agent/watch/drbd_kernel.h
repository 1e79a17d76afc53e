#pragma once

/// DrbdKernel: the Kernel port by drbdsetup and ss.
/// Thread safety: none, runs in the loop's thread.

#include <memory>
#include <string>

#include "operator/agent/kernel.h"
#include "operator/agent/process/child.h"
#include "operator/agent/process/loop.h"

namespace breakwater::agent {

class DrbdKernel final : public Kernel {
 public:
  DrbdKernel(Loop* loop, Children* children) : loop_(loop), children_(children) {}

  /// The programs of one look run at the same time: a look is inside the freeze.
  void Look(const std::string& resource, replication::LookScope scope, LookDone done) override;
  void Run(const replication::DrbdCommand& command, RunDone done) override;

 private:
  Loop* const loop_;
  Children* const children_;
};

}  // namespace breakwater::agent
