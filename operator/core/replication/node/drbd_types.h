#pragma once

/// What DRBD's tools report on one node, as typed values. States stay strings: DRBD adds states,
/// and an unknown one must be shown and treated as "not good", not be lost.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace breakwater::replication {

/// One address pair of a connection.
struct DrbdPath {
  std::string local_address{};
  int local_port = 0;
  std::string remote_address{};
  int remote_port = 0;

  bool operator==(const DrbdPath&) const = default;
};

/// One volume as seen through one connection.
struct PeerDevice {
  int volume = 0;
  std::string replication{};  ///< "Established", "SyncSource", "WFBitMapT", "Off", ...
  std::string peer_disk{};    ///< "UpToDate", "Outdated", "Diskless", "DUnknown", ...
  std::uint64_t out_of_sync_kib = 0;
  bool peer_client = false;  ///< the peer is diskless on purpose

  bool operator==(const PeerDevice&) const = default;
};

/// One end of a connection, from `drbdsetup status --json`.
struct DrbdConnection {
  int peer_node_id = -1;
  std::string peer{};   ///< DRBD's connection name = LINSTOR node name of the peer
  std::string state{};  ///< "Connected", "Connecting", "StandAlone", ...
  std::string peer_role{};
  std::optional<bool> tls{};  ///< the *configured* value (F1.4); absent before drbd-utils 9.28
  std::vector<DrbdPath> paths{};
  std::vector<PeerDevice> devices{};

  bool operator==(const DrbdConnection&) const = default;
};

/// One volume on its own node.
struct DrbdDevice {
  int volume = 0;
  int minor = -1;
  std::string disk{};   ///< "UpToDate", "Diskless", "Inconsistent", ...
  bool client = false;  ///< diskless on purpose
  bool quorum = false;

  bool operator==(const DrbdDevice&) const = default;
};

/// A resource as one node sees it.
struct DrbdStatus {
  std::string name{};
  int node_id = -1;
  std::string role{};
  bool suspended_user = false;
  bool suspended_no_data =
      false;  ///< the kernel's own, ends by itself; resume-io would give EIO (F28)
  bool suspended_quorum = false;
  std::vector<DrbdDevice> devices{};
  std::vector<DrbdConnection> connections{};

  bool operator==(const DrbdStatus&) const = default;
};

/// Configuration of one connection, from `drbdsetup show --json`.
struct ShownConnection {
  int peer_node_id = -1;
  std::string peer{};
  std::optional<bool> tls{};  ///< absent: tools that know no tls
  std::string transport{};    ///< "" = tcp
  bool load_balance_paths = false;
  std::vector<DrbdPath> paths{};

  /// A transport that ignores TLS silently (F8.5), or "".
  std::string BadTransport() const {
    const std::string name = load_balance_paths ? "lb-tcp" : transport;
    return name == "tcp" ? "" : name;
  }

  bool operator==(const ShownConnection&) const = default;
};

/// Configuration of a resource in the kernel, as `show --show-defaults` has it.
struct DrbdShow {
  std::string name{};
  // "" = not shown, which nobody may take for harmless: defaults differ between versions.
  std::string quorum{};              ///< "majority", "all", "off" or a number
  std::string minimum_redundancy{};  ///< quorum-minimum-redundancy: the same values
  std::string on_no_quorum{};
  std::string on_no_data{};  ///< on-no-data-accessible
  std::vector<ShownConnection> connections{};

  bool operator==(const DrbdShow&) const = default;
};

/// One TCP connection of `ss -tni`.
struct Socket {
  std::string state{};
  std::string local_address{};
  int local_port = 0;
  std::string remote_address{};
  int remote_port = 0;
  bool has_info = false;  ///< an info line of the kernel's diag interface was there
  bool tls = false;       ///< TLS upper layer protocol with keys for both directions
  /// The upper layer protocol without a key for one direction: what goes that way is not encrypted,
  /// or not yet.
  bool half_tls = false;
  // Of a socket with the upper layer protocol, as `ss` names them ("1.3", "aes-gcm-256"); "" = not
  // said.
  std::string tls_version{};
  std::string tls_cipher{};
  /// GiB that went one way, the larger of the two, rounded down so that a report is not another one
  /// with every block.
  std::int64_t gib = 0;
  /// When this node's agent saw it first, by the node's clock, in seconds since 1970; 0 = nobody
  /// says.
  std::int64_t since = 0;

  bool operator==(const Socket&) const = default;
};

struct SocketTable {
  /// False when no info line was seen: `ss` may have read procfs, where no upper layer protocol is
  /// visible, so that a missing one proves nothing (F24.2).
  bool reliable = false;
  std::vector<Socket> sockets{};

  bool operator==(const SocketTable&) const = default;
};

/// /proc/net/tls_stat: sockets with TLS of DRBD's network namespace.
struct TlsStat {
  std::int64_t current_tx = 0;  ///< software and device together
  std::int64_t current_rx = 0;

  bool operator==(const TlsStat&) const = default;
};

/// Versions of the DRBD kernel module and of drbd-utils; "" when unknown.
struct DrbdVersions {
  std::string module{};
  std::string utils{};
  bool loaded = false;  ///< /proc/drbd is there

  bool operator==(const DrbdVersions&) const = default;
};

/// What LINSTOR's .res file of a resource says on this node: what the next adjust will do.
struct ResConfig {
  std::map<std::string, bool> tls{};  ///< by peer; a peer that is not in the file is not here

  bool operator==(const ResConfig&) const = default;
};

/// One resource as one node sees it.
struct ResourceReport {
  DrbdStatus status{};
  std::optional<DrbdShow> show{};
  SocketTable sockets{};           ///< those of this resource's connections
  std::optional<ResConfig> res{};  ///< nothing: no agent, or the file cannot be read

  bool operator==(const ResourceReport&) const = default;
};

/// Everything that is known of one node at one time.
struct NodeReport {
  std::string node{};
  bool ended = false;     ///< the script came to its end and nothing was cut off
  bool complete = false;  ///< also, DRBD's tools answered
  std::map<std::string, std::shared_ptr<const ResourceReport>> resources{};
  bool sockets_reliable = false;  ///< see SocketTable
  bool any_socket = false;        ///< there are established sockets of DRBD connections
  std::optional<TlsStat> tls_stat{};
  DrbdVersions versions{};
  bool tls_module = false;  ///< the kernel's tls upper layer protocol is there
  std::optional<bool>
      handshake_family{};  ///< the kernel's netlink family; nothing: not known (F10)
  std::optional<std::string> usermode_helper{};  ///< of the drbd module (F33); nothing: not known
  std::string broken_res{};  ///< a .res file that drbdadm cannot read, "" = none known (F33)
};

}  // namespace breakwater::replication
