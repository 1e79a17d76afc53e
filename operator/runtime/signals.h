#pragma once

/// Signals as a stop token: a thread waits for them with sigwait, so that no code runs in a
/// handler.
///
///   int main() {
///     BlockSignals();                       // before any thread starts
///     const SignalWaiter signals;
///     return manager.Run(signals.stop()) ? 0 : 1;
///   }

#include <atomic>
#include <stop_token>
#include <thread>

namespace breakwater::runtime {

/// Blocks SIGINT, SIGTERM and SIGPIPE in this thread and all that it starts.
void BlockSignals();

/// Requests a stop at the first SIGINT or SIGTERM; the second one ends the process at once (exit
/// code 130), for a person who does not want to wait for the grace. Needs BlockSignals() before any
/// thread was started. One per process.
class SignalWaiter {
 public:
  SignalWaiter();
  ~SignalWaiter();
  SignalWaiter(const SignalWaiter&) = delete;
  SignalWaiter& operator=(const SignalWaiter&) = delete;

  std::stop_token stop() const { return source_.get_token(); }

 private:
  void Run();

  std::stop_source source_;
  std::atomic<bool> done_{false};
  std::thread thread_;
};

}  // namespace breakwater::runtime
