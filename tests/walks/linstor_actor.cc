#include "tests/walks/linstor_actor.h"

#include <utility>

#include "operator/core/replication/volume/observation.h"

namespace breakwater::walks {

using replication::Pair;

LinstorActor::LinstorActor(Stage& stage,
                           sim::testing::ResourceSpec spec,
                           replication::ResourceLevels levels)
    : Actor(stage), spec_(std::move(spec)), levels_(std::move(levels)) {
  for (const std::string& node : spec_.nodes) {
    written_[node] = spec_.pair_tls;
  }
}

bool LinstorActor::ResTls(const std::string& node, const std::string& peer) const {
  const Pair pair = Pair::Of(node, peer);
  const auto& file = written_.at(node);
  const auto it = file.find({pair.a, pair.b});
  return it != file.end() && it->second;
}

void LinstorActor::WriteRes(const std::string& node) {
  sim::testing::ResourceSpec spec = spec_;
  for (auto& [pair, tls] : spec.pair_tls) {
    tls = replication::Effective(levels_, pair.first + "/" + pair.second);
  }
  written_[node] = spec.pair_tls;
  stage().cluster.PutFile(node, "/var/lib/linstor.d/" + spec.name + ".res",
                          sim::testing::ResText(spec, node));
}

void LinstorActor::Adjust(const std::string& node, int tries) {
  sim::Cluster& cluster = stage().cluster;
  if (!cluster.world().GetNode(node).up || tries <= 0) {
    return;
  }
  const sim::Resource* resource = cluster.kernel().Find(node, spec_.name);
  const bool suspended = resource != nullptr && resource->suspended_user;
  const auto adjust = [this, node, tries] {
    stage().cluster.Start(node, sim::kSatelliteContainer, {"drbdadm", "-vvv", "adjust", spec_.name},
                          [this, node, tries](const sim::ExecResult& result) {
                            if (result.exit != 0) {  // L22: 15 s and more
                              Later(stage().Between(15000, 33000),
                                    [this, node, tries] { Adjust(node, tries - 1); });
                            }
                          });
  };
  if (!suspended) {
    adjust();
    return;
  }
  cluster.Start(node, sim::kSatelliteContainer, {"drbdadm", "resume-io", spec_.name},  // L24
                [adjust](const sim::ExecResult& result) {
                  if (result.exit == 0) {
                    adjust();
                  }
                });
}

void LinstorActor::AdjustAll() {
  for (const std::string& node : spec_.nodes) {
    Later(stage().Between(0, 100), [this, node] {
      WriteRes(node);
      Adjust(node, 3);
    });
  }
}

void LinstorActor::Change(const replication::LinstorOp& op, std::function<void()> done) {
  const Millis answer = stage().Chance(0.1) ? stage().Between(3000, 30000)  // L36
                                            : stage().Between(100, 1200);
  const bool lost = stage().faults && stage().Chance(0.05);
  Later(stage().Between(1, 400), [this, op, lost] {
    if (!lost) {
      levels_ = After(levels_, op);
      AdjustAll();
    }
  });
  stage().After(answer, std::move(done));
}

void LinstorActor::ReconnectSatellite(const std::string& node) {
  Later(Millis(1), [this, node] {
    WriteRes(node);
    Adjust(node, 3);
  });
}

void LinstorActor::Snapshot() {
  // LINSTOR suspends where the device is open, on all nodes otherwise; the Primary counts.
  const std::string primary = stage().cluster.Summary(spec_.name).primary;
  if (primary.empty() || suspends_) {
    return;
  }
  suspends_ = true;
  stage().cluster.Start(primary, sim::kSatelliteContainer, {"drbdadm", "suspend-io", spec_.name},
                        [this, primary](const sim::ExecResult&) {
                          stage().After(stage().Between(200, 2500),
                                        [this, primary] { EndSnapshot(primary); });
                        });
}

void LinstorActor::EndSnapshot(const std::string& primary) {
  const sim::Time begun = stage().cluster.now();
  stage().cluster.Start(
      primary, sim::kSatelliteContainer, {"drbdadm", "resume-io", spec_.name},
      [this, begun](const sim::ExecResult&) {
        suspends_ = false;
        const auto its_own = [begun](const sim::Violation& violation) {
          return violation.kind == "resume-without-data" && violation.time >= begun;
        };
        resumed_without_data_ =
            std::erase_if(stage().cluster.world().violations, its_own) > 0 || resumed_without_data_;
      });
}

}  // namespace breakwater::walks
