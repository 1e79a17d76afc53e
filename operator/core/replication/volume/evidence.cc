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

// An established socket of the connection; orphans of a crash do not count (F24.1).
bool IsOf(const DrbdConnection& connection, const Socket& socket) {
  return socket.state == "ESTAB" &&
         std::any_of(connection.paths.begin(), connection.paths.end(),
                     [&](const DrbdPath& path) { return Belongs(socket, path); });
}

// "1.3" -> 3; 0 for what is no version that we know how to compare.
int MinorOf(std::string_view version) {
  return version == "1.3" ? 3 : version == "1.2" ? 2 : 0;
}

bool IsStrong(const Socket& socket, const TlsMinimum& minimum) {
  return MinorOf(socket.tls_version) >= minimum.minor &&
         (minimum.ciphers.empty() || minimum.ciphers.contains(socket.tls_cipher));
}

std::string Found(const Socket& socket) {
  return "TLS " + (socket.tls_version.empty() ? "of unknown version" : socket.tls_version) +
         " with " + (socket.tls_cipher.empty() ? "an unknown cipher" : socket.tls_cipher);
}

std::string Wanted(const TlsMinimum& minimum) {
  std::string text = minimum.minor == 0 ? "TLS" : "TLS 1." + std::to_string(minimum.minor);
  text += minimum.minor == 2 ? " or newer" : "";
  for (const std::string& cipher : minimum.ciphers) {
    text += (cipher == *minimum.ciphers.begin() ? " with " : " or ") + cipher;
  }
  return text;
}

}  // namespace

std::string WeaknessOf(const DrbdConnection& connection,
                       const SocketTable& table,
                       const TlsMinimum& minimum) {
  for (const Socket& socket : table.sockets) {
    if (IsOf(connection, socket) && !IsStrong(socket, minimum)) {
      return Found(socket) + ", wanted is " + Wanted(minimum);
    }
  }
  return {};
}

SocketProof ProofOf(const DrbdConnection& connection,
                    const SocketTable& table,
                    const std::optional<TlsStat>& tls_stat) {
  int established = 0;
  int encrypted = 0;
  int visible = 0;
  for (const Socket& socket : table.sockets) {
    if (!IsOf(connection, socket)) {
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
    if (IsOf(connection, socket)) {
      names.insert(std::to_string(socket.local_port) + "-" + std::to_string(socket.remote_port));
    }
  }
  if (names.size() != 2) {  // DRBD has two; more are another transport's paths
    return {};
  }
  return *names.begin() + "," + *names.rbegin();
}

void ReadSession(const DrbdConnection& connection, const SocketTable& table, EndView* end) {
  bool all_dated = true;
  for (const Socket& socket : table.sockets) {
    if (IsOf(connection, socket)) {
      end->session_gib = std::max(end->session_gib, socket.gib);
      end->session_since = std::max(end->session_since, socket.since);
      all_dated = all_dated && socket.since > 0;
    }
  }
  end->session_since = all_dated ? end->session_since : 0;
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
  if (!any_plain && (a == SocketProof::kWeak || b == SocketProof::kWeak)) {
    return Evidence::kWeak;
  }
  const auto tls = [](SocketProof proof) {
    return proof == SocketProof::kEncrypted || proof == SocketProof::kWeak;
  };
  return any_plain && !tls(a) && !tls(b) ? Evidence::kPlaintext : Evidence::kUnknown;
}

std::string WhyNotEncrypted(const ConnectionView& connection) {
  if (EvidenceOf(connection) != Evidence::kWeak) {
    return "the sockets of connection " + connection.pair.ToString() +
           " do not prove that it is encrypted";
  }
  const bool a = connection.a.sockets == SocketProof::kWeak;
  const std::string& node = a ? connection.pair.a : connection.pair.b;
  return "node " + node + " has a socket to " + connection.pair.Other(node) +
         " below the minimum: " + connection.End(node).weakness;
}

}  // namespace breakwater::replication
