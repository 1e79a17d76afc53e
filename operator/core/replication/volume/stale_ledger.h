#pragma once

/// StaleLedger: remembers every connection that looked established while its peer did not get all
/// writes (F12), until there is proof that the copies are equal again. A clean status is no proof:
/// a reconnect erases DRBD's record of what differs (F12.3, F14.3). The proof is that the
/// connection never was another one since: its sockets are the same, the peer disk is UpToDate and
/// nothing is out of sync. What a Secondary shows is settled by a third node: a Secondary keeps
/// blocks recorded although the data is equal (F4.8), and the Primary that sees both copies
/// UpToDate with nothing out of sync is the proof (F4.9). Without proof the entry turns into
/// "diverged" and stays until a person releases it, or the copy was deleted. A value; not
/// thread-safe; no clock.

#include <chrono>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "operator/base/clock.h"
#include "operator/core/replication/volume/gate.h"
#include "operator/core/replication/volume/observation.h"

namespace breakwater::replication {

/// A copy that is missing everywhere for so long was deleted.
inline constexpr std::chrono::seconds kRemovedAfter{60};

struct StaleRecord {
  std::string resource{};
  std::string viewer{};  ///< the end that shows it, mostly the Primary
  std::string peer{};    ///< whose copy lacks writes
  int volume = 0;
  SystemTime since{};
  std::string session{};  ///< names the sockets of the connection; "" when they were not visible
  bool diverged = false;  ///< the record of what differs may be lost
  /// The viewer was a Secondary whenever it was seen so: what it shows is not about writes of its
  /// own.
  bool secondary = false;

  bool operator==(const StaleRecord&) const = default;
};

struct StaleChange {
  enum class Kind {
    kStale,     ///< new
    kHealed,    ///< proven
    kDiverged,  ///< cannot be proven any more
  };

  Kind kind = Kind::kStale;
  StaleRecord record{};
};

class StaleLedger {
 public:
  /// What a former leader wrote down.
  void Load(const std::vector<StaleRecord>& records);

  /// Takes in one look at one resource. Only what lasts longer than kStaleAfter (F14.1) is entered;
  /// a node that does not answer changes nothing.
  std::vector<StaleChange> Observe(const ResourceObservation& seen, SystemTime now);

  /// We told DRBD to heal this peer. Counts as proof where the sockets are not visible.
  void NoteHeal(const std::string& resource, const Pair& pair);

  /// A person says that the copies are equal: "<resource>@<since>" of diverged entries.
  bool Release(const std::set<std::string>& names);

  /// Forgets resources that are not in `known`: they are gone everywhere.
  bool KeepOnly(const std::set<std::string>& known);

  std::vector<StaleRecord> records() const;
  /// Pairs of a resource whose entry is neither proven nor lost yet, with the peer: cutting one,
  /// however clean it looks, would end the proof.
  std::map<Pair, std::string> Unproven(const std::string& resource) const;
  /// Pairs of a resource that must not be reconnected, because that erases the record: of diverged
  /// ones too, as long as nobody has released them. Their record may still be there, and then a
  /// small resync is enough.
  std::set<Pair> PairsOf(const std::string& resource) const;

 private:
  using Key = std::tuple<std::string, std::string, std::string, int>;  // resource, viewer, peer

  struct Candidate {
    SystemTime since{};
    std::string session{};
  };

  void Enter(const ResourceObservation& seen,
             const StalePeer& stale,
             SystemTime now,
             std::vector<StaleChange>* changes);
  /// Whether a Primary that is neither end of the record sees that both have all writes.
  bool PrimaryProves(const ResourceObservation& seen, const StaleRecord& record) const;
  /// True when the entry is settled and goes.
  bool Judge(const ResourceObservation& seen,
             StaleRecord* record,
             std::vector<StaleChange>* changes) const;

  void ForgetRemovedCopies(const ResourceObservation& seen, SystemTime now);

  std::map<Key, Candidate> candidates_;
  std::map<Key, SystemTime> gone_since_;  ///< the copy is on no node any more
  std::map<Key, StaleRecord> records_;
  std::set<std::pair<std::string, Pair>> healing_;
};

/// "<resource>@<since>": how a person names an entry.
std::string NameOf(const StaleRecord& record);

}  // namespace breakwater::replication
