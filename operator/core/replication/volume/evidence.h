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

/// Of sockets that prove TLS: what one of them has that `minimum` does not take, for people; ""
/// when all are good enough. A version or cipher that is not said is not good enough, unless
/// anything is (minor 0, no ciphers).
std::string WeaknessOf(const DrbdConnection& connection,
                       const SocketTable& table,
                       const TlsMinimum& minimum);

/// Names the sockets of a connection by their ports; another text means that it was reconnected in
/// between. "" when its sockets are not visible or may change while it is up.
std::string SessionOf(const DrbdConnection& connection, const SocketTable& table);

/// Fills in age and traffic of the session.
void ReadSession(const DrbdConnection& connection, const SocketTable& table, EndView* end);

/// Encrypted: proof on both ends. Plaintext: proof on one end and none of encryption on the other.
/// Weak: TLS below the minimum on one end, and no plaintext on the other.
Evidence EvidenceOf(const ConnectionView& connection);

/// Why a connection does not count as encrypted, for people: below the minimum with node, peer and
/// what was found, or that there is no proof.
std::string WhyNotEncrypted(const ConnectionView& connection);

}  // namespace breakwater::replication
