#pragma once

/// Preflight: what a node needs before a connection of it may become TLS, one reason per failure,
/// each with the next step for a person. Pure functions. Sources: DESIGN 4.2, F6, F7, F10, L29.

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "operator/base/clock.h"
#include "operator/core/replication/node/drbd_types.h"

namespace breakwater::replication {

/// What was found in the certificate files that tlshd uses.
struct CertificateFacts {
  bool present = false;       ///< all files were there and readable
  bool parsed = false;        ///< certificate and CA bundle are valid PEM
  std::string error{};        ///< why not
  bool name_matches = false;  ///< as tlshd's client checks it: SAN, or CN without any SAN (F7.1)
  bool server_auth = false;
  bool client_auth = false;
  SystemTime not_before{};
  SystemTime not_after{};
  bool trusted_here = false;  ///< the chain ends in the node's own CA bundle
  /// Peers whose CA bundle does not trust this node's certificate.
  std::vector<std::string> untrusted_by{};
  std::string key_mode{};  ///< octal, e.g. "600"; "" when not known
  /// Whether the private key in the node's Secret belongs to its certificate; nothing = not known.
  std::optional<bool> key_fits{};
  /// How much the node's clock is ahead of ours; nothing: not known.
  std::optional<std::chrono::seconds> clock_ahead{};
};

/// The agent of a node, for preflight.
enum class AgentState { kConnected, kMissing, kTooOld, kUnreachable };

struct NodeFacts {
  std::string name{};
  bool answered = false;  ///< the script ran to its end in the satellite container
  bool observed = false;  ///< also, DRBD's tools answered
  DrbdVersions versions{};
  bool tls_module = false;
  std::optional<bool> handshake_family{};        ///< of the kernel (F10); nothing: not known
  std::optional<std::string> usermode_helper{};  ///< of the drbd module (F33); nothing: not known
  std::string broken_res{};                      ///< a .res file that drbdadm cannot read (F33)
  std::optional<bool> linstor_online{};  ///< LINSTOR says ONLINE; nothing: LINSTOR did not answer
  AgentState agent = AgentState::kConnected;
  std::string agent_version{};
  /// TLS is wanted, or is to be left again: nothing is switched without an agent.
  bool agent_needed = false;
  /// There are connections, and `ss` cannot show whether they are encrypted.
  bool no_socket_proof = false;
  bool satellite_ready = false;
  bool tlshd_container = false;               ///< the pod has the container
  bool tlshd_ready = false;                   ///< it runs and is ready
  std::vector<std::string> bad_transports{};  ///< transports in use that hold no TLS code (F8.5)
  /// Nothing when the files could not be looked at (then that is a failure of its own).
  std::optional<CertificateFacts> certificate{};
  std::string secret{};  ///< name of the Secret with the certificate, for messages; "" = not known
};

struct PreflightFailure {
  std::string reason{};   ///< CamelCase, for the condition
  std::string message{};  ///< what is wrong and what to do
  bool warning = false;   ///< does not stop anything

  bool operator==(const PreflightFailure&) const = default;
};

/// All failures, worst first; warnings at the end.
std::vector<PreflightFailure> CheckNode(const NodeFacts& facts, SystemTime now);

/// Whether the node's clock is further off ours than an exec that took its time explains. It stops
/// nothing: certificates of mode Managed allow for half an hour.
bool ClockDiffers(const CertificateFacts& certificate);

/// The first failure that is no warning, or nothing: the node is fit.
std::optional<PreflightFailure> FirstBlocker(const std::vector<PreflightFailure>& failures);

/// tlshd gets the peer's name in a buffer of 64 bytes (PIRAEUS.md T7).
inline constexpr std::size_t kMaxNameBytes = 63;

}  // namespace breakwater::replication
