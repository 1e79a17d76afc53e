#pragma once

/// Properties: which value of DrbdOptions/Net/tls LINSTOR applies to a connection (rule L15), and
/// which of the values are ours: pins on resource definitions and values on pairs that are being
/// switched. Pure functions over values.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace breakwater::replication {

struct Pair;

inline constexpr std::string_view kTlsProperty = "DrbdOptions/Net/tls";
/// On a resource definition: the value beside it is ours, as long as it is what the marker says
/// that we wrote (see MarkerText).
inline constexpr std::string_view kPinMarker = "Aux/breakwater.io/tls-pin";
/// The same on a resource connection.
inline constexpr std::string_view kPairMarker = "Aux/breakwater.io/tls-pair";
/// On the controller: the cluster-wide value was written by us.
inline constexpr std::string_view kClusterMarker = "Aux/breakwater.io/tls-cluster";

/// "yes"/"no" in any case (L1); nothing for other text.
std::optional<bool> ParseTlsValue(std::string_view text);
std::string_view TlsValue(bool tls);

/// The value of one level.
struct Level {
  std::optional<bool> value{};
  /// Written by us: the marker is there and says this value. A person's own value never counts as
  /// ours, also not where our marker was left beside it.
  bool ours = false;
  std::optional<bool> previous{};  ///< what the marker remembers
  int touches = 0;                 ///< see SetPin

  bool operator==(const Level&) const = default;
};

/// Orders pairs of nodes in maps without needing the full type here; keys are Pair::ToString().
using PairKey = std::string;

/// All levels that concern one resource.
struct ResourceLevels {
  bool known = false;  ///< false: LINSTOR was not reachable
  std::optional<bool> controller{};
  std::optional<bool> group{};
  Level definition{};
  std::map<PairKey, Level> pairs{};
  std::map<PairKey, bool> node_connections{};
  /// What Kubernetes says is TLS (floor.h): a "no" of others on any level does not count, and may
  /// be replaced by a value of ours.
  bool floor = false;
  /// A StorageClass asks for TLS on this volume's resource group: the CSI driver writes "yes" there
  /// with the next volume of the class, and LINSTOR adjusts all of the group (facts CSI K11).
  bool group_coming = false;

  bool operator==(const ResourceLevels&) const = default;
};

/// The level of one connection's own value; an empty one when it has none.
Level PairLevel(const ResourceLevels& levels, const PairKey& pair);

/// Whether a value may be replaced by one of ours: it is ours, or a "no" below the floor.
bool Replaceable(const ResourceLevels& levels, const Level& level);

/// The text of a marker: what we wrote, what was there before, and how often we wrote it again:
/// "yes no", "no no 2".
std::string MarkerText(bool value, bool previous, int touches = 0);

/// Reads the level from properties; `marker` is kPinMarker, kPairMarker or kClusterMarker. Markers
/// of one word are of former versions: a pin's own value; for a pair the value before, so that
/// every value beside it counts as ours.
Level ReadLevel(const std::map<std::string, std::string>& props, std::string_view marker);

/// The levels as they are once the CSI driver has written the group's value (`group_coming`).
ResourceLevels WithComingGroup(ResourceLevels levels);

/// What LINSTOR writes into the .res file for this connection: resource connection > resource
/// definition > node connection > resource group > controller > "no" (L15).
bool Effective(const ResourceLevels& levels, const PairKey& pair);
/// The same with another cluster-wide value.
bool Effective(const ResourceLevels& levels, const PairKey& pair, std::optional<bool> cluster);

/// The same as if nothing of ours were there.
bool EffectiveWithoutOurs(const ResourceLevels& levels, const PairKey& pair);

/// What the user wants for this connection: as EffectiveWithoutOurs, with the cluster's value taken
/// from the LinstorCluster (`cluster`) and not from LINSTOR, where it may be held back; never less
/// than the floor.
bool Desired(const ResourceLevels& levels, const PairKey& pair, std::optional<bool> cluster);

/// What a connection that is down is brought back to: what LINSTOR says (Effective), with what
/// others set below the floor left out.
bool Restored(const ResourceLevels& levels, const PairKey& pair);

/// One change of LINSTOR's properties of one resource.
struct SetPair {
  PairKey pair{};
  bool value = false;
  bool previous = false;

  bool operator==(const SetPair&) const = default;
};

/// Removes our value (never a user's) from a pair.
struct RemovePair {
  PairKey pair{};

  bool operator==(const RemovePair&) const = default;
};

struct SetPin {
  bool value = false;
  bool previous = false;
  /// Counts up to write the same value again: LINSTOR does nothing about a value that is there
  /// (L21), and a satellite that was in its full sync did not get it (L33).
  int touches = 0;

  bool operator==(const SetPin&) const = default;
};

struct RemovePin {
  bool operator==(const RemovePin&) const = default;
};

using LinstorOp = std::variant<SetPair, RemovePair, SetPin, RemovePin>;

/// The levels after the change; used to prove that a change keeps every effective value.
ResourceLevels After(ResourceLevels levels, const LinstorOp& op);

/// The next values of ours that can go (or must be replaced by one pin) without changing what
/// LINSTOR tells any connection. `runs`: what each connection is configured to in the kernel. Empty
/// when nothing can be tidied, so that nobody starts anything for it.
std::vector<LinstorOp> CleanupOps(const ResourceLevels& levels,
                                  const std::map<PairKey, bool>& runs);

std::string Describe(const LinstorOp& op);

}  // namespace breakwater::replication
