#pragma once

/// PlanTrust: which certificate and which bundle of authorities each node's replication Secret
/// holds next. Pure.
///
/// One rule serves the renewal of a certificate, the rotation of an authority and the change from
/// one source of certificates to another: at each moment every node trusts what every other node
/// presents. Three steps follow from it, and none of them is remembered anywhere, so that whoever
/// plans may be killed at any time:
///
///   distribute  every bundle gets the new authorities, the old ones stay
///   switch      a node presents its new certificate once all containers have a bundle that trusts
///               it; one of the authority that it has needs no waiting
///   withdraw    the old authorities leave once no container presents what only they vouch for
///
/// A container's files follow the Secret up to two minutes later, so what counts is what was read
/// in the containers. Their word can delay a step. It never brings an authority into a bundle:
/// those come from Secrets only, or one node could make all others trust its own.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace breakwater::replication {

/// Fingerprints of authorities.
using Authorities = std::set<std::string>;

/// A certificate that a node presents or may present.
struct TrustLeaf {
  std::string id{};       ///< equal ids: the same certificate
  Authorities anchors{};  ///< each of these authorities alone makes it trusted
  bool valid = true;      ///< now, by its dates

  bool TrustedBy(const Authorities& bundle) const;
  bool operator==(const TrustLeaf&) const = default;
};

/// What a Secret or a container holds.
struct TrustFiles {
  TrustLeaf leaf{};
  Authorities bundle{};
  /// Counts the contents of a node's Secret, so that one is told from an equal one before it.
  std::int64_t generation = 0;

  bool operator==(const TrustFiles&) const = default;
};

/// A node whose replication is encrypted, or will be.
struct TrustNode {
  std::string name{};
  /// Its replication Secret; nothing: it has none yet, or it is of no use.
  std::optional<TrustFiles> secret{};
  /// Its container, as last read; nothing: it does not run, or was not read.
  std::optional<TrustFiles> container{};
  /// There is no container that could have read anything: it starts with what the Secret holds
  /// then.
  bool fresh = false;
  /// Its pod mounts the replication Secret, not that of the satellite.
  bool mounts = false;
  /// It needs no replication Secret: the satellite's is wanted and mounted.
  bool shares = false;
  /// What it may present, the wanted one first; then what all nodes trust for longer. Empty: the
  /// source has nothing for this node yet.
  std::vector<TrustLeaf> options{};
  /// The authorities that vouch for the wanted one.
  Authorities wanted{};
  /// Those of the other options, as their Secrets say.
  Authorities others{};
};

/// What a node's replication Secret is to hold.
struct TrustStep {
  std::string node{};
  /// Index into TrustNode::options; nothing: the certificate that is there stays.
  std::optional<std::size_t> option{};
  Authorities bundle{};

  bool operator==(const TrustStep&) const = default;
};

enum class TrustPhase {
  kNothing,       ///< there is no node
  kNoSource,      ///< the source lacks the certificates of `waiting`
  kDistributing,  ///< not every container has the new authorities
  kSwitching,     ///< they have, and not every container presents its new certificate
  kWithdrawing,   ///< they do, and old authorities are still trusted somewhere
  kSettled,
};

struct TrustPlan {
  std::vector<TrustStep> steps{};  ///< Secrets that are to change; nothing else is to be written
  TrustPhase phase = TrustPhase::kNothing;
  /// Whose containers are waited for.
  std::vector<std::string> waiting{};
  /// The nodes present the wanted certificates, and only authorities may be left to withdraw.
  bool switched = false;
};

TrustPlan PlanTrust(const std::vector<TrustNode>& nodes);

}  // namespace breakwater::replication
