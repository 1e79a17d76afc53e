#include "tests/walks/walk.h"

#include <string>

#include "operator/core/replication/node/parse.h"
#include "tests/walks/faults.h"
#include "tests/walks/limits.h"
#include "tests/walks/scene.h"

namespace breakwater::walks {
namespace {

constexpr Millis kStep{50};
/// Once everything is well again: back-off of a minute, a full resync, and a switch or two.
constexpr Millis kCalm{600000};

class Walk {
 public:
  explicit Walk(const WalkOptions& options) : scene_(options, limits_), faults_(scene_) {
    limits_.Watch(&scene_);
  }

  WalkResult Run() {
    limits_.result.shape =
        std::string(scene_.shape.name) + (scene_.from_tls ? ", yes -> no" : ", no -> yes");
    faults_.Begin();
    if (Advance(scene_.stage.Between(20000, 90000))) {
      faults_.CalmDown();
      AdvanceUntilFinished();
    }
    limits_.Judge();
    return limits_.result;
  }

 private:
  bool Advance(Millis time) {
    const sim::Time end = scene_.cluster.now() + time;
    while (scene_.cluster.now() < end) {
      scene_.cluster.Advance(kStep);
      if (!limits_.Check()) {
        return false;
      }
    }
    return true;
  }

  void AdvanceUntilFinished() {
    const sim::Time end = scene_.cluster.now() + kCalm;
    while (scene_.cluster.now() < end) {
      if (!Advance(Millis(1000))) {
        return;
      }
      ObeyReport();
      if (Finished()) {
        return;
      }
    }
    // The only copy of an open volume is not switched (F28): nothing more to come.
    if (!scene_.shape.only_copy_away || scene_.primary.empty()) {
      limits_.Break("not finished when everything was well again: " + scene_.leader().why());
    }
  }

  bool Finished() {
    if (!scene_.leader().done()) {
      return false;
    }
    const sim::ResourceReport report = scene_.cluster.Summary(scene_.spec.name);
    const int encrypted = scene_.api.tls ? report.connections : 0;
    return !report.suspended_user && report.connected == report.connections &&
           report.encrypted == encrypted;
  }

  /// What is reported as a person's to decide is decided: the Primary's copy is the right one.
  void ObeyReport() {
    if (scene_.leader().why().find("run `drbdadm invalidate`") == std::string::npos ||
        scene_.primary.empty()) {
      return;
    }
    for (const std::string& peer : scene_.spec.nodes) {
      if (peer != scene_.primary && OutOfSync(peer)) {
        scene_.Say("a person invalidates " + peer);
        (void)scene_.cluster.Run(
            scene_.primary,
            {"drbdadm", "invalidate-remote", scene_.spec.name + ":" + peer, "--reset-bitmap=no"});
      }
    }
  }

  /// As the Primary sees it, once its own copy is good again.
  bool OutOfSync(const std::string& peer) {
    const auto status = replication::ParseStatus(
        scene_.cluster.Run(scene_.primary, {"drbdsetup", "status", scene_.spec.name, "--json"})
            .out);
    if (!status || !status->contains(scene_.spec.name)) {
      return false;
    }
    for (const replication::DrbdDevice& device : status->at(scene_.spec.name).devices) {
      if (device.disk != "UpToDate") {
        return false;
      }
    }
    for (const replication::DrbdConnection& connection : status->at(scene_.spec.name).connections) {
      for (const replication::PeerDevice& device : connection.devices) {
        if (connection.peer == peer && device.replication == "Established" &&
            device.out_of_sync_kib > 0) {
          return true;
        }
      }
    }
    return false;
  }

  Limits limits_{};
  Scene scene_;
  Faults faults_;
};

}  // namespace

WalkResult RunWalk(const WalkOptions& options) {
  return Walk(options).Run();
}

}  // namespace breakwater::walks
