#pragma once

/// Limits: what must hold at every moment of a walk, see walk.h.

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "tests/walks/scene.h"

namespace breakwater::walks {

class Limits final : public Witness {
 public:
  // Witness: the agents tell it what they do.
  void Suspended(const std::string& node) override;
  void Cut(const std::string& node, int peer_id) override;

  /// Before anything happens; the scene must outlive it.
  void Watch(Scene* scene) { scene_ = scene; }

  /// Now. False: one did not hold.
  bool Check();
  /// At the end.
  void Judge();
  void Break(const std::string& what);

  WalkResult result{};

 private:
  void CheckFreezes();
  void CheckCuts();
  void CheckData();
  bool Connected(const replication::Pair& pair) const;
  sim::ConnState StateOf(const std::string& node, const std::string& peer) const;
  bool Excused(const replication::Pair& pair) const;
  const sim::Disk* DiskOf(const std::string& node) const;
  std::uint64_t Acknowledged(std::uint64_t block) const;
  std::set<std::uint64_t> Blocks() const;
  bool IsRecorded(std::uint64_t block) const;
  bool IsRecordedFor(std::uint64_t block, int node_id) const;
  void SayDifferences() const;

  Scene* scene_ = nullptr;
  bool intact_ = true;
  std::map<std::string, sim::Time> frozen_{};  // since when, by us, by node
  std::map<replication::Pair, sim::Time> cut_{};
};

}  // namespace breakwater::walks
