#include "operator/controllers/replication/testing/volume_bed.h"

#include <cstdlib>
#include <utility>

#include <gtest/gtest.h>

#include "operator/api/resources.h"

namespace breakwater::controllers {

using agent::testing::SimClock;

namespace {

// The agents' look at the nodes, and LINSTOR's at the properties.
constexpr sim::Millis kStep{100};

}  // namespace

SystemTime VolumeBed::BedClock::SystemNow() const {
  // The certificates of the test authority are made for today.
  static const SystemTime kStart = RealClock().SystemNow();
  return kStart + std::chrono::duration_cast<SystemTime::duration>(bed_.cluster_.now());
}

SteadyTime VolumeBed::BedClock::SteadyNow() const {
  return SimClock::ToSteady(bed_.cluster_.now());
}

bool VolumeBed::BedClock::SleepUntil(std::stop_token stop, SteadyTime time) const {
  if (!stop.stop_requested() && SimClock::ToSim(time) > bed_.cluster_.now()) {
    bed_.agents_.Advance(SimClock::ToSim(time) - bed_.cluster_.now());
  }
  return !stop.stop_requested();
}

VolumeBed::VolumeBed(const BedOptions& options)
    : hub_(&cluster_,
           &agents_,
           [this](const std::string& node, const std::string& resource) {
             replication::ResConfig config;
             for (const auto& [pair, tls] : specs_[resource].pair_tls) {
               if (pair.first == node || pair.second == node) {
                 config.tls[pair.first == node ? pair.second : pair.first] = tls;
               }
             }
             return config;
           }),
      log_([this](std::string_view line) { log_text_ += std::string(line) + "\n"; },
           LogLevel::kInfo),
      clusters_(api::kLinstorCluster),
      satellites_(api::kLinstorSatellite),
      daemon_sets_(api::kDaemonSet),
      pods_(api::kPod),
      secrets_(api::kSecret),
      persistent_volumes_(api::kPersistentVolume),
      storage_classes_(api::kStorageClass) {
  hub_.SetEvents({.resource_changed =
                      [this](const std::string& name) {
                        if (controllers_) {
                          controllers_->NoteResource(name);
                        }
                      },
                  .node_changed =
                      [this](const std::string& node) {
                        if (controllers_) {
                          controllers_->NoteNode(node);
                        }
                      },
                  .result =
                      [this](const std::string& node, const replication::ResultMessage& message) {
                        if (controllers_) {
                          controllers_->NoteResult(node, message);
                        }
                      },
                  .clock_moved =
                      [this](const std::string& node) {
                        if (controllers_) {
                          controllers_->WantCertificates(node);
                        }
                      }});
  MakePods(options.agents);
  MakeVolumes(options);
  SetClusterTls("");
  StartOperator();
}

VolumeBed::~VolumeBed() = default;

void VolumeBed::StartOperator() {
  leading_ = std::stop_source();
  hub_.NewOperator();
  controllers_ = std::make_unique<ReplicationControllers>(ReplicationControllersDeps{
      .services = {clock_, log_, metrics_, health_},
      .client = kube_,
      .shell = *this,
      .agents = hub_,
      .linstor = *this,
      .clusters = clusters_,
      .satellites = {satellites_, daemon_sets_, pods_, "ns"},
      .secrets = secrets_,
      .floor = {persistent_volumes_, storage_classes_},
      .events = [this](const kube::Event& event) { events_.push_back(event.reason); },
      .options = {.operator_namespace = "ns", .instance = "bed"}});
  const auto due = [this](Queue* queue, const std::string& key) {
    (*queue)[key] = clock_.SteadyNow();
  };
  controllers_->SetQueues({.volume = [this, due](const std::string& name) { due(&volumes_, name); },
                           .node = [this, due](const std::string& name) { due(&due_nodes_, name); },
                           .cluster = [this, due] { due(&cluster_keys_, "all"); }});
  controllers_->Lead(leading_.get_token(), ++epoch_);
  due(&cluster_keys_, "all");
}

void VolumeBed::KillOperator() {
  controllers_.reset();
  volumes_.clear();
  due_nodes_.clear();
  cluster_keys_.clear();
}

bool VolumeBed::Reconcile(runtime::Reconciler& reconciler, Queue* queue) {
  const SteadyTime now = clock_.SteadyNow();
  for (const auto& [key, due] : *queue) {
    if (due > now) {
      continue;
    }
    const std::string name = key;
    queue->erase(name);
    SyncStores();
    const auto result = reconciler.Reconcile(
        Context(leading_.get_token(), clock_).WithTimeout(std::chrono::minutes(2)),
        {.ns = "", .name = name});
    const auto after = result ? result->after : std::optional(std::chrono::milliseconds(5000));
    if (after && controllers_) {
      const SteadyTime again = clock_.SteadyNow() + *after;
      const auto [it, added] = queue->try_emplace(name, again);
      it->second = std::min(it->second, again);
    }
    return true;
  }
  return false;
}

void VolumeBed::Step(sim::Time end) {
  hub_.Pump();
  SyncRes();
  int turns = 0;
  while (controllers_ && (Reconcile(controllers_->volume(), &volumes_) ||
                          Reconcile(controllers_->node(), &due_nodes_) ||
                          Reconcile(controllers_->cluster(), &cluster_keys_))) {
    SyncRes();
    if (++turns > 500) {
      ADD_FAILURE() << "the controllers never rest: " << Dump();
      std::abort();
    }
  }
  if (cluster_.now() < end) {
    agents_.Advance(std::min<sim::Time>(kStep, end - cluster_.now()));
  }
}

void VolumeBed::RunFor(std::chrono::milliseconds time) {
  const sim::Time end = cluster_.now() + time;
  while (cluster_.now() < end) {
    Step(end);
  }
}

bool VolumeBed::RunUntil(const std::function<bool()>& condition, std::chrono::milliseconds limit) {
  const sim::Time end = cluster_.now() + limit;
  while (!condition()) {
    if (cluster_.now() >= end) {
      return false;
    }
    Step(end);
  }
  return true;
}

bool VolumeBed::RunUntilPhase(const std::string& phase, std::chrono::milliseconds limit) {
  return RunUntil([&] { return Status().value("phase", "") == phase; }, limit);
}

void VolumeBed::SyncStores() {
  clusters_.Replace(kube_.All(api::kLinstorCluster), "1");
  satellites_.Replace(kube_.All(api::kLinstorSatellite), "1");
  daemon_sets_.Replace(kube_.All(api::kDaemonSet), "1");
  pods_.Replace(kube_.All(api::kPod), "1");
  persistent_volumes_.Replace(kube_.All(api::kPersistentVolume), "1");
  storage_classes_.Replace(kube_.All(api::kStorageClass), "1");
}

std::string VolumeBed::Dump() {
  std::string text =
      Status().dump() + "\n" + ConditionOf("ReplicationEncrypted").dump() + "\n" + log_text_;
  for (const std::string& line : agents_.Log()) {
    text += line + "\n";
  }
  return text;
}

}  // namespace breakwater::controllers
