#pragma once

/// LinstorActor: LINSTOR of a walk. Holds the levels of `tls`, writes .res files when a value
/// changed, adjusts all nodes of the resource at the same time (L16, L17), retries a node that
/// failed (L22), resumes a suspended resource before it adjusts (L24), takes snapshots with a
/// suspension around them, and adjusts for reasons of its own at any moment (L27). What it holds is
/// in its database: it outlives the controller, which adjusts everything when it is back.

#include <functional>
#include <map>
#include <set>
#include <string>

#include "operator/core/replication/plan/properties.h"
#include "tests/e2e/sim/drbd/test_cluster.h"
#include "tests/walks/actor.h"

namespace breakwater::walks {

class LinstorActor final : public Actor {
 public:
  LinstorActor(Stage& stage, sim::testing::ResourceSpec spec, replication::ResourceLevels levels);

  const replication::ResourceLevels& levels() const { return levels_; }

  /// One change by the operator; `done` comes late and says nothing: the levels are read again
  /// (L20).
  void Change(const replication::LinstorOp& op, std::function<void()> done);
  /// Somebody else makes it adjust everything on one node, as a satellite that reconnects does.
  void ReconnectSatellite(const std::string& node);
  void Snapshot();

  /// A snapshot's suspension is on, or about to be.
  bool suspends() const { return suspends_; }

  /// It has resumed I/O on a Primary without data, as the real one would: the kernel's own
  /// suspension is gone then and I/O fails (F28). Nobody asked us.
  bool resumed_without_data() const { return resumed_without_data_; }

  /// What LINSTOR's file on this node says for a connection.
  bool ResTls(const std::string& node, const std::string& peer) const;

 private:
  void Died() override;
  void Started() override;
  void WriteRes(const std::string& node);
  void Adjust(const std::string& node, int tries);
  void AdjustAll();
  /// It looks at nothing before; the violations of that are its own and not ours.
  void Resume(const std::string& node, std::function<void(bool ok)> then);

  sim::testing::ResourceSpec spec_;
  replication::ResourceLevels levels_;
  std::map<std::string, std::map<std::pair<std::string, std::string>, bool>> written_;  // by node
  bool suspends_ = false;
  bool resumed_without_data_ = false;
};

}  // namespace breakwater::walks
