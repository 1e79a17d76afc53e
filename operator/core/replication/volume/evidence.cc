#include "operator/core/replication/volume/evidence.h"

#include <algorithm>
#include <set>
#include <string>

namespace breakwater::replication {
namespace {

// "[fd00::1%eth0]" and "fd00::1" are the same address; "::ffff:10.0.0.1" is IPv4.
std::string_view Plain(std::string_view address) {
  if (address.starts_with('[')) {
    address.remove_prefix(1);
  }
  if (address.ends_with(']')) {
    address.remove_suffix(1);
  }
  address = address.substr(0, address.find('%'));
  if (address.starts_with("::ffff:") && address.find('.') != std::string_view::npos) {
    address.remove_prefix(7);
  }
  return address;
}

bool Belongs(const Socket& socket, const DrbdPath& path) {
  return Plain(socket.local_address) == Plain(path.local_address) &&
         Plain(socket.remote_address) == Plain(path.remote_address) &&
         (socket.local_port == path.local_port || socket.remote_port == path.remote_port);
}

}  // namespace

SocketProof ProofOf(const DrbdConnection& connection,
                    const SocketTable& table,
                    const std::optional<TlsStat>& tls_stat) {
  int established = 0;
  int encrypted = 0;
  int visible = 0;
  for (const Socket& socket : table.sockets) {
    const bool ours = std::any_of(connection.paths.begin(), connection.paths.end(),
                                  [&](const DrbdPath& path) { return Belongs(socket, path); });
    if (!ours || socket.state != "ESTAB") {
      continue;
    }
    ++established;
    visible += socket.has_info && !socket.half_tls ? 1 : 0;
    encrypted += socket.tls ? 1 : 0;
  }
  if (established >= 2 && encrypted == established) {
    // The kernel's counters are per network namespace: with less than one connection's two sockets,
    // the tools contradict each other.
    const bool denied = tls_stat && (tls_stat->current_tx < 2 || tls_stat->current_rx < 2);
    return denied ? SocketProof::kUnknown : SocketProof::kEncrypted;
  }
  if (established >= 1 && encrypted == 0 && table.reliable && visible == established) {
    return SocketProof::kPlaintext;
  }
  return SocketProof::kUnknown;
}

std::string SessionOf(const DrbdConnection& connection, const SocketTable& table) {
  std::set<std::string> names;
  for (const Socket& socket : table.sockets) {
    const bool ours = std::any_of(connection.paths.begin(), connection.paths.end(),
                                  [&](const DrbdPath& path) { return Belongs(socket, path); });
    if (ours && socket.state == "ESTAB") {
      names.insert(std::to_string(socket.local_port) + "-" + std::to_string(socket.remote_port));
    }
  }
  if (names.size() != 2) {  // DRBD has two; more are another transport's paths
    return {};
  }
  return *names.begin() + "," + *names.rbegin();
}

Evidence EvidenceOf(const ConnectionView& connection) {
  const SocketProof a = connection.a.sockets;
  const SocketProof b = connection.b.sockets;
  if (!connection.BothConnected()) {
    return Evidence::kUnknown;
  }
  if (a == SocketProof::kEncrypted && b == SocketProof::kEncrypted) {
    return Evidence::kEncrypted;
  }
  const bool any_plain = a == SocketProof::kPlaintext || b == SocketProof::kPlaintext;
  const bool any_encrypted = a == SocketProof::kEncrypted || b == SocketProof::kEncrypted;
  return any_plain && !any_encrypted ? Evidence::kPlaintext : Evidence::kUnknown;
}

}  // namespace breakwater::replication
