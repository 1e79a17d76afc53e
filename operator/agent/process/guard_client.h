#pragma once

/// GuardClient: the worker's end of its link to the supervisor (guard_protocol.h).
/// Thread safety: none, runs in the loop's thread.

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "operator/agent/kernel.h"
#include "operator/agent/process/fd.h"
#include "operator/agent/process/loop.h"

namespace breakwater::agent {

class GuardClient final : public Guardian {
 public:
  /// `link` may be invalid: a worker without a supervisor, which may suspend nothing. `on_gone` is
  /// called once when the supervisor ends.
  GuardClient(Loop* loop, UniqueFd link, std::function<void()> on_gone);
  ~GuardClient() override;

  /// Waits for the supervisor's answer, which takes far less than a millisecond, at most 300 ms.
  bool Guard(const std::string& id, const std::vector<int>& minors, SteadyTime until) override;
  void Release(const std::string& id) override;

  /// These transactions are in the journal; what else the supervisor guards is void.
  void Keep(const std::vector<std::string>& ids);

 private:
  bool Send(const std::string& line);
  void Read();
  bool WaitForAnswer(const std::string& answer);
  void BeatLater();
  void Lost();

  Loop* const loop_;
  UniqueFd link_;
  const std::function<void()> on_gone_;
  std::string input_{};
  std::set<std::string> guarded_{};
  Alarm beat_;
};

}  // namespace breakwater::agent
