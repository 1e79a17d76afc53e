#pragma once

/// WriteFence: refuses what changes the world once this process may no longer do so.
///
/// A leader that was frozen (SIGSTOP, a starved machine) wakes up in the middle of anything, while
/// another replica already works. Its threads may run before the one that notices that the lease is
/// old. So every request that is not a read looks at the time itself, just before it is sent; the
/// rest of the window is the time that a request is on its way, which the difference between renew
/// deadline and lease duration covers. What still waits for a connection when the lease ends is
/// cancelled. Each write has a connection of its own: on a kept one the HTTP library might send it
/// again later, behind the fence. That costs a handshake for each write, and there are none while
/// nothing changes. Not covered: a virtual machine whose own clock stood still while it was paused;
/// it learns of the new leader with its next renewal.

#include <atomic>
#include <memory>
#include <stop_token>

#include "operator/base/clock.h"
#include "operator/net/http.h"
#include "operator/net/websocket.h"

namespace breakwater::net {

/// Thread safety: all methods may be called from any thread.
class WriteFence {
 public:
  /// Open, without an end: for a process that is not one of several. `clock` must outlive it.
  explicit WriteFence(const Clock& clock) : clock_(clock) {}

  /// Open until `deadline` on the steady clock.
  void OpenUntil(SteadyTime deadline) { deadline_.store(deadline); }

  void Close() { deadline_.store(SteadyTime::min()); }

  /// Closes for ever and cancels what is on its way.
  void End() {
    Close();
    ended_.request_stop();
  }

  bool IsOpen() const { return clock_.SteadyNow() < deadline_.load(); }

  SteadyTime deadline() const { return deadline_.load(); }

  std::stop_token ended() const { return ended_.get_token(); }

 private:
  const Clock& clock_;
  std::atomic<SteadyTime> deadline_{SteadyTime::max()};
  std::stop_source ended_;
};

/// Passes GET and HEAD through; every other request only while the fence is open, else kCanceled
/// with not_sent. A write has a fresh connection and is cancelled when the fence ends. Thread
/// safety: as `inner`. `fence` must outlive it.
std::unique_ptr<HttpTransport> FenceWrites(std::shared_ptr<HttpTransport> inner,
                                           const WriteFence& fence);

/// The same for websockets: each of them runs a program somewhere, so none is a read. The upgrade
/// must have happened before the fence closes; what runs then is not cancelled, but nothing more is
/// written to it.
std::unique_ptr<WebSocketConnector> FenceWrites(std::unique_ptr<WebSocketConnector> inner,
                                                const WriteFence& fence);

}  // namespace breakwater::net
