// The simulated cluster's state: plain data, changed by Kernel and by the operations of Cluster.
//
// A Disk outlives crashes and `down`; everything below Resource is what a running kernel knows
// and is gone after a crash.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/e2e/sim/drbd/bitmap.h"
#include "tests/e2e/sim/drbd/contents.h"
#include "tests/e2e/sim/drbd/types.h"

namespace breakwater::sim {

using Options = std::map<std::string, std::string>;

// What metadata remembers about one peer.
struct PeerSlot {
  Bitmap bitmap;
  // Blocks that this Secondary only heard about: the Primary recorded them for a connected peer.
  // Shown as out-of-sync, never resynced from here (F14.2).
  std::set<std::uint64_t> hearsay;
  std::uint64_t bitmap_uuid = 0;
  bool late = false;  // bits for the last writes of a Primary that is gone (see ReconcileLate)
  bool unfinished = false;  // a resync to this peer was started from here and has not ended
};

// Backing device with its metadata.
struct Disk {
  std::uint64_t size_kib = 0;
  std::uint64_t current_uuid = 0;
  std::vector<std::uint64_t> history{};  // earlier generations, newest first
  Contents blocks;
  std::map<int, PeerSlot> peers;
  DiskState recorded = DiskState::kUpToDate;  // as written to metadata
  bool made_now = false;  // from a snapshot, and never attached: as good as its metadata says
};

// State of one resynchronisation, kept on both ends for status output.
struct Resync {
  std::uint64_t id = 0;  // 0: none
  std::uint64_t total_blocks = 0;
  std::uint64_t blocks_per_tick = 1;
  Time started{0};
  bool exact = false;  // the source overwrites even newer blocks (it holds the good copy)
};

struct PeerDevice {
  ReplState repl = ReplState::kOff;
  DiskState disk = DiskState::kUnknown;
  bool client = false;
  bool state_due = false;  // the peer's disk state is on its way
  std::uint64_t received_kib = 0;
  std::uint64_t sent_kib = 0;
  Resync resync;
  Time changed{-1};  // last change of `disk`
};

struct Device {
  int minor = 0;
  std::string backing;  // "none" for a diskless volume
  std::string meta_disk = "internal";
  Options disk_options;
  DiskState disk = DiskState::kDiskless;
  bool quorum = true;
  bool new_uuid_pending = false;
  std::uint64_t exposed_uuid = 0;  // diskless: generation of the data that it works with
  // F3.2: under io-error a suspended Primary that loses quorum forgets to start a new data
  // generation, and the next reconnect then believes that nothing was written.
  bool generation_forgotten = false;
  Time last_write{-1};
  std::uint64_t read_kib = 0;
  std::uint64_t written_kib = 0;
  std::uint64_t al_writes = 0;
  std::uint64_t bm_writes = 0;

  [[nodiscard]] bool client() const { return backing == "none"; }
};

struct Address {
  std::string ip;
  int port = 0;
};

// How the connection was last cut; decides whether the reconnect loses the race of F12.
struct Cut {
  bool graceful = false;
  bool hot = false;           // written to just before the cut
  bool suspended = false;     // I/O of the Primary was suspended by the user
  bool stale_victim = false;  // the next reconnect without resync leaves the peer's disk stale
};

struct Connection {
  int peer_id = 0;
  std::string peer;
  Address local;
  Address remote;
  Options net;
  ConnState state = ConnState::kStandAlone;
  Role peer_role = Role::kUnknown;
  std::uint64_t generation = 0;  // changes with every state: old events die with it
  std::uint64_t attempt = 0;     // handshake attempt that runs, 0: none
  Time refuse_from{0};           // from then on the attempt's sockets exist
  bool encrypted = false;
  Time changed{-1};            // last change of `state`
  int out_port = 0;            // local port of the socket that this end opened
  int in_port = 0;             // remote port of the socket that the peer opened
  std::uint64_t sent_gib = 0;  // told by a test; these sockets are said to have carried so much
  bool ever_connected = false;
  bool stuck = false;       // F4.9, this end holds WFBitMapT
  bool will_stick = false;  // injected: the next reconnect of these Secondaries does that
  Cut cut;
  std::map<int, PeerDevice> volumes;
};

struct Resource {
  std::string name;
  int node_id = 0;
  Role role = Role::kSecondary;
  bool explicit_primary = false;
  bool suspended_user = false;
  bool no_data_resumed = false;  // F28: resume-io ended the kernel's own suspension, data or not
  bool suspend_pending = false;  // F2.7: sent while frozen by quorum, takes effect later
  Time suspended_since{0};
  Time resumed{-1};  // when the last suspension ended, <0: never
  bool suspension_reported = false;
  Options options;
  std::map<int, Device> devices;
  std::map<int, Connection> connections;
  Time forced_at{-1};  // last forced cut told to this node that concerns the Primary
  int openers = 0;
};

struct Tlshd {
  bool running = false;  // as on a node whose satellite pod has no such container
  bool hung = false;
  bool files_given = false;  // until somebody gives files, certificates count as good
  std::map<std::string, std::string> files;
  std::map<std::string, std::string> modes;
  std::string log;
};

struct Satellite {
  bool running = false;
  std::int64_t epoch = 0;  // counts its starts
  std::string address;
  std::string log;
};

// Half of a connection whose other half crashed: in FIN-WAIT-1 until the kernel gives it up.
struct Orphan {
  std::string local;
  std::string remote;
  bool encrypted = false;
  Time until{0};
};

struct Node {
  std::string name;
  bool up = true;
  std::string address;
  std::string drbd_version = "9.3.3";
  std::string utils_version = "9.34.0";
  bool kernel_tls = true;
  bool tcp_diag = true;
  std::string transport = "tcp";
  std::string usermode_helper = "disabled";  // as the container loader loads the module (F33)
  std::int64_t clock_ahead_s = 0;            // of its wall clock, as `date` and tlshd have it
  std::map<std::string, std::string> files;
  std::map<std::string, Resource> resources;
  std::map<std::pair<std::string, int>, Disk> disks;
  // By resource and volume, then by name (snapshots.h).
  std::map<std::pair<std::string, int>, std::map<std::string, Contents>> snapshots;
  std::deque<std::string> dmesg;
  std::vector<Orphan> orphans;
  std::uint64_t tls_opened = 0;  // TlsTxSw: encrypted sockets since the start
  Tlshd tlshd;
  Satellite satellite;
};

// The application's truth about one volume.
struct Volume {
  std::uint64_t size_kib = 0;
  std::uint64_t next_write = 0;
  std::uint64_t resync_kib = 0;
  Contents acknowledged;
  std::set<std::uint64_t> in_doubt;  // blocks whose last write was sent but never acknowledged
};

// One end of a connection. Valid until the next configuration change.
struct End {
  Node* node = nullptr;
  Resource* resource = nullptr;
  Connection* connection = nullptr;
};

}  // namespace breakwater::sim
