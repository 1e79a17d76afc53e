#include "operator/core/replication/transaction/guard.h"

#include <algorithm>
#include <utility>

#include "operator/core/replication/node/text.h"

namespace breakwater::replication {
namespace {

std::string Shown(const std::string& state) {
  return state.empty() ? "unknown" : state;
}

std::string VolumeOf(const DrbdConnection& connection, const PeerDevice& device) {
  return "volume " + std::to_string(device.volume) + " of the connection to " + connection.peer;
}

// A volume that is missing must not count as good.
bool ShowsAllVolumes(const DrbdStatus& status, const DrbdConnection& connection) {
  return status.devices.size() == connection.devices.size() &&
         std::all_of(status.devices.begin(), status.devices.end(), [&](const DrbdDevice& own) {
           return std::any_of(connection.devices.begin(), connection.devices.end(),
                              [&](const PeerDevice& d) { return d.volume == own.volume; });
         });
}

bool IsClient(const DrbdConnection& connection) {
  return !connection.devices.empty() &&
         std::all_of(connection.devices.begin(), connection.devices.end(),
                     [](const PeerDevice& d) { return d.peer_client; });
}

bool GivesData(const DrbdConnection& connection) {
  return connection.state == "Connected" && !connection.devices.empty() &&
         std::all_of(connection.devices.begin(), connection.devices.end(), [](const PeerDevice& d) {
           return d.peer_disk == "UpToDate" && d.replication == "Established";
         });
}

// Copies that are left when the connection to `lost` is gone.
int CopiesWithout(const DrbdStatus& status, const std::string& lost) {
  int copies = HasOwnData(status) ? 1 : 0;
  for (const DrbdConnection& connection : status.connections) {
    copies += connection.peer != lost && GivesData(connection) ? 1 : 0;
  }
  return copies;
}

Obstacle CheckPrimaries(const DrbdStatus& status) {
  int primaries = IsPrimary(status) ? 1 : 0;
  for (const DrbdConnection& connection : status.connections) {
    primaries += connection.peer_role == "Primary" ? 1 : 0;
  }
  if (primaries > 1) {
    return {"TwoPrimaries", "it has more than one Primary, as during a live migration"};
  }
  return {};
}

Obstacle CheckPeerDevice(const DrbdStatus& status,
                         const DrbdConnection& connection,
                         const PeerDevice& device) {
  if (device.replication == "VerifyS" || device.replication == "VerifyT") {
    return {"Verify", VolumeOf(connection, device) + " is being verified"};
  }
  if (device.replication != "Established") {
    return {"Resync", VolumeOf(connection, device) + " is " + Shown(device.replication)};
  }
  if (device.peer_client) {
    return {};
  }
  if (device.peer_disk == "Outdated") {
    return {"StalePeer", VolumeOf(connection, device) +
                             " is Established, but the peer's disk is Outdated: it lacks writes"};
  }
  if (device.peer_disk != "UpToDate") {
    return {"PeerDisk",
            VolumeOf(connection, device) + ": the peer's disk is " + Shown(device.peer_disk)};
  }
  if (IsPrimary(status) && device.out_of_sync_kib != 0) {
    return {"OutOfSync", VolumeOf(connection, device) + " is out of sync by " +
                             std::to_string(device.out_of_sync_kib) + " KiB"};
  }
  return {};
}

// A graceful cut keeps quorum under majority (F4.7, F26.2). With other rules that was not observed,
// so the numbers must hold without the peer; a rule that is not known keeps nothing.
bool RuleHolds(const std::string& rule, int copies, int total) {
  if (rule == "off") {
    return true;
  }
  if (rule == "majority") {
    return copies * 2 > total;
  }
  const std::optional<std::int64_t> number = ToInteger(rule);
  return number && copies >= *number;
}

Obstacle CheckQuorumRule(const LocalView& view, int copies) {
  if (!view.show) {
    return {"Unknown", "its quorum rule could not be read"};
  }
  const DrbdShow& show = *view.show;
  if (show.quorum == "off") {
    return {};
  }
  int total = 0;
  for (const DrbdConnection& connection : view.status->connections) {
    total += IsClient(connection) ? 0 : 1;
  }
  total += std::all_of(view.status->devices.begin(), view.status->devices.end(),
                       [](const DrbdDevice& d) { return d.client; })
               ? 0
               : 1;
  if (show.quorum != "majority" && !RuleHolds(show.quorum, copies, total)) {
    return {"NoQuorum", "quorum " + Shown(show.quorum) + " would not hold without that connection"};
  }
  if (!RuleHolds(show.minimum_redundancy, copies, total)) {
    return {"NoQuorum", "quorum-minimum-redundancy " + Shown(show.minimum_redundancy) +
                            " would not hold without that connection"};
  }
  return {};
}

}  // namespace

bool IsPrimary(const DrbdStatus& status) {
  return status.role == "Primary";
}

bool HasQuorum(const DrbdStatus& status) {
  return std::all_of(status.devices.begin(), status.devices.end(),
                     [](const DrbdDevice& d) { return d.quorum; });
}

bool HasOwnData(const DrbdStatus& status) {
  return !status.devices.empty() &&
         std::all_of(status.devices.begin(), status.devices.end(),
                     [](const DrbdDevice& d) { return d.disk == "UpToDate"; });
}

bool HasData(const DrbdStatus& status) {
  return !status.suspended_no_data && !status.devices.empty() &&
         std::all_of(status.devices.begin(), status.devices.end(), [&](const DrbdDevice& own) {
           return own.disk == "UpToDate" ||
                  std::any_of(status.connections.begin(), status.connections.end(),
                              [&](const DrbdConnection& connection) {
                                return connection.state == "Connected" &&
                                       std::any_of(connection.devices.begin(),
                                                   connection.devices.end(),
                                                   [&](const PeerDevice& d) {
                                                     return d.volume == own.volume &&
                                                            d.peer_disk == "UpToDate";
                                                   });
                              });
         });
}

Obstacle CheckNotSuspended(const DrbdStatus& status) {
  if (status.suspended_user) {
    return {"Suspended", "I/O is suspended, by somebody else"};
  }
  if (status.suspended_no_data) {
    return {"NoData", "I/O is suspended: no data can be reached"};
  }
  if (status.suspended_quorum) {
    return {"NoQuorum", "I/O is suspended: there is no quorum"};
  }
  return {};
}

Obstacle CheckOwnDisks(const DrbdStatus& status) {
  if (status.devices.empty()) {
    return {"NotUp", "it has no volumes here"};
  }
  for (const DrbdDevice& device : status.devices) {
    const std::string volume = "volume " + std::to_string(device.volume);
    if (device.disk != "UpToDate" && !device.client) {  // a failed disk is Diskless, but no client
      return {"OwnDisk", "the disk of " + volume + " is " + Shown(device.disk)};
    }
    if (!device.quorum) {
      return {"NoQuorum", volume + " has no quorum"};
    }
  }
  return {};
}

Obstacle CheckConnection(const DrbdStatus& status, const DrbdConnection& connection) {
  if (connection.state != "Connected") {
    return {"NotConnected",
            "the connection to " + connection.peer + " is " + Shown(connection.state)};
  }
  if (!ShowsAllVolumes(status, connection)) {
    return {"Unknown", "the connection to " + connection.peer + " does not show every volume"};
  }
  for (const PeerDevice& device : connection.devices) {
    if (Obstacle obstacle = CheckPeerDevice(status, connection, device); !obstacle.none()) {
      return obstacle;
    }
  }
  return {};
}

Obstacle CheckResource(const DrbdStatus& status) {
  if (Obstacle obstacle = CheckPrimaries(status); !obstacle.none()) {
    return obstacle;
  }
  // What is dangerous is said first.
  Obstacle first = CheckOwnDisks(status);
  for (const DrbdConnection& connection : status.connections) {
    Obstacle obstacle = CheckConnection(status, connection);
    if (obstacle.code == "StalePeer" || (first.none() && !obstacle.none())) {
      first = std::move(obstacle);
    }
    if (first.code == "StalePeer") {
      break;
    }
  }
  return first;
}

Obstacle CheckLead(const LocalView& view,
                   const TransactionRequest& request,
                   const DrbdConnection& connection) {
  const DrbdStatus& status = *view.status;
  if (Obstacle obstacle = CheckNotSuspended(status); !obstacle.none()) {
    return obstacle;
  }
  if (Obstacle obstacle = CheckResource(status); !obstacle.none()) {
    return obstacle;
  }
  const bool primary = IsPrimary(status);
  if (!primary && connection.peer_role != "Secondary") {
    // From a Secondary out-of-sync says nothing (F4.8): the Primary's node has to lead.
    return {"PeerIsPrimary",
            connection.peer + " is " + Shown(connection.peer_role) + " now: its node has to lead"};
  }
  const int copies = CopiesWithout(status, connection.peer);
  if (primary && !IsClient(connection)) {
    if (copies == 0) {
      return {"LastCopy", "without " + connection.peer + " no up-to-date copy can be reached"};
    }
    if (copies < 2 && HasOwnData(status) && !request.allow_single_copy) {
      return {"LastCopy", "without " + connection.peer +
                              " the Primary would be alone with its copy, which is not allowed"};
    }
  }
  return CheckQuorumRule(view, copies);
}

Obstacle CheckSuspendedSwitch(const LocalView& view) {
  const DrbdStatus& status = *view.status;
  if (!IsPrimary(status)) {
    return {"NotPrimary", "this node is not the Primary any more"};
  }
  if (Obstacle obstacle = CheckNotSuspended(status); !obstacle.none()) {
    return obstacle;
  }
  if (!status.devices.empty() && !HasOwnData(status)) {
    return {"NoOwnData", "the Primary has no up-to-date data of its own"};  // F28
  }
  if (!view.show) {
    return {"Unknown", "its quorum rule could not be read"};
  }
  if (view.show->on_no_quorum != "suspend-io") {
    return {"IoError", "on-no-quorum is " + Shown(view.show->on_no_quorum)};  // F3, I4
  }
  if (Obstacle obstacle = CheckResource(status); !obstacle.none()) {
    return obstacle;
  }
  return CheckQuorumRule(view, 1);
}

}  // namespace breakwater::replication
