#include "tests/walks/faults.h"

#include <algorithm>
#include <chrono>

namespace breakwater::walks {

using replication::Pair;

void Faults::Begin() {
  scene_.stage.faults = true;
  Repeat(8000, [this] { ChangeLeader(); });
  Repeat(6000, [this] { HurtAgent(); });
  Repeat(5000, [this] { scene_.linstor->ReconnectSatellite(scene_.AnyNode()); });
  Repeat(15000, [this] { scene_.leader().BreakLink(scene_.AnyNode()); });
  Sometimes(0.3, 20000, [this] { scene_.linstor->Snapshot(); });
  Sometimes(0.3, 30000, [this] { MovePrimary(); });
  Sometimes(0.25, 40000, [this] { CrashNode(); });
  Sometimes(0.25, 25000, [this] { CutLink(); });
  Sometimes(0.25, 30000, [this] { HurtTlshd(); });
  Sometimes(0.2, 40000, [this] { scene_.api.tls = !scene_.api.tls; });
  Sometimes(0.3, 20000, [this] { ApiDown(); });
}

/// About once in `mean` ms, while faults are on.
void Faults::Repeat(int mean, const std::function<void()>& action) {
  scene_.stage.After(scene_.stage.Between(1, 2 * mean), [this, mean, action] {
    if (scene_.stage.faults) {
      action();
      Repeat(mean, action);
    }
  });
}

/// In some walks only.
void Faults::Sometimes(double chance, int mean, const std::function<void()>& action) {
  if (scene_.stage.Chance(chance)) {
    Repeat(mean, action);
  }
}

void Faults::ChangeLeader() {
  Stage& stage = scene_.stage;
  OperatorActor& old = scene_.leader();
  // One that wakes up late finds out soon that it has lost its lease, and ends.
  stage.After(stage.Between(20000, 60000), [&old] { old.Kill(); });
  const auto how = stage.random() % 3;
  const Millis away = stage.Chance(0.3) ? Millis(0) : stage.Between(1000, 30000);
  if (how == 0) {
    scene_.Say("the operator is killed");
    old.Kill();
  } else if (how == 1) {
    scene_.Say("the operator is stopped and will wake up late");
    old.Stop(away + stage.Between(500, 20000));
  } else {
    scene_.Say("the lease is lost");
  }
  // Once it is calm there is one leader, and nobody to tell it that its lease is gone.
  stage.After(away, [this] {
    if (scene_.stage.faults) {
      scene_.NewLeader();
    }
  });
}

void Faults::HurtAgent() {
  Stage& stage = scene_.stage;
  AgentActor& agent = *scene_.agents.at(scene_.AnyNode());
  if (!agent.container_up()) {
    return;
  }
  switch (stage.random() % 4) {
    case 0:
      scene_.Say("agent of " + agent.node() + " is killed");
      agent.Kill();
      break;
    case 1:
      scene_.Say("agent of " + agent.node() + " is stopped");
      agent.Stop(stage.Between(100, 40000));
      break;
    case 2:
      // The kubelet starts a container at once that dies for the first time.
      scene_.Say("container of the agent of " + agent.node() + " is killed");
      agent.KillContainer(stage.Between(200, 900));
      break;
    default:
      scene_.Say("pod of " + agent.node() + " is terminated");
      agent.Terminate(stage.Between(500, 20000));
      break;
  }
}

void Faults::MovePrimary() {
  if (scene_.primary.empty()) {
    return;
  }
  scene_.cluster.StopWriter(scene_.spec.name, scene_.primary);
  const std::string next = scene_.AnyNode();
  scene_.stage.After(scene_.stage.Between(10, 3000), [this, next] { Open(next); });
}

/// Without quorum nobody keeps a volume from being opened on the other side of a fault, where its
/// last writes are not: that splits brain whatever we do, and is not ours to survive.
bool Faults::SplitsBrain() {
  if (scene_.spec.quorum != "off") {
    return false;
  }
  const auto fails = [this](const std::string& node) {
    const sim::Tlshd& tlshd = scene_.cluster.world().GetNode(node).tlshd;
    return !tlshd.running || tlshd.hung;
  };
  if (!scene_.links_cut.empty()) {
    apart_ = true;
  } else if (AllConnected()) {
    apart_ = false;
  } else {
    apart_ = apart_ || std::any_of(scene_.spec.nodes.begin(), scene_.spec.nodes.end(), fails);
  }
  return apart_;
}

bool Faults::AllConnected() const {
  const sim::ResourceReport report = scene_.cluster.Summary(scene_.spec.name);
  return report.connected == report.connections;
}

void Faults::Open(const std::string& node) {
  if (!SplitsBrain() && !scene_.down.contains(node) &&
      !scene_.cluster.StartWriter(scene_.spec.name, node, scene_.interval)) {
    scene_.primary = node;
    scene_.Say("opened on " + node);
    return;
  }
  scene_.stage.After(
      Millis(1000), [this, node] { Open(scene_.stage.faults ? node : scene_.spec.nodes.front()); });
}

/// Which of two replicas has the last writes of a Primary without a disk that has lost both at once
/// only it could say, and none of it is our doing.
bool Faults::LosesBothReplicas() const {
  const sim::Resource* resource = scene_.ResourceOn(scene_.primary);
  return resource != nullptr && resource->devices.at(0).client() &&
         !(scene_.down.empty() && scene_.links_cut.empty());
}

void Faults::CrashNode() {
  const std::string node = scene_.AnyNode();
  if (scene_.down.contains(node) || SplitsBrain() || LosesBothReplicas()) {
    return;
  }
  scene_.Say("crash of " + node);
  scene_.cluster.CrashNode(node);
  scene_.agents.at(node)->NodeCrashed();
  scene_.down.insert(node);
  scene_.stage.After(scene_.stage.Between(3000, 30000), [this, node] { Boot(node); });
  if (node == scene_.primary) {
    scene_.stage.After(scene_.stage.Between(4000, 9000), [this] { Open(scene_.AnyNode()); });
  }
}

void Faults::Boot(const std::string& node) {
  if (scene_.down.erase(node) == 0) {
    return;
  }
  scene_.cluster.BootNode(node);
  scene_.cluster.SetTlshd(node, true);
  scene_.agents.at(node)->NodeBooted();
  scene_.linstor->ReconnectSatellite(node);
  scene_.Say("boot of " + node);
}

void Faults::CutLink() {
  const std::string& a = scene_.AnyNode();
  const std::string& b = scene_.AnyNode();
  if (a == b || LosesBothReplicas()) {
    return;
  }
  scene_.Say("network between " + a + " and " + b + " is cut");
  scene_.cluster.CutLink(a, b, true);
  scene_.links_cut.insert(Pair::Of(a, b));
  apart_ = true;
  scene_.stage.After(scene_.stage.Between(500, 15000),
                     [this, pair = Pair::Of(a, b)] { Mend(pair); });
}

void Faults::Mend(const Pair& pair) {
  scene_.cluster.CutLink(pair.a, pair.b, false);
  scene_.links_cut.erase(pair);
}

void Faults::HurtTlshd() {
  const std::string node = scene_.AnyNode();
  scene_.cluster.SetTlshd(node, scene_.stage.Chance(0.5), true);
  scene_.Say("tlshd of " + node + " fails");
  scene_.stage.After(scene_.stage.Between(1000, 30000), [this, node] {
    (void)SplitsBrain();  // what it did so far counts
    scene_.cluster.SetTlshd(node, true);
  });
}

void Faults::ApiDown() {
  scene_.api.down_until =
      std::chrono::duration_cast<Millis>(scene_.cluster.now()) + scene_.stage.Between(500, 20000);
}

void Faults::CalmDown() {
  scene_.Say("calm");
  scene_.stage.faults = false;
  scene_.linstor->Wake();
  for (const std::string& node : scene_.spec.nodes) {
    Boot(node);
    scene_.cluster.SetTlshd(node, true);
    AgentActor& agent = *scene_.agents.at(node);
    agent.rates = {};
    if (agent.container_up()) {
      agent.Wake();
    }
  }
  while (!scene_.links_cut.empty()) {
    Mend(*scene_.links_cut.begin());
  }
  scene_.api.down_until = Millis(0);
  for (const auto& leader : scene_.leaders) {
    leader->Kill();
  }
  // What the user chose may be impossible for this volume, and is then refused for good.
  scene_.strategy = replication::StrategyChoice::kAuto;
  scene_.single_copy = true;
  scene_.NewLeader();
  scene_.leader().rates = {};
}

}  // namespace breakwater::walks
