// Knobs of the simulation: how long things take and how often DRBD's races are lost.
#pragma once

#include <cstdint>

#include "tests/e2e/sim/drbd/timing.h"
#include "tests/e2e/sim/drbd/types.h"

namespace breakwater::sim {

struct SimConfig {
  std::uint64_t seed = 1;

  // Starting a drbdadm or drbdsetup process, including parsing the configuration.
  Millis drbdadm_start{50};
  Millis drbdsetup_start{15};
  // Where a command of drbdsetup has an entry here, that counts. Empty: fast. LabTimes(): as seen.
  CommandTimes command_times{};
  // A container runtime lets a command run on when the client that started it is gone: what it was
  // told it still does, late. True: the command is killed with its client.
  bool kill_with_client = false;

  // Connecting until Connected when the peer waits already.
  Millis handshake_plain{200};
  Millis handshake_tls{400};
  // A stopped tlshd is given up on after this long (F6).
  Millis handshake_hung{6000};
  // One end TLS, the other plain: length of one attempt when the TLS end is Primary, or is not
  // (F5: with the retry below a round takes 3.6 s and 1.6 s).
  Millis mismatch_tls_primary{2600};
  Millis mismatch_other{600};
  // Unconnected until the next attempt (DRBD's connect interval after a failure).
  Millis retry{1000};
  // Silence until a crashed or cut off peer is noticed.
  Millis ping_timeout{1000};
  // How long sockets to a crashed peer are seen in FIN-WAIT-1.
  Millis orphan_lifetime{15000};
  // Duration of Disconnecting and of TearDown.
  Millis teardown{30};
  // Connected until the peer's disk state is known (the `[peer-state]` message of F12).
  Millis peer_state{15};

  // A resync takes this long plus its size at the rate.
  Millis resync_base{300};
  Millis resync_spread{300};
  std::uint64_t resync_kib_per_second = 20480;
  std::uint64_t verify_kib_per_second = 4096;

  // Size of a volume that nobody sized. Small ones make long walks cheap.
  std::uint64_t volume_kib = kDefaultSizeKib;

  // Between a change in the kernel and the line of events2, and how often a line is lost (F25).
  Millis event_delay{1};
  double event_lost = 0.0;

  // A write reaches the peers after half of this and is acknowledged after all of it.
  Millis write_latency{2};

  // A write this recent makes a graceful cut dangerous when nothing is written in the gap (F13).
  Millis hot_window{2000};
  // Forced cuts told to several nodes within this time count as parallel (F13).
  Millis parallel_window{1500};

  // Probabilities of F13's table.
  double stale_after_graceful = 3.0 / 20.0;
  double stale_after_parallel_forced = 2.0 / 31.0;
  // F27.1, for each replica that is cut gracefully while its Primary is suspended and comes back
  // before the resume: r1 5 of 37 runs with two replicas to cut, r2 1 of 4 with one.
  double stale_after_suspended_cut = 6.0 / 78.0;
  // F2.8: forced cut of everything under load; "once" in the observations.
  double lost_in_flight = 1.0 / 50.0;
  // F4.9: two Secondaries with stale bits meet again and get stuck; seen three times.
  double stuck_wfbitmap = 0.0;

  // What changed less than this ago is no violation of the one who cuts: nobody can have seen it.
  Millis look_grace{0};
  // The same for what only other nodes see.
  Millis far_grace{0};
  // Writes that took this long are kept as stalls.
  Millis stall_threshold{250};

  // A resource that stays suspended-user longer than this is a violation.
  Millis suspend_limit{10000};
};

// Everything as slow as on the machines of the third lab (F9, F26, F29, F31).
inline void UseLabTiming(SimConfig& config) {
  config.command_times = LabTimes();
  config.drbdadm_start = Millis(120);
  config.handshake_plain = Millis(555);
  config.handshake_tls = Millis(700);
}

}  // namespace breakwater::sim
