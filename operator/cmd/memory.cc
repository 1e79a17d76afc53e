#include "operator/cmd/memory.h"

#include <malloc.h>

#include <chrono>
#include <memory>

#include "operator/base/context.h"
#include "operator/base/thread.h"

namespace breakwater::cmd {

void KeepMemorySmall() {
  constexpr int kLargeBytes = 128 * 1024;
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_THRESHOLD, kLargeBytes);
  mallopt(M_TRIM_THRESHOLD, kLargeBytes);
}

runtime::Runnable MemoryTrimmer(const Clock& clock) {
  const auto thread = std::make_shared<Thread>();
  return {.name = "memory",
          .start =
              [thread, &clock](const Context&) {
                *thread = Thread("memory", [&clock](const std::stop_token& stop) {
                  do {
                    malloc_trim(0);
                  } while (Context(stop, clock).SleepFor(std::chrono::seconds(15)));
                });
                return Result<void, Error>();
              },
          .stop =
              [thread] {
                thread->RequestStop();
                thread->Join();
              }};
}

}  // namespace breakwater::cmd
