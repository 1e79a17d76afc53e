#include "operator/runtime/signals.h"

#include <cstdlib>

#include <pthread.h>
#include <signal.h>

namespace breakwater::runtime {
namespace {

/// Shell convention for "ended by SIGINT": 128 + 2.
constexpr int kInterrupted = 130;

sigset_t StopSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

}  // namespace

void BlockSignals() {
  sigset_t set = StopSignals();
  sigaddset(&set,
            SIGPIPE);  // a peer that went away is an error of the write, not the end of the process
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

SignalWaiter::SignalWaiter() : thread_([this] { Run(); }) {}

SignalWaiter::~SignalWaiter() {
  done_ = true;
  // NOLINTNEXTLINE(bugprone-bad-signal-to-kill-thread): SIGTERM is what that thread waits for
  pthread_kill(thread_.native_handle(), SIGTERM);  // to that thread only: ends its sigwait
  thread_.join();
}

void SignalWaiter::Run() {
  const sigset_t set = StopSignals();
  while (true) {
    int signal = 0;
    if (sigwait(&set, &signal) != 0) {
      continue;
    }
    if (done_) {
      return;
    }
    if (!source_.request_stop()) {
      std::_Exit(kInterrupted);
    }
  }
}

}  // namespace breakwater::runtime
