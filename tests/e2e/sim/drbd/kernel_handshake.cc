// Handshake attempts of a connection that both ends want: plain, TLS, mismatched, failing.
#include <algorithm>

#include "tests/e2e/sim/drbd/kernel.h"
#include "tests/e2e/sim/drbd/tls_check.h"

namespace breakwater::sim {
namespace {

// errno values as the kernel logs them (F6).
constexpr int kIoError = -5;
constexpr int kNoSuchProcess = -3;
constexpr int kNoEntry = -2;
constexpr int kAccess = -13;
constexpr int kTimedOut = -110;

}  // namespace

void Kernel::CancelAttempt(const End& end) {
  const std::uint64_t id = end.connection->attempt;
  if (id == 0) {
    return;
  }
  end.connection->attempt = 0;
  const End peer = Opposite(end);
  if (peer.connection != nullptr && peer.connection->attempt == id) {
    peer.connection->attempt = 0;
  }
}

void Kernel::TryAttempt(const End& end) {
  if (end.connection->state != ConnState::kConnecting || end.connection->attempt != 0) {
    return;
  }
  const End peer = Opposite(end);
  if (peer.connection == nullptr || peer.connection->state != ConnState::kConnecting ||
      peer.connection->attempt != 0 || !world_.LinkUp(end.node->name, peer.node->name)) {
    return;
  }
  StartAttempt(end, peer);
}

void Kernel::StartAttempt(const End& a, const End& b) {
  const std::uint64_t id = next_attempt_++;
  const bool tls_a = UsesTls(a);
  const bool tls_b = UsesTls(b);
  Time duration = world_.config.handshake_plain;
  Time accepts{0};
  if (tls_a != tls_b) {
    const bool tls_is_primary = (tls_a ? a : b).resource->role == Role::kPrimary;
    duration = tls_is_primary ? world_.config.mismatch_tls_primary : world_.config.mismatch_other;
    accepts = duration / 3;  // the ends wait for each other before they start to talk
  } else if (tls_a) {
    const bool hung = (a.node->tlshd.running && a.node->tlshd.hung) ||
                      (b.node->tlshd.running && b.node->tlshd.hung);
    duration = hung ? world_.config.handshake_hung : world_.config.handshake_tls;
  }
  for (const End& end : {a, b}) {
    end.connection->attempt = id;
    end.connection->refuse_from = world_.events.now() + accepts;
  }
  world_.events.After(duration,
                      [this, ka = KeyOf(a), kb = KeyOf(b), id] { FinishAttempt(ka, kb, id); });
}

void Kernel::FinishAttempt(const Key& a, const Key& b, std::uint64_t id) {
  const End end_a = EndOf(a);
  const End end_b = EndOf(b);
  if (end_a.connection == nullptr || end_b.connection == nullptr ||
      end_a.connection->attempt != id || end_b.connection->attempt != id) {
    return;
  }
  end_a.connection->attempt = 0;
  end_b.connection->attempt = 0;
  if (!world_.LinkUp(a.node, b.node)) {
    return;
  }
  if (UsesTls(end_a) != UsesTls(end_b)) {
    FinishMismatch(end_a, end_b);
  } else if (UsesTls(end_a)) {
    FinishTls(end_a, end_b);
  } else {
    Establish(end_a, end_b);
  }
}

void Kernel::FinishMismatch(const End& a, const End& b) {
  const End& tls = UsesTls(a) ? a : b;
  const End& plain = UsesTls(a) ? b : a;
  world_.Log(*plain.node, "drbd " + plain.resource->name + " " + plain.connection->peer +
                              ": Wrong magic value 0x16030101 in protocol version 80");
  FailRetry(plain, "timeout while waiting for feature packet");
  const HandshakeResult own = CheckTls(tls, plain);
  if (own.no_daemon) {
    FailFatal(tls, kNoSuchProcess);
    return;
  }
  FailRetry(tls, "Error from tls handshake: -110");
}

Kernel::HandshakeResult Kernel::CheckTls(const End& self, const End& peer) const {
  const Node& node = *self.node;
  if (!node.kernel_tls) {
    return {Verdict::kFatal, kNoEntry, true};
  }
  if (!node.tlshd.running) {
    return {Verdict::kFatal, kNoSuchProcess, true};
  }
  if (node.tlshd.hung) {
    return {Verdict::kRetry, kTimedOut, false};
  }
  if (!node.tlshd.files_given) {
    return {};
  }
  if (CheckOwnFiles(node.tlshd.files) != TlsFault::kNone) {
    return {Verdict::kFatal, kIoError, false};
  }
  const Node& other = *peer.node;
  if (!other.tlshd.files_given || !other.tlshd.running || other.tlshd.hung ||
      CheckOwnFiles(other.tlshd.files) != TlsFault::kNone) {
    return {};  // nothing arrives that could be judged
  }
  const bool bad =
      CheckServer(node.tlshd.files, other.tlshd.files, self.connection->peer, node.clock_ahead_s) !=
          TlsFault::kNone ||
      CheckClient(node.tlshd.files, other.tlshd.files, node.clock_ahead_s) != TlsFault::kNone;
  return bad ? HandshakeResult{Verdict::kFatal, kAccess, false} : HandshakeResult{};
}

// Can this end's daemon take part in a handshake at all?
bool Kernel::TlshdAble(const End& end) {
  const Tlshd& daemon = end.node->tlshd;
  return end.node->kernel_tls && daemon.running && !daemon.hung &&
         (!daemon.files_given || CheckOwnFiles(daemon.files) == TlsFault::kNone);
}

// The client judges the server's certificate and is done; the server judges the client's only after
// that, so it fails with it, but not the other way round.
bool Kernel::ClientSucceeds(const End& client, const End& server) {
  if (!TlshdAble(client) || !TlshdAble(server)) {
    return false;
  }
  const Tlshd& own = client.node->tlshd;
  const Tlshd& other = server.node->tlshd;
  return !own.files_given || !other.files_given ||
         CheckServer(own.files, other.files, client.connection->peer, client.node->clock_ahead_s) ==
             TlsFault::kNone;
}

bool Kernel::ServerSucceeds(const End& client, const End& server) {
  const Tlshd& own = server.node->tlshd;
  const Tlshd& other = client.node->tlshd;
  return ClientSucceeds(client, server) &&
         (!own.files_given || !other.files_given ||
          CheckClient(own.files, other.files, server.node->clock_ahead_s) == TlsFault::kNone);
}

// Of the two sockets each end is the client of one and the server of the other.
void Kernel::TlshdSays(const End& end, const End& peer) {
  Tlshd& daemon = end.node->tlshd;
  if (!daemon.running || daemon.hung) {
    return;
  }
  const std::string& name = end.connection->peer;
  const std::string address = " (" + end.connection->remote.ip + ") ";
  for (const bool ok : {ClientSucceeds(end, peer), ServerSucceeds(peer, end)}) {
    daemon.log += ok ? "Handshake with " + name + address + "was successful\n"
                     : "Handshake with '" + name + "'" + address + "failed\n";
  }
}

void Kernel::FinishTls(const End& a, const End& b) {
  const HandshakeResult ra = CheckTls(a, b);
  const HandshakeResult rb = CheckTls(b, a);
  const bool ok = ra.verdict == Verdict::kOk && rb.verdict == Verdict::kOk;
  TlshdSays(a, b);
  TlshdSays(b, a);
  if (ok) {
    Establish(a, b);
    return;
  }
  const bool both_fatal = ra.verdict == Verdict::kFatal && rb.verdict == Verdict::kFatal;
  // When both are at fault, the slower one may only see that the other hung up (F2.6).
  const bool a_first = world_.rng.Chance(0.5);
  const bool one_only = both_fatal && world_.rng.Chance(0.5);
  const auto settle = [&](const End& end, const HandshakeResult& own, bool first) {
    if (own.verdict == Verdict::kFatal && (!one_only || first)) {
      world_.Log(*end.node, "drbd " + end.resource->name + " tcp:" + end.connection->peer +
                                ": Error from " + (own.no_daemon ? "control socket " : "") +
                                "tls handshake: " + std::to_string(own.error));
      FailFatal(end, own.error);
    } else {
      FailRetry(end, "Error from tls handshake: -110");
    }
  };
  settle(a, ra, a_first);
  settle(b, rb, !a_first);
}

// Errors that the kernel retries (F6.1).
void Kernel::FailRetry(const End& end, std::string_view message) {
  world_.Log(*end.node, "drbd " + end.resource->name + " tcp:" + end.connection->peer + ": " +
                            std::string(message));
  SetState(end, ConnState::kNetworkFailure, "disconnected");
  AfterSame(end, world_.config.teardown, [this](const End& e) {
    LogConn(e, "Connection closed");
    SetState(e, ConnState::kUnconnected, "disconnected");
    AfterSame(e, world_.config.retry, [this](const End& again) { ToConnecting(again); });
  });
}

// Errors that end in StandAlone for good.
void Kernel::FailFatal(const End& end, int error) {
  LogConn(end, "Failed to initiate connection, err=" + std::to_string(error));
  SetState(end, ConnState::kDisconnecting, "");
  AfterSame(end, Millis(15), [this](const End& e) {
    LogConn(e, "Connection closed");
    SetState(e, ConnState::kStandAlone, "disconnected");
    LogConn(e, "Terminating receiver thread");
  });
}

}  // namespace breakwater::sim
