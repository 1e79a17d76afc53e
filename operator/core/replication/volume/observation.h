#pragma once

/// ResourceObservation: all that is known of one DRBD resource at one time, put together from the
/// reports of its nodes. A node that could not be asked is there with `known == false`: silence is
/// never health. Values; immutable once built; safe to share between threads.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "operator/core/replication/node/drbd_types.h"
#include "operator/core/replication/plan/properties.h"

namespace breakwater::replication {

/// Two nodes in alphabetical order.
struct Pair {
  std::string a{};
  std::string b{};

  static Pair Of(std::string x, std::string y) {
    return x < y ? Pair{std::move(x), std::move(y)} : Pair{std::move(y), std::move(x)};
  }

  bool Has(std::string_view node) const { return a == node || b == node; }

  const std::string& Other(std::string_view node) const { return a == node ? b : a; }

  /// "nodeA/nodeB": as the journal shows it.
  std::string ToString() const { return a + "/" + b; }

  static std::optional<Pair> Parse(std::string_view text);

  auto operator<=>(const Pair&) const = default;
};

/// What the sockets of one end prove.
enum class SocketProof {
  kUnknown,    ///< no sockets, contradictory ones, or an `ss` that cannot see TLS
  kPlaintext,  ///< established sockets, none with TLS
  kWeak,       ///< two established sockets, both with TLS, not both as good as TlsMinimum asks for
  kEncrypted,  ///< two established sockets, both with TLS
};

/// A connection is encrypted only with proof on both ends (invariant I6).
enum class Evidence { kUnknown, kPlaintext, kWeak, kEncrypted };

/// What TLS must be to count as encryption (spec.replicationTLS.minimumVersion and .ciphers).
struct TlsMinimum {
  int minor = 3;                    ///< TLS 1.<minor> or newer; F8.2 has seen nothing but 1.3
  std::set<std::string> ciphers{};  ///< as `ss` names them ("aes-gcm-256"); empty: any

  bool operator==(const TlsMinimum&) const = default;
};

/// One end of a connection, as its own node sees it.
struct EndView {
  bool known = false;
  int peer_node_id = -1;
  std::string state{};
  std::optional<bool> tls{};  ///< configured in the kernel
  std::string peer_role{};
  std::string bad_transport{};  ///< one that ignores TLS, or ""
  std::vector<PeerDevice> devices{};
  SocketProof sockets = SocketProof::kUnknown;
  /// With SocketProof::kWeak: what a socket has, "TLS 1.2 with aes-gcm-128, wanted is TLS 1.3".
  std::string weakness{};
  std::string session{};           ///< see SessionOf
  std::int64_t session_gib = 0;    ///< that went one way over one of its sockets, see Socket::gib
  std::int64_t session_since = 0;  ///< see Socket::since; of the younger socket, 0 = not known
  /// What LINSTOR's .res file on this node sets for this connection; nothing: not known.
  std::optional<bool> res_tls{};

  bool connected() const { return known && state == "Connected"; }

  bool stand_alone() const { return known && state == "StandAlone"; }
};

struct ConnectionView {
  Pair pair{};
  EndView a{};  ///< seen by pair.a
  EndView b{};

  const EndView& End(std::string_view node) const { return node == pair.a ? a : b; }

  bool BothKnown() const { return a.known && b.known; }

  bool BothConnected() const { return a.connected() && b.connected(); }

  bool BothConfigured(bool tls) const { return a.tls == tls && b.tls == tls && BothKnown(); }
};

struct NodeView {
  std::string name{};
  bool known = false;
  bool answers = false;  ///< but when not known, the resource is not up there
  int node_id = -1;
  bool primary = false;
  bool suspended_user = false;
  bool suspended_no_data = false;
  bool suspended_quorum = false;
  // "" when not known: never taken for harmless.
  std::string quorum{};
  std::string minimum_redundancy{};
  std::string on_no_quorum{};
  std::string on_no_data{};
  std::vector<DrbdDevice> devices{};

  /// Every volume is diskless on purpose. A disk that failed is no client: its node counts as a
  /// replica that is missing.
  bool Diskless() const;
  bool AllUpToDate() const;
  bool HasQuorum() const;
};

struct ResourceObservation {
  std::string resource{};
  std::map<std::string, NodeView> nodes{};
  std::map<Pair, ConnectionView> connections{};
  ResourceLevels
      levels{};  ///< LINSTOR's properties; `known == false` when LINSTOR was not reachable

  std::vector<std::string> Primaries() const;
  bool AllKnown() const;
  bool SuspendedUser() const;
  const NodeView* Node(std::string_view name) const;
  const ConnectionView* Connection(const Pair& pair) const;
  /// Connections of one node.
  std::vector<const ConnectionView*> ConnectionsOf(std::string_view node) const;
};

/// What one node says about one resource.
struct NodeSlice {
  bool complete = false;  ///< DRBD's tools answered; false: the node is unknown
  std::shared_ptr<const ResourceReport> report{};  ///< null: the resource is not up there
  std::optional<TlsStat> tls_stat{};
};

NodeSlice SliceOf(const NodeReport& report, const std::string& resource);

/// Puts together one resource. `members` are the nodes that should have it (LINSTOR's list; may be
/// empty when LINSTOR is unreachable: then the nodes that report it and the peers that they name).
/// A report that is missing or not complete makes its node unknown. `minimum`: weaker TLS does not
/// count as encryption.
ResourceObservation BuildObservation(const std::string& resource,
                                     const std::set<std::string>& members,
                                     const std::map<std::string, NodeSlice>& nodes,
                                     const ResourceLevels& levels,
                                     const TlsMinimum& minimum = {});

}  // namespace breakwater::replication
