#pragma once

/// spec.replicationTLS and status.replicationTLS of a LinstorCluster: this project's extension of
/// the API of the Piraeus Operator. All of it is optional, the defaults are those of an object
/// without it.

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/api/field_reader.h"
#include "operator/api/tls_config.h"

namespace breakwater::api {

/// Whose certificate tlshd presents to the other nodes.
enum class CertificateMode {
  kInternalTls,  ///< that of the satellite's internalTLS, as the Piraeus Operator has it
  kManaged,      ///< of a certificate authority of the operator, for replication only
  kCertManager,  ///< of an issuer of cert-manager
  kGivenSecret,  ///< of Secrets that somebody else keeps
};

/// spec.replicationTLS.certificates
struct CertificateSettings {
  CertificateMode mode = CertificateMode::kInternalTls;
  /// Life of a certificate that is issued for a node (Managed, CertManager); 1 h to 1 year.
  std::chrono::nanoseconds duration = std::chrono::hours{720};
  std::optional<IssuerReference> issuer{};  ///< set in mode CertManager
  /// In mode Secret: the Secret of a node, "{node}" stands for the node's name.
  std::string secret_name{};

  bool operator==(const CertificateSettings&) const = default;
};

enum class MigrationPolicy { kAutomatic, kManual, kPaused };
enum class MigrationStrategy { kAuto, kPairByPair, kSuspendIo };

struct MigrationSettings {
  MigrationPolicy policy = MigrationPolicy::kAutomatic;
  MigrationStrategy strategy = MigrationStrategy::kAuto;
  int max_parallel_resources = 4;
  int max_parallel_per_node = 2;
  /// Of a SuspendIO switch; 3 s to 5 min. A switch takes up to 2.4 s of DRBD's own time (F31), and
  /// must still be undone in the same freeze when it does not succeed.
  std::chrono::nanoseconds suspend_timeout = std::chrono::seconds{10};
  /// Heal connections whose peer disk is stale although they look established.
  bool heal_stale = true;
  /// PairByPair may cut a connection although the Primary is then alone with its copy: the user
  /// accepts that for the second that a switch takes.
  bool allow_single_copy = false;
  /// How long a suspension that is not ours may last until it is ended; at least 10 s. Nullopt:
  /// reported, never ended, since a snapshot or a person may need it.
  std::optional<std::chrono::nanoseconds> resume_foreign_suspensions_after{};

  bool operator==(const MigrationSettings&) const = default;
};

/// Volumes that may stay in, or go back to, plaintext although the cluster asks for TLS; one of the
/// first three is set.
struct TlsExemption {
  std::string resource{};
  std::string claim{};  ///< "namespace/name"
  std::string storage_class{};
  std::string reason{};

  bool operator==(const TlsExemption&) const = default;
};

enum class TlsVersion { k12, k13 };

/// spec.replicationTLS.rekey: when a connection gets new session keys by a planned reconnect; never
/// without either.
struct RekeySettings {
  std::optional<std::chrono::nanoseconds> max_age{};  ///< at least 1 h
  std::optional<std::int64_t> max_gib{};              ///< that one direction has carried

  bool operator==(const RekeySettings&) const = default;
};

struct ReplicationTlsSpec {
  CertificateSettings certificates{};
  MigrationSettings migration{};
  bool enforce = false;
  /// minimum: Cluster (true): what stands only in LINSTOR cannot lower encryption; None (false).
  bool floor = true;
  /// minimumVersion and ciphers: TLS below them does not count as encryption.
  TlsVersion minimum_version = TlsVersion::k13;
  std::set<std::string> ciphers{};  ///< names of the kernel ("aes-gcm-256"); empty: any
  std::vector<TlsExemption> exemptions{};
  /// The handshake daemon may go from satellites whose volumes are encrypted.
  bool allow_handshake_daemon_removal = false;
  RekeySettings rekey{};
};

std::string_view ToString(CertificateMode mode);
std::string_view ToString(MigrationPolicy policy);
std::string_view ToString(MigrationStrategy strategy);

/// The defaults when the field is absent.
ReplicationTlsSpec ReadReplicationTls(const FieldReader& parent, std::string_view key);

/// A volume that may be in plaintext, for whoever wonders: by whose word, and since when.
struct ExemptVolume {
  std::string resource{};
  std::string reason{};
  std::string since{};  ///< RFC 3339
  std::string claim{};  ///< "namespace/name" of the PersistentVolumeClaim, "" = none is known

  bool operator==(const ExemptVolume&) const = default;
};

struct ConnectionCounts {
  std::int64_t total = 0;
  std::int64_t encrypted = 0;
  std::int64_t plaintext = 0;
  std::int64_t below_minimum = 0;  ///< TLS, but not as good as the minimum
  std::int64_t unknown = 0;

  bool operator==(const ConnectionCounts&) const = default;
};

struct ResourceCounts {
  std::int64_t total = 0;
  std::int64_t migrated = 0;
  std::int64_t migrating = 0;
  std::int64_t pending = 0;
  std::int64_t failed = 0;

  bool operator==(const ResourceCounts&) const = default;
};

/// One line of the journal: written before the step is done, so that the next leader knows where to
/// go on.
struct InFlightMigration {
  std::string resource{};
  std::string strategy{};
  std::string step{};
  std::string pair{};        ///< "nodeA/nodeB", "" when the step concerns the whole resource
  std::string started_at{};  ///< RFC 3339
  /// Id of the transaction that the agents were asked for; "" between two of them.
  std::string transaction{};
  std::string node{};   ///< whose agent leads the transaction; "" without one
  std::string claim{};  ///< as of ExemptVolume

  bool operator==(const InFlightMigration&) const = default;
};

struct MigrationFailure {
  std::string resource{};
  std::string node{};
  std::string reason{};
  std::string message{};
  std::string since{};  ///< RFC 3339
  std::string claim{};  ///< as of ExemptVolume

  bool operator==(const MigrationFailure&) const = default;
};

/// A connection whose peer does not get all writes, or did not when it was interrupted.
struct StaleConnection {
  std::string resource{};
  std::string node{};  ///< the end that shows it
  std::string peer{};  ///< whose copy lacks writes
  std::int64_t volume = 0;
  std::string since{};     ///< RFC 3339
  std::string sockets{};   ///< names the connection, to recognise another one
  bool diverged = false;   ///< state Diverged: what differs is not known any more
  std::string claim{};     ///< as of ExemptVolume
  bool secondary = false;  ///< role Secondary: `node` was none of the Primaries when it showed it

  bool operator==(const StaleConnection&) const = default;
};

struct ReplicationTlsStatus {
  std::string phase = "Idle";  ///< Idle, Preflight, Migrating, Paused, Blocked, Complete
  ConnectionCounts connections{};
  ResourceCounts resources{};
  std::vector<ExemptVolume> exempt{};  ///< bounded, by name
  std::vector<InFlightMigration> in_flight{};
  std::vector<MigrationFailure> failures{};  ///< bounded, worst first
  std::vector<StaleConnection> stale_peers{};

  bool operator==(const ReplicationTlsStatus&) const = default;
};

Json ToJson(const ReplicationTlsStatus& status);
/// Tolerant: what cannot be read has its default. `json` is the object at status.replicationTLS.
ReplicationTlsStatus ReplicationTlsStatusFromJson(const Json& json);

}  // namespace breakwater::api
