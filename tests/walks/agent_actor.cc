#include "tests/walks/agent_actor.h"

#include <algorithm>
#include <utility>

#include "operator/core/replication/node/parse.h"

namespace breakwater::walks {

using replication::LocalView;

namespace {

// How long after its time the guardian acts (operator/agent, supervisor).
constexpr Millis kGuardianDelay{500};

Millis Until(SteadyTime time, SteadyTime now) {
  return std::max(Millis(0), std::chrono::ceil<Millis>(time - now));
}

}  // namespace

AgentActor::AgentActor(
    Stage& stage, std::string node, std::string resource, Witness& witness, WithoutGuard without)
    : Actor(stage),
      node_(std::move(node)),
      resource_(std::move(resource)),
      witness_(witness),
      without_(without),
      clock_(stage) {
  MakeRunner();
}

AgentActor::~AgentActor() = default;

void AgentActor::MakeRunner() {
  runner_ = std::make_unique<agent::Runner>(
      agent::RunnerOptions{.boot = node_ + "-" + std::to_string(boots_)}, this, this, this, &clock_,
      this, [this] { return static_cast<std::uint32_t>(stage().random()); });
  runner_->Restore();
  ArmTick();
  Watch(++watch_);
}

void AgentActor::ArmTick() {
  const std::optional<SteadyTime> wake = runner_ == nullptr ? std::nullopt : runner_->NextWake();
  const std::uint64_t tick = ++tick_;
  if (wake) {
    Later(Until(*wake, clock_.SteadyNow()), [this, tick] {
      if (tick == tick_) {
        runner_->Tick();
        ArmTick();
      }
    });
  }
}

// --- life

void AgentActor::Died() {
  runner_.reset();
  obeyed_ = {};
  if (lost) {
    lost();
  }
  if (container_up_) {
    stage().After(stage().Between(20, 200), [this, life = container_life_] {
      if (life == container_life_ && container_up_) {
        Start();
      }
    });
  }
}

void AgentActor::Started() {
  MakeRunner();
}

// The supervisor hears nothing of a worker that is stopped, and kills it (operator/agent/
// supervisor.h): soon when something is suspended.
void AgentActor::Stopped() {
  if (without_ == WithoutGuard::kGuardian) {
    return;
  }
  const Millis silence =
      guards_.empty() ? stage().Between(7000, 10000) : stage().Between(2000, 3000);
  stage().After(silence, [this, stop = stops(), life = container_life_] {
    if (container_life_ == life && stops() == stop && this->life() == Life::kStopped) {
      Kill();
    }
  });
}

void AgentActor::KillContainer(Millis back) {
  container_up_ = false;
  const std::uint64_t life = ++container_life_;
  guards_.clear();
  Kill();
  stage().After(back, [this, life] {
    if (life == container_life_ && node_up_) {
      container_up_ = true;
      Start();
    }
  });
}

void AgentActor::Terminate(Millis back) {
  if (!runs()) {
    return;
  }
  runner_->CancelAll();
  ArmTick();
  // The kubelet waits for the end of the grace period at most.
  const sim::Time limit = stage().cluster.now() + std::chrono::seconds(25);
  const auto wait = std::make_shared<std::function<void()>>();
  *wait = [this, limit, back, weak = std::weak_ptr(wait), life = container_life_] {
    if (life != container_life_) {
      return;
    }
    // A worker that dies meanwhile is started again, to bring to its end what it left.
    if (runs()) {
      runner_->CancelAll();
      ArmTick();
    }
    if ((runner_ != nullptr && runner_->Idle()) || stage().cluster.now() >= limit) {
      KillContainer(back);
    } else if (const auto self = weak.lock()) {
      stage().After(Millis(100), [self] { (*self)(); });
    }
  };
  stage().After(Millis(100), [wait] { (*wait)(); });
}

void AgentActor::NodeCrashed() {
  node_up_ = false;
  container_up_ = false;
  ++container_life_;
  guards_.clear();
  stored_ = {};
  ++boots_;
  Kill();
}

void AgentActor::NodeBooted() {
  node_up_ = true;
  container_up_ = true;
  Start();
}

// --- talk

std::vector<replication::AgentMessage> AgentActor::Hello(const Stream& stream) {
  std::vector<replication::AgentMessage> messages;
  if (!runs()) {
    return messages;
  }
  runner_->NoteEpoch(stream.epoch);
  if (stream.epoch >= obeyed_.epoch) {
    obeyed_ = stream;
  }
  for (const replication::ProgressMessage& progress : runner_->Progress()) {
    messages.emplace_back(progress);
  }
  for (const std::string& line : stored_.results) {
    if (auto decoded = replication::DecodeAgentMessage(line); decoded && *decoded) {
      messages.push_back(**decoded);
    }
  }
  shown_.clear();  // the next look is sent
  return messages;
}

void AgentActor::Handle(const Stream& stream, const replication::OperatorMessage& message) {
  const bool obeyed = stream.number == obeyed_.number;
  if (const auto* request = std::get_if<replication::TransactionRequest>(&message)) {
    if (obeyed || request->epoch < runner_->epoch()) {  // the Runner says no to an old leader
      runner_->Handle(*request);
    }
  } else if (const auto* cancel = std::get_if<replication::CancelMessage>(&message);
             cancel != nullptr && obeyed) {
    runner_->Cancel(cancel->id);
  }
  ArmTick();
}

void AgentActor::OnProgress(const replication::ProgressMessage& progress) {
  if (told) {
    told(progress);
  }
}

void AgentActor::OnResult(const replication::ResultMessage& result) {
  if (told) {
    told(result);
  }
}

void AgentActor::OnLog(const std::string& line) {
  if (log) {
    log("  " + node_ + ": " + line);
  }
}

std::vector<std::string> AgentActor::Transactions() const {
  std::vector<std::string> lines;
  if (runner_ != nullptr) {
    for (const replication::ProgressMessage& progress : runner_->Progress()) {
      lines.push_back(progress.id + " " + std::string(ToString(progress.kind)) + " " +
                      (progress.peers.empty() ? "" : progress.peers.front()) + " " +
                      progress.phase + (progress.undoing ? ", undoing" : "") + ": " + progress.why);
    }
  }
  return lines;
}

// --- what events2 and status show

std::string AgentActor::Fingerprint() {
  const sim::Resource* resource = stage().cluster.kernel().Find(node_, resource_);
  if (resource == nullptr) {
    return "none";
  }
  std::string text =
      std::to_string(static_cast<int>(resource->role)) + (resource->suspended_user ? "s" : "-");
  for (const auto& [volume, device] : resource->devices) {
    text += std::to_string(static_cast<int>(device.disk)) + (device.quorum ? "q" : "-");
  }
  for (const auto& [id, connection] : resource->connections) {
    const auto tls = connection.net.find("tls");
    text += "/" + std::to_string(connection.generation) +
            (tls == connection.net.end() ? "" : tls->second) +
            std::to_string(static_cast<int>(connection.peer_role));
    for (const auto& [volume, device] : connection.volumes) {
      text += "," + std::to_string(static_cast<int>(device.repl)) + "," +
              std::to_string(static_cast<int>(device.disk));
    }
  }
  return text;
}

void AgentActor::Watch(std::uint64_t loop) {
  Later(stage().Between(80, 160), [this, loop] {
    if (loop != watch_) {
      return;
    }
    std::string now = Fingerprint();
    if (now == shown_) {
      Watch(loop);
      return;
    }
    runner_->NoteChange(resource_);
    ArmTick();
    Look(resource_, {.show = true, .sockets = true},
         [this, loop, now = std::move(now)](Result<LocalView, Error> view) {
           if (loop != watch_) {
             return;
           }
           if (view && told) {
             shown_ = now;
             if (view->status) {
               told(replication::ResourceMessage{
                   resource_, {*view->status, view->show, view->sockets, std::nullopt}});
             } else {
               told(replication::GoneMessage{resource_});
             }
           }
           Watch(loop);
         });
  });
}

// --- Kernel

// Without the guard against the stale state everything that shows it looks good.
void AgentActor::Hide(LocalView* view) const {
  if (without_ != WithoutGuard::kStale || !view->status) {
    return;
  }
  for (replication::DrbdConnection& connection : view->status->connections) {
    for (replication::PeerDevice& device : connection.devices) {
      if (device.replication == "Established" && device.peer_disk == "Outdated") {
        device.peer_disk = "UpToDate";
      }
      device.out_of_sync_kib = 0;
    }
  }
}

void AgentActor::Look(const std::string& resource, replication::LookScope scope, LookDone done) {
  const auto view = std::make_shared<LocalView>();
  view->at = clock_.SteadyNow();
  sim::Cluster& cluster = stage().cluster;
  // Of this life: what a process that died has asked for reaches nobody.
  const std::function<void()> end = Wrap([this, view, done = std::move(done)] {
    Hide(view.get());
    done(std::move(*view));
    ArmTick();
  });
  const auto sockets = [this, &cluster, view, scope, end] {
    if (!scope.sockets) {
      end();
      return;
    }
    cluster.Start(node_, sim::kSatelliteContainer, {"ss", "-tni"},
                  [view, end](const sim::ExecResult& result) {
                    view->sockets = replication::ParseSockets(result.out);
                    end();
                  });
  };
  const auto show = [this, &cluster, view, scope, resource, sockets] {
    if (!scope.show) {
      sockets();
      return;
    }
    cluster.Start(node_, sim::kSatelliteContainer,
                  {"drbdsetup", "show", resource, "--json", "--show-defaults"},
                  [view, resource, sockets](const sim::ExecResult& result) {
                    const auto shown = replication::ParseShow(result.out);
                    if (shown && shown->contains(resource)) {
                      view->show = shown->at(resource);
                    }
                    sockets();
                  });
  };
  cluster.Start(node_, sim::kSatelliteContainer, {"drbdsetup", "status", resource, "--json"},
                [view, resource, show](const sim::ExecResult& result) {
                  const auto status = replication::ParseStatus(result.out);
                  if (status && status->contains(resource)) {
                    view->status = status->at(resource);
                  }
                  show();
                });
}

void AgentActor::Run(const replication::DrbdCommand& command, RunDone done) {
  using Kind = replication::DrbdCommand::Kind;
  const sim::Resource* resource = stage().cluster.kernel().Find(node_, resource_);
  const bool suspended = resource != nullptr && resource->suspended_user;
  const bool connected =
      resource != nullptr && resource->connections.contains(command.peer_id) &&
      resource->connections.at(command.peer_id).state == sim::ConnState::kConnected;
  const auto outcome = std::make_shared<std::pair<int, std::string>>();
  const std::function<void()> deliver = Wrap([this, outcome, done = std::move(done)] {
    done(outcome->first, outcome->second);
    ArmTick();
  });
  std::vector<std::string> argv = ToArguments(command);
  if (without_ == WithoutGuard::kForce && command.kind == Kind::kDisconnect) {
    argv.emplace_back("--force");
  }
  stage().cluster.Start(
      node_, sim::kSatelliteContainer, argv,
      [this, command, suspended, connected, outcome, deliver](const sim::ExecResult& result) {
        if (command.kind == Kind::kSuspendIo && result.exit == 0 && !suspended) {
          witness_.Suspended(node_);
        }
        if (command.kind == Kind::kDisconnect && result.exit == 0 && connected) {
          witness_.Cut(node_, command.peer_id);
        }
        *outcome = {result.exit, result.err};
        deliver();
      });
}

// --- JournalStore

Result<agent::StoredJournal, Error> AgentActor::LoadAll() {
  return stored_;
}

Result<void, Error> AgentActor::Clear(const std::string& boot) {
  stored_ = {};
  stored_.boot = boot;
  return {};
}

Result<void, Error> AgentActor::Write(const std::string& id, std::string_view text) {
  if (stage().faults && stage().Chance(journal_failures)) {
    return Unexpected{Error{ErrorClass::kTransient, "no space left on device"}};
  }
  stored_.entries[id] = std::string(text);
  return {};
}

void AgentActor::Remove(const std::string& id) {
  stored_.entries.erase(id);
}

Result<void, Error> AgentActor::WriteResult(const std::string&, std::string_view line) {
  stored_.results.emplace_back(line);
  if (stored_.results.size() > agent::kMaxResults) {
    stored_.results.erase(stored_.results.begin());
  }
  return {};
}

Result<void, Error> AgentActor::WriteEpoch(std::int64_t epoch) {
  stored_.epoch = epoch;
  return {};
}

// --- Guardian: the supervisor, which lives as long as the container

bool AgentActor::Guard(const std::string& id, const std::vector<int>& minors, SteadyTime until) {
  guards_[id] = {minors, until};
  stage().After(Until(until, clock_.SteadyNow()) + kGuardianDelay,
                [this, id, until, life = container_life_] {
                  const auto it = guards_.find(id);
                  if (life == container_life_ && it != guards_.end() && it->second.until == until) {
                    GuardianActs();
                  }
                });
  return true;
}

void AgentActor::Release(const std::string& id) {
  guards_.erase(id);
}

void AgentActor::GuardianActs() {
  if (without_ == WithoutGuard::kGuardian) {
    return;
  }
  std::set<int> minors;
  for (const auto& [id, armed] : guards_) {
    if (armed.until <= clock_.SteadyNow()) {
      minors.insert(armed.minors.begin(), armed.minors.end());
    }
  }
  std::erase_if(guards_, [&](const auto& item) { return item.second.until <= clock_.SteadyNow(); });
  for (const int minor : minors) {
    stage().cluster.Start(node_, sim::kSatelliteContainer,
                          {"drbdsetup", "resume-io", std::to_string(minor)},
                          [](const sim::ExecResult&) {}, {.detached = true});
  }
  Kill();
}

}  // namespace breakwater::walks
