#pragma once

#include <cstdint>

/// LINSTOR's return codes: severity, operation, object and a number in one signed 64-bit integer.
/// Values decoded from the replies recorded in facts/linstor-samples.
namespace breakwater::sim::rc {

inline constexpr std::uint64_t kError = 0xC000000000000000U;
inline constexpr std::uint64_t kWarning = 0x8000000000000000U;
inline constexpr std::uint64_t kInfo = 0x4000000000000000U;

inline constexpr std::uint64_t kCreate = 0x1000000U;
inline constexpr std::uint64_t kModify = 0x2000000U;
inline constexpr std::uint64_t kDelete = 0x3000000U;

inline constexpr std::uint64_t kSnapshot = 0x0C0000U;
inline constexpr std::uint64_t kController = 0x100000U;
inline constexpr std::uint64_t kStorPool = 0x140000U;
inline constexpr std::uint64_t kNetIf = 0x1C0000U;
inline constexpr std::uint64_t kRscConn = 0x240000U;
inline constexpr std::uint64_t kNodeConn = 0x280000U;
inline constexpr std::uint64_t kVolume = 0x2C0000U;
inline constexpr std::uint64_t kVlmDfn = 0x300000U;
inline constexpr std::uint64_t kResource = 0x340000U;
inline constexpr std::uint64_t kRscDfn = 0x380000U;
inline constexpr std::uint64_t kNode = 0x3C0000U;
inline constexpr std::uint64_t kKeyValues = 0x400000U;  // not recorded
inline constexpr std::uint64_t kRscGrp = 0x440000U;
inline constexpr std::uint64_t kVlmGrp = 0x480000U;

inline constexpr std::uint64_t kCreated = 1;
inline constexpr std::uint64_t kDeleted = 2;
inline constexpr std::uint64_t kModified = 3;
inline constexpr std::uint64_t kAccepted = 4;
inline constexpr std::uint64_t kAuthenticated = 9;

inline constexpr std::uint64_t kInvalidNodeName = 200;
inline constexpr std::uint64_t kInvalidNodeType = 201;
inline constexpr std::uint64_t kInvalidRscName = 202;
inline constexpr std::uint64_t kInvalidNetAddr = 210;
inline constexpr std::uint64_t kInvalidProp = 213;
inline constexpr std::uint64_t kInvalidVolumeSize = 206;
inline constexpr std::uint64_t kInvalidPlaceCount = 219;
inline constexpr std::uint64_t kInvalidProviderKind = 224;
inline constexpr std::uint64_t kNotFoundFirst = 300;
inline constexpr std::uint64_t kNotFoundNode = 300;
inline constexpr std::uint64_t kNotFoundRscDfn = 301;
inline constexpr std::uint64_t kNotFoundRsc = 302;
inline constexpr std::uint64_t kNotFoundVlmDfn = 303;
inline constexpr std::uint64_t kNotFoundNetIf = 305;
inline constexpr std::uint64_t kNotFoundRscConn = 307;
inline constexpr std::uint64_t kNotFoundStorPoolDfn = 309;
inline constexpr std::uint64_t kNotFoundCryptKey = 312;
inline constexpr std::uint64_t kNotFoundSnapshot = 313;  // not recorded
inline constexpr std::uint64_t kNotFoundStorPool = 310;
inline constexpr std::uint64_t kNotFoundSnapshotOnNode = 315;
inline constexpr std::uint64_t kNotFoundKeyValues = 316;
inline constexpr std::uint64_t kNotFoundRscGrp = 317;
inline constexpr std::uint64_t kNotFoundVlmGrp = 318;
inline constexpr std::uint64_t kNotFoundLast = 340;
inline constexpr std::uint64_t kExistsNode = 500;
inline constexpr std::uint64_t kExistsRscDfn = 501;
inline constexpr std::uint64_t kExistsRsc = 502;
inline constexpr std::uint64_t kExistsVlmDfn = 503;
inline constexpr std::uint64_t kExistsNetIf = 505;
inline constexpr std::uint64_t kExistsStorPool = 509;
inline constexpr std::uint64_t kExistsCryptPassphrase = 512;
inline constexpr std::uint64_t kExistsSnapshotDfn = 514;  // not recorded
inline constexpr std::uint64_t kExistsRscGrp = 522;
inline constexpr std::uint64_t kMissingProps = 600;
inline constexpr std::uint64_t kMissingNetIf = 603;
inline constexpr std::uint64_t kMissingStltConn = 609;
inline constexpr std::uint64_t kStltDoesNotSupportProvider = 989;
inline constexpr std::uint64_t kSnapshotsNotSupported = 994;
inline constexpr std::uint64_t kNotConnectedFail = 995;  // not recorded
inline constexpr std::uint64_t kNotEnoughNodes = 996;
inline constexpr std::uint64_t kInUse = 997;
inline constexpr std::uint64_t kUnknownError = 998;
inline constexpr std::uint64_t kImplError = 999;
inline constexpr std::uint64_t kNotConnected = 1002;
inline constexpr std::uint64_t kLastConnection = 1004;
inline constexpr std::uint64_t kAlreadyDeployed = 1006;
inline constexpr std::uint64_t kHadNoEffect = 3000;
inline constexpr std::uint64_t kDeprecated = 4000;
inline constexpr std::uint64_t kDefinitionsOnly = 10000;
inline constexpr std::uint64_t kPropSet = 10002;
inline constexpr std::uint64_t kTiebreakerCreated = 10003;
inline constexpr std::uint64_t kTiebreakerDeleting = 10004;
inline constexpr std::uint64_t kPropRemoved = 10005;
inline constexpr std::uint64_t kTiebreakerTakeover = 10006;

/// "Unable to parse input json.": does not follow the scheme above.
inline constexpr std::int64_t kBadJson = -3458764513820540931;

constexpr std::int64_t Make(std::uint64_t bits) {
  return static_cast<std::int64_t>(bits);
}

constexpr bool IsError(std::int64_t code) {
  return (static_cast<std::uint64_t>(code) & kError) == kError;
}

constexpr std::uint64_t Number(std::int64_t code) {
  return static_cast<std::uint64_t>(code) & 0x3FFFFU;
}

}  // namespace breakwater::sim::rc
