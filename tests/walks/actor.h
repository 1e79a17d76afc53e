#pragma once

/// Actor: a process of the walk that can die, be started again, be stopped and wake up late. All of
/// its code runs in callbacks; each callback is a point at which it may be hit.

#include <cstdint>
#include <deque>
#include <functional>
#include <random>
#include <string>
#include <utility>

#include "tests/e2e/sim/drbd/cluster.h"

namespace breakwater::walks {

using sim::Millis;

/// Chances per callback of an actor; all faults of a walk come from one seed.
struct FaultRates {
  double kill = 0;
  double stop = 0;
  double late = 0;
};

/// What all actors share: virtual time, chance, and whether faults are on.
struct Stage {
  sim::Cluster& cluster;
  std::mt19937_64 random;
  bool faults = false;
  int kills = 0;
  std::uint64_t streams = 0;  ///< opened so far: the number of the next one

  bool Chance(double probability) {
    return probability > 0 && std::uniform_real_distribution<double>(0, 1)(random) < probability;
  }

  Millis Between(int low, int high) {
    return Millis(std::uniform_int_distribution<int>(low, high)(random));
  }

  void After(Millis delay, std::function<void()> action) {
    cluster.world().events.After(delay, std::move(action));
  }
};

class Actor {
 public:
  enum class Life { kRuns, kStopped, kDead };

  explicit Actor(Stage& stage) : stage_(stage) {}

  virtual ~Actor() = default;
  Actor(const Actor&) = delete;
  Actor& operator=(const Actor&) = delete;

  Life life() const { return life_; }

  bool runs() const { return life_ == Life::kRuns; }

  /// kill -9: memory is gone, callbacks of this life never come.
  void Kill() {
    if (life_ == Life::kDead) {
      return;
    }
    life_ = Life::kDead;
    ++incarnation_;
    deferred_.clear();
    ++stage_.kills;
    Died();
  }

  void Start() {
    if (life_ != Life::kDead) {
      return;
    }
    life_ = Life::kRuns;
    Started();
  }

  /// SIGSTOP, a swapping node, a long pause of any kind: what it waits for is handed over later.
  void Stop(Millis time) {
    if (life_ != Life::kRuns) {
      return;
    }
    life_ = Life::kStopped;
    ++stops_;
    Stopped();
    stage_.After(time, [this, incarnation = incarnation_] {
      if (incarnation == incarnation_ && life_ == Life::kStopped) {
        Continue();
      }
    });
  }

  /// Runs, whatever it did before.
  void Wake() {
    if (life_ == Life::kStopped) {
      Continue();
    }
    Start();
  }

  void Continue() {
    life_ = Life::kRuns;
    while (life_ == Life::kRuns && !deferred_.empty()) {
      std::function<void()> next = std::move(deferred_.front());
      deferred_.pop_front();
      next();
    }
  }

  /// The action as an event of this life: dropped when it has ended, kept back while stopped.
  std::function<void()> Wrap(std::function<void()> action) {
    return [this, incarnation = incarnation_, action = std::move(action)] {
      Deliver(incarnation, action);
    };
  }

  void Later(Millis delay, std::function<void()> action) {
    stage_.After(delay, Wrap(std::move(action)));
  }

  FaultRates rates{};

 protected:
  virtual void Died() {}

  virtual void Started() {}

  virtual void Stopped() {}

  /// Tells one stop from another.
  std::uint64_t stops() const { return stops_; }

  Stage& stage() { return stage_; }

 private:
  void Deliver(std::uint64_t incarnation, const std::function<void()>& action) {
    if (incarnation != incarnation_ || life_ == Life::kDead) {
      return;
    }
    if (life_ == Life::kRuns && stage_.faults) {
      if (stage_.Chance(rates.kill)) {
        Kill();
        return;
      }
      if (stage_.Chance(rates.stop)) {
        const bool long_one = stage_.Chance(0.3);
        Stop(long_one ? stage_.Between(1000, 60000) : stage_.Between(1, 3000));
      } else if (stage_.Chance(rates.late)) {
        stage_.After(stage_.Between(1, 4000), Wrap(action));
        return;
      }
    }
    if (life_ == Life::kStopped) {
      deferred_.push_back(action);
      return;
    }
    action();
  }

  Stage& stage_;
  Life life_ = Life::kRuns;
  std::uint64_t incarnation_ = 1;
  std::uint64_t stops_ = 0;
  std::deque<std::function<void()>> deferred_;
};

}  // namespace breakwater::walks
