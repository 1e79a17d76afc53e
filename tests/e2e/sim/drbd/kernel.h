// The DRBD kernel modules of all nodes: connections, quorum, generations, bitmaps, resync.
//
// Rules and their sources are the facts F1..F25 of the project's DRBD observations. State changes
// happen inside calls and inside events of World::events. Not thread-safe. `world` must outlive
// the kernel.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/e2e/sim/drbd/world.h"

namespace breakwater::sim {

// What drbdsetup prints and exits with when the kernel refuses.
struct KernelError {
  int exit = 10;
  std::string text;
};

using KernelResult = std::optional<KernelError>;

class Kernel {
 public:
  explicit Kernel(World& world) : world_(world) {}

  // --- looking up
  [[nodiscard]] Resource* Find(const std::string& node, const std::string& resource);
  [[nodiscard]] End FindEnd(const std::string& node, const std::string& resource, int peer_id);
  [[nodiscard]] End Opposite(const End& end);
  [[nodiscard]] Disk* DiskOf(const End& end, int volume);
  // Does this end really use TLS? The option alone is not enough (F7.5, F10).
  [[nodiscard]] bool UsesTls(const End& end) const;

  // --- configuration
  Resource& NewResource(Node& node, const std::string& name, int node_id);
  void Attach(Node& node, Resource& resource, int volume);
  void Detach(Node& node, Resource& resource, int volume);
  KernelResult NetOptions(const End& end, const Options& changes, bool set_defaults);
  void ResourceOptions(Node& node, Resource& resource, const Options& options);
  void DeleteConnection(const End& end);
  KernelResult DeleteResource(Node& node, const std::string& name);

  // --- connections (kernel_connect.cc)
  void Connect(const End& end);
  KernelResult Disconnect(const End& end, bool force);
  void LoseConnection(const End& end, std::string_view why);  // network failure or crashed peer
  void TryAllConnections();
  void CrashNode(Node& node);

  // --- roles and I/O (kernel_io.cc)
  KernelResult Promote(Node& node, Resource& resource, bool force);
  KernelResult Demote(Node& node, Resource& resource);
  void SuspendIo(Node& node, Resource& resource);
  // A watchdog may resume before everybody is back, under policy suspend-io.
  void ResumeIo(Node& node, Resource& resource, bool watchdog);
  [[nodiscard]] bool Frozen(const Resource& resource) const;
  [[nodiscard]] bool IoErrors(const Resource& resource) const;
  [[nodiscard]] bool SuspendedQuorum(const Resource& resource) const;
  [[nodiscard]] bool SuspendedNoData(const Resource& resource) const;

  // Peers (ids) that get a write now, and those that do not: the own disk records it for them.
  // Starts a new generation first when one is due.
  struct Receivers {
    std::vector<int> get;
    std::vector<int> missing;
  };

  Receivers BeginWrite(
      Node& node, Resource& resource, int volume, std::uint64_t block, std::uint64_t number);
  // The write arrives at the peer; false when the connection is gone.
  bool Deliver(const End& end, int volume, std::uint64_t block, std::uint64_t number);
  // Records that the peer of `end` lacks the block: on the own disk, or on that of another peer,
  // which has the block.
  void MarkMissing(const End& end, int volume, std::uint64_t block);
  // `lost`: the Primary is gone and nobody else will send it.
  void MarkMissingAt(
      const End& end, int holder, int volume, std::uint64_t block, bool lost = false);
  void NewGeneration(Node& node, Resource& resource, int volume);

  // --- disks, quorum, resync (kernel_disk.cc, kernel_sync.cc)
  void SetDisk(Node& node, Resource& resource, int volume, DiskState state, std::string_view why);
  void SetPeerDisk(const End& end, int volume, DiskState state, std::string_view why);
  void UpdateQuorum(Node& node, Resource& resource);
  KernelResult InvalidateRemote(const End& end, int volume, bool reset_bitmap);
  KernelResult Invalidate(Node& node, Resource& resource, int volume, bool reset_bitmap);
  bool InjectStale(const End& primary_end);
  // Compares the replicas of a pair, this end being VerifyS (kernel_verify.cc).
  KernelResult Verify(const End& end, int volume);

