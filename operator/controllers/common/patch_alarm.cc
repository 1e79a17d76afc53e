#include "operator/controllers/common/patch_alarm.h"

#include "operator/controllers/common/status_tools.h"

namespace breakwater::controllers {

void PatchAlarm::Announce(const api::Object& object, const std::vector<std::string>& lines) {
  if (lines.empty() || !events_) {
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    std::int64_t& last = announced_[object.uid()];
    if (last == object.generation()) {
      return;
    }
    last = object.generation();
  }
  constexpr std::size_t kLimit = 700;  // of 1 kB
  events_({.regarding = kube::RefOf(object),
           .action = "Render",
           .reason = "DangerousPatch",
           .note = "Patches that can take over a node or its data: " + JoinBounded(lines, kLimit) +
                   ". Whoever may edit this object owns the nodes that it is for",
           .warning = true});
}

}  // namespace breakwater::controllers
