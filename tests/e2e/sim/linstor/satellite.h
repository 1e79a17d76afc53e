#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/e2e/sim/linstor/database.h"
#include "tests/e2e/sim/linstor/drbd_port.h"

namespace breakwater::sim {

struct SimOptions {
  std::chrono::milliseconds first_adjust{400};    // L16: request until the first adjust
  std::chrono::milliseconds next_round{200};      // gap before a second round, seen in satellite-04
  std::chrono::milliseconds exec_timeout{45000};  // L23
  std::chrono::milliseconds poll{500};            // how often satellites' pods are looked at
  std::chrono::milliseconds hang_noticed{7000};   // L28: 6–8 s until a hung satellite is OFFLINE
  std::chrono::milliseconds full_sync{500};       // L33: CONNECTED, but not ONLINE yet
  std::chrono::milliseconds snapshot{300};        // what making a snapshot takes
  double retry_scale = 1.0;                       // multiplies the times of L22
  bool reflinks = true;  // the file systems below FILE_THIN pools: without them no snapshots
};

/// What a satellite is asked to do with its resources. A snapshot is three requests: suspend on all
/// nodes, make it, resume.
enum class CycleKind { kAdjust, kSuspend, kSnapshot, kResume };

/// One run of a satellite's device manager.
struct CycleRequest {
  std::vector<std::string> resources;  // keys of definitions, in order
  bool full_sync = false;              // the satellite has just connected (L27): everything
  bool later_round = false;            // second round of the same request
  // Whether the definitions are sent along. A controller property comes alone: the satellite
  // applies it to what it knows of its resources (L33).
  bool with_definitions = true;
  CycleKind kind = CycleKind::kAdjust;
  std::map<std::string, std::string> snapshots;  // for kSnapshot: name by resource, as above
};

struct AdjustedResource {
  std::string name, kind;      // kind: "FILE THIN", empty when diskless
  std::string layer = "DRBD";  // the top one
  std::vector<int> volumes;
  bool created = false, removed = false;
};

struct CycleResult {
  std::string node;
  bool offline = false;  // was not there when the request came
  bool syncing = false;  // was there, but in its full sync: nothing was sent (L33)
  bool torn = false;     // a snapshot that was made while I/O was not suspended
  std::string error;     // "(n2) Failed to adjust DRBD resource r1"; empty when all went well
  std::vector<std::string> report_ids;
  std::vector<AdjustedResource> done;
};

/// Results of one round, in the order in which nodes finish.
class Collector {
 public:
  void Add(CycleResult result);
  /// False when nothing came within `wait`.
  bool Take(std::chrono::milliseconds wait, CycleResult& result);

 private:
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<CycleResult> results_;
};

/// One node's satellite: a thread that works off requests one after the other (L23: a slow node
/// delays later requests). Thread safe. Borrows the database and the port.
class Satellite {
 public:
  Satellite(std::string node, Database& database, DrbdPort& port, const SimOptions& options);
  ~Satellite();

  void Submit(CycleRequest request, std::shared_ptr<Collector> collector);
  /// Called when the pod appears (starts a full sync) or goes away. `epoch` counts the starts of
  /// the satellite's process: a new one means that the old connection is gone, even if nobody saw
  /// it go. Requests that were under way end with an error.
  void Connect(std::int64_t epoch = 0);
  void Disconnect();
  /// A satellite process that does not answer any more, without being gone.
  void SetHung(bool hung);
  /// Every request takes so much longer (L36).
  void SetSlow(std::chrono::milliseconds delay);

  [[nodiscard]] std::string status() const;

  [[nodiscard]] bool online() const { return status() == "ONLINE"; }

  /// Resources whose retry is due at `now`; each is handed out once per failure.
  std::vector<std::string> TakeDueRetries(std::chrono::steady_clock::time_point now);

 private:
  struct Job {
    CycleRequest request;
    std::shared_ptr<Collector> collector;
  };

  struct Failed {
    std::chrono::steady_clock::time_point since;
    int attempt = 0;
    bool pending = false;  // waits for its time
  };

  void Loop(const std::stop_token& stop);
  void DropConnection();  // needs mutex_
  [[nodiscard]] CycleResult Lost() const;
  bool Sleep(const std::stop_token& stop, std::chrono::milliseconds time);
  CycleResult RunCycle(const std::stop_token& stop, const CycleRequest& request);
  bool FullSync(const std::stop_token& stop, CycleResult& result);
  void SnapshotStep(const std::stop_token& stop, const CycleRequest& request, CycleResult& result);
  std::set<std::string> WriteFiles(const CycleRequest& request, CycleResult& result);
  bool WriteFile(const std::string& resource, bool force, CycleResult& result);
  std::set<std::string> ListAdjustable();
  void Process(const std::string& resource, bool adjust, bool resume, CycleResult& result);
  bool CreateMetadata(const std::string& resource, CycleResult& result);
  bool IsDrbd(const std::string& resource);
  void TakeSnapshot(const std::string& resource, const std::string& name);
  void NoteDone(const std::string& resource);
  bool RemoveResource(const std::string& resource, CycleResult& result);
  bool Tool(const std::vector<std::string>& argv,
            const std::string& failure,
            const std::string& resource,
            CycleResult& result);
  void NoteFailure(const std::string& resource);
  void NoteSuccess(const std::string& resource);
  CommandResult Run(const std::vector<std::string>& argv);

  const std::string node_;  // name, as DRBD knows it
  Database& database_;
  DrbdPort& port_;
  const SimOptions& options_;

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Job> jobs_;                  // guarded by mutex_
  std::string status_ = "OFFLINE";        // guarded by mutex_
  bool hung_ = false;                     // guarded by mutex_
  std::chrono::milliseconds slow_{0};     // guarded by mutex_
  std::int64_t epoch_ = 0;                // guarded by mutex_: of the satellite's process
  std::int64_t connection_ = 0;           // guarded by mutex_: counts lost connections
  std::map<std::string, Failed> failed_;  // guarded by mutex_

  // Used by the worker thread only.
  std::int64_t served_ = 0;  // the connection whose job runs
  std::map<std::string, std::string> files_,
      backups_;  // what is on the node; what was there before
  // L33: by Key(resource), what this satellite still believes of a definition that was changed
  // during its full sync. The next change of the definition brings the truth.
  std::map<std::string, Definition> stale_;
  bool knows_tls_ = true;
  bool lists_adjustable_ = false;

  std::jthread thread_;  // last: starts when everything above is there
};

}  // namespace breakwater::sim