  // What events2 shows about this resource may have changed.
  void Touch(const End& end) { world_.Touch(end.node->name, end.resource->name); }

  // Called whenever I/O of a resource may have become possible or impossible.
  std::function<void(const std::string& node, const std::string& resource)> on_io_change;
  // Called when a connection stops carrying data.
  std::function<void(const std::string& node, const std::string& resource, int peer_id)> on_cut;
  // Is a write of this block under way?
  std::function<bool(const std::string& resource, int volume, std::uint64_t block)> in_flight;
  // Does drbdadm on this node fail because a .res file, of any resource, is broken (F33)?
  std::function<bool(const Node& node)> config_broken;
  // The kernel has called a helper program.
  std::function<void(const End& end, const std::string& name, const std::string& status)> on_helper;

 private:
  struct Key {
    std::string node;
    std::string resource;
    int peer_id = 0;
  };

  // What the others say about a change that needs all of them.
  struct Answer {
    bool primary = false;             // one is Primary, and only one may be
    bool silent = false;              // one does not answer
    std::set<std::string> reached{};  // who does, and who asks
  };

  enum class Verdict { kOk, kRetry, kFatal };

  struct HandshakeResult {
    Verdict verdict = Verdict::kOk;
    int error = 0;
    bool no_daemon = false;  // "Error from control socket tls handshake"
  };

  [[nodiscard]] static Key KeyOf(const End& end);
  [[nodiscard]] End EndOf(const Key& key);
  // Runs `action` later unless the connection has changed state by then.
  void AfterSame(const End& end, Time delay, std::function<void(const End&)> action);
  void LogConn(const End& end, std::string_view text);
  void LogDisk(const End& end, int volume, std::string_view text);
  void SetState(const End& end, ConnState state, std::string_view why);
  void LeaveConnected(const End& end, DiskState peer_disk, std::string_view why);
  void NoteCut(const End& end, ConnState next);
  void ToConnecting(const End& end);
  void TryAttempt(const End& end);
  void StartAttempt(const End& a, const End& b);
  void FinishAttempt(const Key& a, const Key& b, std::uint64_t id);
  void FinishMismatch(const End& a, const End& b);
  void FinishTls(const End& a, const End& b);
  void CancelAttempt(const End& end);
  [[nodiscard]] HandshakeResult CheckTls(const End& self, const End& peer) const;
  void FailRetry(const End& end, std::string_view message);
  void FailFatal(const End& end, int error);
  [[nodiscard]] static bool TlshdAble(const End& end);
  [[nodiscard]] static bool ClientSucceeds(const End& client, const End& server);
  [[nodiscard]] static bool ServerSucceeds(const End& client, const End& server);
  static void TlshdSays(const End& end, const End& peer);
  void Establish(const End& a, const End& b);
  void MarkConnected(const End& end, const End& peer, bool encrypted);
  void PeerGoesConnecting(const End& end, ConnState via, std::string_view why);
  [[nodiscard]] static bool SecretsDiffer(const End& a, const End& b);
  KernelResult RefuseWhileResyncing(const End& end);
  KernelResult RefuseGracefulCut(const End& end);
  [[nodiscard]] const char* NeedsConnection(const End& end) const;
  [[nodiscard]] static bool QuorumOff(const Resource& resource);
  [[nodiscard]] static bool LacksData(const Resource& resource);
  void CutConnected(const End& end, bool force);
  void AgreeOnOutdated(const End& end);
  void LeaveOrphans(const End& end);
  void CheckLastCopy(const End& primary_end);
  void NoteForcedCut(const End& end);
  void NoteGracefulCut(const End& primary_end);
  [[nodiscard]] bool SuspendedSomewhere(const std::string& resource) const;
  void CheckCutInvariants(const End& end, bool force);
  void NoteFreeze(const Resource& resource);
  [[nodiscard]] Answer AskEverybody(const Node& node, const Resource& resource);
  [[nodiscard]] static KernelError TimedOut(const std::string& resource);
  [[nodiscard]] std::uint64_t BestGeneration(Resource& resource, int volume);
  void OutdateFarAway(const Node& node, const Resource& resource, int volume);
  void PrimaryIsGone(const std::string& name);
  void ReconcileLate(Node& node, Resource& resource, int volume);
  void CheckResume(const Node& node, const Resource& resource, int volume, bool watchdog);

