#pragma once

/// Faults: what happens to the scene from outside, at random moments of a seed.

#include <functional>
#include <string>

#include "tests/walks/scene.h"

namespace breakwater::walks {

class Faults {
 public:
  explicit Faults(Scene& scene) : scene_(scene) {}

  /// From now on until CalmDown.
  void Begin();
  /// Everything is well again, and one leader is there.
  void CalmDown();

 private:
  void Repeat(int mean, const std::function<void()>& action);
  void Sometimes(double chance, int mean, const std::function<void()>& action);
  void ChangeLeader();
  void HurtAgent();
  void MovePrimary();
  bool SplitsBrain();
  bool AllConnected() const;
  bool LosesBothReplicas() const;
  void Open(const std::string& node);
  void CrashNode();
  void Boot(const std::string& node);
  void CutLink();
  void Mend(const replication::Pair& pair);
  void HurtTlshd();
  void ApiDown();

  Scene& scene_;
  bool apart_ = false;  ///< by a fault, and not yet connected again
};

}  // namespace breakwater::walks
