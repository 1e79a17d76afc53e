#pragma once

/// Evidence: what proves that a connection is encrypted. The configured flag is a wish (F1.4),
/// `adjust`'s exit code says nothing (F6.0); only the sockets are proof (F8, F24). Pure functions.

#include <optional>
#include <string>

#include "operator/core/replication/volume/observation.h"

namespace breakwater::replication {

/// What the sockets of one node say about one of its connections. A socket belongs to it when the
/// addresses match and the resource's port is its local or remote port (F24.1).
SocketProof ProofOf(const DrbdConnection& connection,
                    const SocketTable& table,
                    const std::optional<TlsStat>& tls_stat);

/// Names the sockets of a connection by their ports; another text means that it was reconnected in
/// between. "" when its sockets are not visible or may change while it is up.
std::string SessionOf(const DrbdConnection& connection, const SocketTable& table);

/// Encrypted: proof on both ends. Plaintext: proof on one end and none of encryption on the other.
Evidence EvidenceOf(const ConnectionView& connection);

}  // namespace breakwater::replication