  void SyncHandshake(const End& a, const End& b, int volume);
  void FillAttached(Node& node, Resource& resource, int volume);
  void NoSync(const End& a, const End& b, int volume);
  void ShowPeerDisks(const End& a, const End& b, int volume);
  void ShowPeerDisk(const End& viewer, const End& peer, int volume, bool stale);
  [[nodiscard]] bool LosesPeerStateRace(const End& viewer, int volume);
  void SplitBrain(const End& a, const End& b);
  [[nodiscard]] static bool IsTarget(const Resource& resource, int volume);
  void CompareLater(const End& target, const End& other, int volume);
  void CompareNow(const End& target, int volume);
  void TrustRestarted(const End& a, const End& b, int volume);
  void MeetDiskless(const End& a, const End& b, int volume);
  void Reconcile(const End& a, const End& b, int volume);
  bool ResumeUnfinished(const End& source, const End& target, int volume);
  [[nodiscard]] static bool HearsPrimary(const End& end);
  void GetStuck(const End& source, const End& target, int volume);
  void Settle(const End& a, const End& b, int volume);
  [[nodiscard]] bool MayFollow(const End& target, const End& source) const;
  void MarkFullSync(const End& source, const End& target, int volume);
  void StartResync(const End& source, const End& target, int volume, bool exact);
  void ResyncTick(const Key& source, const Key& target, int volume, std::uint64_t id);
  void MarkCopied(const End& target, int volume, std::uint64_t block);
  void CopyBlocks(const End& source, const End& target, int volume, std::uint64_t count);
  void FinishResync(const End& source, const End& target, int volume);
  void StopResync(const End& end);
  [[nodiscard]] bool HelperRefuses(const End& end, int volume, const std::string& handler);
  void DropBeforeResync(const End& refusing, const End& other, const End& target, int volume);
  void CallHelper(const End& end, const std::string& name);
  void VerifyTick(const Key& key, int volume, std::uint64_t id, Time until);
  void FinishVerify(const End& end, const End& peer, int volume);
  void ResyncFromPeers(Node& node, Resource& resource, int volume);
  [[nodiscard]] bool CalcQuorum(const Resource& resource, int volume) const;
  [[nodiscard]] bool SomebodyMissing(const Resource& resource, int volume) const;
  void ApplyLocally(
      Node& node, Resource& resource, int volume, std::uint64_t block, std::uint64_t number);
  void LoseQuorum(Node& node, Resource& resource, int volume);

  World& world_;
  std::uint64_t next_attempt_ = 1;
  std::uint64_t next_resync_ = 1;
  bool by_fault_ = false;  // what happens now is nobody's act: a node or the network failed
};

// The generation of a new disk: LINSTOR gives all new replicas of a volume the same one.
[[nodiscard]] std::uint64_t DayZero(const std::string& resource, int volume);

// Is on-no-quorum io-error?
[[nodiscard]] bool FailsWithoutQuorum(const Resource& resource);

[[nodiscard]] bool AllowsTwoPrimaries(const Connection& connection);

// F12, seen from a Primary: connected, but its writes do not go there.
[[nodiscard]] bool IsStale(const PeerDevice& device);

// Are all of this connection's peers diskless clients (nothing to replicate to)?
[[nodiscard]] bool IsDisklessPeer(const PeerDevice& device);

// "self" and "peer" lines of the kernel log: generations and the number of bits.
// Into the history of generations; one that is there stays where it is.
void PushHistory(Disk& disk, std::uint64_t uuid);

[[nodiscard]] std::string GenerationText(const Disk& disk, const PeerSlot& slot);

}  // namespace breakwater::sim
