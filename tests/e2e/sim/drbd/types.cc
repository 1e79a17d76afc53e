#include "tests/e2e/sim/drbd/types.h"

namespace breakwater::sim {

std::string_view Name(Role role) {
  switch (role) {
    case Role::kUnknown:
      return "Unknown";
    case Role::kSecondary:
      return "Secondary";
    case Role::kPrimary:
      return "Primary";
  }
  return "?";
}

std::string_view Name(DiskState state) {
  switch (state) {
    case DiskState::kDiskless:
      return "Diskless";
    case DiskState::kAttaching:
      return "Attaching";
    case DiskState::kFailed:
      return "Failed";
    case DiskState::kInconsistent:
      return "Inconsistent";
    case DiskState::kOutdated:
      return "Outdated";
    case DiskState::kUnknown:
      return "DUnknown";
    case DiskState::kConsistent:
      return "Consistent";
    case DiskState::kUpToDate:
      return "UpToDate";
  }
  return "?";
}

std::string_view Name(ConnState state) {
  switch (state) {
    case ConnState::kStandAlone:
      return "StandAlone";
    case ConnState::kDisconnecting:
      return "Disconnecting";
    case ConnState::kUnconnected:
      return "Unconnected";
    case ConnState::kNetworkFailure:
      return "NetworkFailure";
    case ConnState::kTearDown:
      return "TearDown";
    case ConnState::kConnecting:
      return "Connecting";
    case ConnState::kConnected:
      return "Connected";
  }
  return "?";
}

std::string_view Name(ReplState state) {
  switch (state) {
    case ReplState::kOff:
      return "Off";
    case ReplState::kEstablished:
      return "Established";
    case ReplState::kWfBitMapS:
      return "WFBitMapS";
    case ReplState::kWfBitMapT:
      return "WFBitMapT";
    case ReplState::kSyncSource:
      return "SyncSource";
    case ReplState::kSyncTarget:
      return "SyncTarget";
    case ReplState::kVerifyS:
      return "VerifyS";
    case ReplState::kVerifyT:
      return "VerifyT";
  }
  return "?";
}

}  // namespace breakwater::sim
