#pragma once

/// The members of everything that is said between operator and agent or written to the journal, by
/// their names in JSON. A name never changes its meaning (messages.h). Internal to this folder.
///
/// `T` is `Struct` or `const Struct`: the same function reads and writes.

#include <concepts>
#include <type_traits>

#include "operator/core/replication/protocol/codec.h"
#include "operator/core/replication/protocol/messages.h"

namespace breakwater::replication {

template <typename T, typename Struct>
concept Is = std::same_as<std::remove_const_t<T>, Struct>;

template <typename A, Is<DrbdPath> T>
void Fields(A& a, T& v) {
  a("local", v.local_address);
  a("localPort", v.local_port);
  a("remote", v.remote_address);
  a("remotePort", v.remote_port);
}

template <typename A, Is<PeerDevice> T>
void Fields(A& a, T& v) {
  a("volume", v.volume);
  a("replication", v.replication);
  a("peerDisk", v.peer_disk);
  a("outOfSyncKiB", v.out_of_sync_kib);
  a("peerClient", v.peer_client);
}

template <typename A, Is<DrbdConnection> T>
void Fields(A& a, T& v) {
  a.Name("peer", v.peer);
  a("peerNodeID", v.peer_node_id);
  a("state", v.state);
  a("peerRole", v.peer_role);
  a("tls", v.tls);
  a("paths", v.paths);
  a("devices", v.devices);
}

template <typename A, Is<DrbdDevice> T>
void Fields(A& a, T& v) {
  a("volume", v.volume);
  a("minor", v.minor);
  a("disk", v.disk);
  a("client", v.client);
  a("quorum", v.quorum);
}

template <typename A, Is<DrbdStatus> T>
void Fields(A& a, T& v) {
  a.Name("name", v.name);
  a("nodeID", v.node_id);
  a("role", v.role);
  a("suspendedUser", v.suspended_user);
  a("suspendedNoData", v.suspended_no_data);
  a("suspendedQuorum", v.suspended_quorum);
  a("devices", v.devices);
  a("connections", v.connections);
}

template <typename A, Is<ShownConnection> T>
void Fields(A& a, T& v) {
  a.Name("peer", v.peer);
  a("peerNodeID", v.peer_node_id);
  a("tls", v.tls);
  a("transport", v.transport);
  a("loadBalancePaths", v.load_balance_paths);
  a("paths", v.paths);
}

template <typename A, Is<DrbdShow> T>
void Fields(A& a, T& v) {
  a.Name("name", v.name);
  a("quorum", v.quorum);
  a("minimumRedundancy", v.minimum_redundancy);
  a("onNoQuorum", v.on_no_quorum);
  a("onNoData", v.on_no_data);
  a("connections", v.connections);
}

template <typename A, Is<Socket> T>
void Fields(A& a, T& v) {
  a("state", v.state);
  a("local", v.local_address);
  a("localPort", v.local_port);
  a("remote", v.remote_address);
  a("remotePort", v.remote_port);
  a("hasInfo", v.has_info);
  a("tls", v.tls);
  a("halfTLS", v.half_tls);
  a("tlsVersion", v.tls_version);
  a("tlsCipher", v.tls_cipher);
  a("gib", v.gib);
  a("since", v.since);
}

template <typename A, Is<SocketTable> T>
void Fields(A& a, T& v) {
  a("reliable", v.reliable);
  a("sockets", v.sockets);
}

template <typename A, Is<ResConfig> T>
void Fields(A& a, T& v) {
  a.NameMap("tls", v.tls);
}

template <typename A, Is<ResourceReport> T>
void Fields(A& a, T& v) {
  a.Must("status", v.status);
  a("show", v.show);
  a("sockets", v.sockets);
  a("res", v.res);
}

template <typename A, Is<TlsStat> T>
void Fields(A& a, T& v) {
  a("currentTx", v.current_tx);
  a("currentRx", v.current_rx);
}

template <typename A, Is<DrbdVersions> T>
void Fields(A& a, T& v) {
  a("module", v.module);
  a("utils", v.utils);
  a("loaded", v.loaded);
}

template <typename A, Is<AgentHello> T>
void Fields(A& a, T& v) {
  a("protocol", v.protocol);
  a("oldest", v.oldest);
  a("version", v.version);
  a.Name("node", v.node);
  a("boot", v.boot);
  a("epoch", v.epoch);
  a("maxLine", v.max_line);
}

template <typename A, Is<OperatorHello> T>
void Fields(A& a, T& v) {
  a("protocol", v.protocol);
  a("oldest", v.oldest);
  a("version", v.version);
  a("epoch", v.epoch);
}

template <typename A, Is<NodeFactsMessage> T>
void Fields(A& a, T& v) {
  a("versions", v.versions);
  a("tlsModule", v.tls_module);
  a("handshakeFamily", v.handshake_family);
  a("usermodeHelper", v.usermode_helper);
  a("tlsStat", v.tls_stat);
  a("socketsReliable", v.sockets_reliable);
  a("complete", v.complete);
  a("problem", v.problem);
  a("brokenRes", v.broken_res);
}

template <typename A, Is<ResourceMessage> T>
void Fields(A& a, T& v) {
  a.Name("name", v.name);
  a.Must("report", v.report);
}

template <typename A, Is<ProgressMessage> T>
void Fields(A& a, T& v) {
  a.Id("id", v.id);
  a.Enum("kind", v.kind, ParseTransactionKind);
  a.Name("resource", v.resource);
  a.Names("peers", v.peers);
  a("tls", v.tls);
  a("armed", v.armed);
  a("undoing", v.undoing);
  a("phase", v.phase);
  a("why", v.why);
}

template <typename A, Is<TransactionResult> T>
void Fields(A& a, T& v) {
  a.Enum("outcome", v.outcome, ParseTransactionOutcome);
  a("reason", v.reason);
  a("code", v.code);
  a("frozenMs", v.frozen);
  a("cutMs", v.cut);
  a("healed", v.healed);
}

template <typename A, Is<ResultMessage> T>
void Fields(A& a, T& v) {
  a.Id("id", v.id);
  a.Enum("kind", v.kind, ParseTransactionKind);
  a.Name("resource", v.resource);
  a.Names("peers", v.peers);
  a.Must("result", v.result);
}

template <typename A, Is<TransactionRequest> T>
void Fields(A& a, T& v) {
  a.Id("id", v.id);
  a("epoch", v.epoch);
  a.Enum("kind", v.kind, ParseTransactionKind);
  a.Name("resource", v.resource);
  a.Names("peers", v.peers);
  a("tls", v.tls);
  a("floorTLS", v.floor_tls);
  a("withinMs", v.within);
  a("allowSingleCopy", v.allow_single_copy);
  a("volume", v.volume);
  a("ofOthers", v.of_others);
  a("rekey", v.rekey);
}

template <typename A, Is<TransactionState::Peer> T>
void Fields(A& a, T& v) {
  a("peerID", v.peer_id);
  a("before", v.before);
  a("cut", v.cut);
  a("lastSet", v.last_set);
  a("stale", v.stale);
  a("target", v.target);
  a("notBefore", v.not_before);
  a("tries", v.tries);
  a("ours", v.ours);
}

template <typename A, Is<TransactionState> T>
void Fields(A& a, T& v) {
  a.Must("request", v.request);
  a.Enum("phase", v.phase, ParseTransactionPhase);
  a("undoing", v.undoing);
  a("cancelled", v.cancelled);
  a("restarted", v.restarted);
  a.Must("started", v.started);
  a.Must("until", v.until);
  a.NameMap("peers", v.peers);
  a("minors", v.minors);
  a("suspendedAt", v.suspended_at);
  a("suspendPending", v.suspend_pending);
  a("noData", v.no_data);
  a("nextAlternation", v.next_alternation);
  a("settleUntil", v.settle_until);
  a("cuts", v.cuts);
  a("attempts", v.attempts);
  a("notBefore", v.not_before);
  a("byShow", v.by_show);
  a("proving", v.proving);
  a("failure", v.failure);
  a("failureCode", v.failure_code);
  a.Must("result", v.result);
}

}  // namespace breakwater::replication
