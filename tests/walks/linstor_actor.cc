#include "tests/walks/linstor_actor.h"

#include <algorithm>
#include <utility>
#include <vector>

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

void LinstorActor::Died() {
  stage().After(stage().Between(2000, 20000), [this] { Start(); });
}

void LinstorActor::Started() {
  AdjustAll();
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
  Resume(node, [adjust](bool ok) {  // L24
    if (ok) {
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
                          stage().After(stage().Between(200, 2500), [this, primary] {
                            Resume(primary, [this](bool) { suspends_ = false; });
                          });
                        });
}

void LinstorActor::Resume(const std::string& node, std::function<void(bool)> then) {
  const sim::Time begun = stage().cluster.now();
  stage().cluster.Start(
      node, sim::kSatelliteContainer, {"drbdadm", "resume-io", spec_.name},
      [this, begun, node, then = std::move(then)](const sim::ExecResult& result) {
        const auto its_own = [begun, node](const sim::Violation& violation) {
          return violation.kind.starts_with("resume-") && violation.node == node &&
                 violation.time >= begun;
        };
        std::vector<sim::Violation>& violations = stage().cluster.world().violations;
        resumed_without_data_ =
            resumed_without_data_ ||
            std::any_of(violations.begin(), violations.end(), [&](const auto& violation) {
              return its_own(violation) && violation.kind == "resume-without-data";
            });
        std::erase_if(violations, its_own);
        then(result.exit == 0);
      });
}

}  // namespace breakwater::walks
