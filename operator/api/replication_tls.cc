#include "operator/api/replication_tls.h"

#include <charconv>
#include <limits>
#include <utility>

#include "operator/api/duration.h"

namespace breakwater::api {
namespace {

/// The same limits as in the definition (crds/replication_tls.py).
constexpr std::chrono::seconds kMinSuspendTimeout{3};
constexpr std::chrono::minutes kMaxSuspendTimeout{5};
constexpr std::chrono::seconds kMinForeignSuspension{10};
// A renewed certificate needs up to two minutes to reach a pod, and must do so in a third of this.
constexpr std::chrono::hours kMinCertificateLife{1};
constexpr std::chrono::hours kMaxCertificateLife{24 * 366};

constexpr std::chrono::hours kMinSessionAge{1};

/// A duration within limits; nullopt, and an error unless the field is absent, otherwise.
std::optional<std::chrono::nanoseconds> ReadDuration(const FieldReader& reader,
                                                     std::string_view key,
                                                     std::chrono::nanoseconds min,
                                                     std::chrono::nanoseconds max) {
  const std::optional<std::chrono::nanoseconds> value = reader.Duration(key);
  if (!value) {
    return std::nullopt;
  }
  if (*value < min) {
    reader.AddError(key, "must be at least " + FormatDuration(min));
    return std::nullopt;
  }
  if (*value > max) {
    reader.AddError(key, "must be at most " + FormatDuration(max));
    return std::nullopt;
  }
  return value;
}

/// A count of at least 1.
int ReadLimit(const FieldReader& reader, std::string_view key, int fallback) {
  const std::optional<std::int64_t> value = reader.Integer(key);
  if (!value) {
    return fallback;
  }
  if (*value < 1 || *value > std::numeric_limits<int>::max()) {
    reader.AddError(key, "must be at least 1");
    return fallback;
  }
  return static_cast<int>(*value);
}

CertificateSettings ReadCertificates(const FieldReader& reader) {
  CertificateSettings settings;
  const std::string mode =
      reader.OneOf("mode", {"InternalTLS", "Managed", "CertManager", "Secret"}, "InternalTLS");
  settings.mode = mode == "Managed"       ? CertificateMode::kManaged
                  : mode == "CertManager" ? CertificateMode::kCertManager
                  : mode == "Secret"      ? CertificateMode::kGivenSecret
                                          : CertificateMode::kInternalTls;
  settings.duration = ReadDuration(reader, "duration", kMinCertificateLife, kMaxCertificateLife)
                          .value_or(settings.duration);
  settings.issuer = ReadIssuerReference(reader, "issuerRef");
  settings.secret_name = reader.String("secretName");
  if (settings.mode == CertificateMode::kCertManager && !settings.issuer &&
      reader.Raw("issuerRef") == nullptr) {
    reader.AddError("issuerRef", "is needed in mode CertManager");
  }
  if (settings.mode == CertificateMode::kGivenSecret && settings.secret_name.empty()) {
    reader.AddError("secretName", "is needed in mode Secret");
  }
  return settings;
}

MigrationSettings ReadMigration(const FieldReader& reader) {
  MigrationSettings settings;
  const std::string policy = reader.OneOf("policy", {"Automatic", "Manual", "Paused"}, "Automatic");
  settings.policy = policy == "Manual"   ? MigrationPolicy::kManual
                    : policy == "Paused" ? MigrationPolicy::kPaused
                                         : MigrationPolicy::kAutomatic;
  const std::string strategy =
      reader.OneOf("strategy", {"Auto", "PairByPair", "SuspendIO"}, "Auto");
  settings.strategy = strategy == "PairByPair"  ? MigrationStrategy::kPairByPair
                      : strategy == "SuspendIO" ? MigrationStrategy::kSuspendIo
                                                : MigrationStrategy::kAuto;
  settings.max_parallel_resources =
      ReadLimit(reader, "maxParallelResources", settings.max_parallel_resources);
  settings.max_parallel_per_node =
      ReadLimit(reader, "maxParallelPerNode", settings.max_parallel_per_node);
  settings.suspend_timeout =
      ReadDuration(reader, "suspendTimeout", kMinSuspendTimeout, kMaxSuspendTimeout)
          .value_or(settings.suspend_timeout);
  settings.heal_stale = reader.Bool("healStale", settings.heal_stale);
  settings.allow_single_copy = reader.Bool("allowSingleCopy", settings.allow_single_copy);
  settings.resume_foreign_suspensions_after =
      ReadDuration(reader, "resumeForeignSuspensionsAfter", kMinForeignSuspension,
                   std::chrono::nanoseconds::max());
  return settings;
}

TlsExemption ReadExemption(const FieldReader& reader) {
  TlsExemption exemption{.resource = reader.String("resource"),
                         .claim = reader.String("claim"),
                         .storage_class = reader.String("storageClass"),
                         .reason = reader.String("reason")};
  const int named = (exemption.resource.empty() ? 0 : 1) + (exemption.claim.empty() ? 0 : 1) +
                    (exemption.storage_class.empty() ? 0 : 1);
  if (named != 1) {
    reader.AddError("", "name one of resource, claim (namespace/name) and storageClass");
  } else if (!exemption.claim.empty() && exemption.claim.find('/') == std::string::npos) {
    reader.AddError("claim", "must be namespace/name");
  }
  return exemption;
}

/// A name that does not look like one of the kernel's would make every connection count as weak.
std::set<std::string> ReadCiphers(const FieldReader& reader) {
  std::set<std::string> ciphers;
  for (const std::string& name : reader.Strings("ciphers")) {
    if (name.empty() ||
        name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") != std::string::npos) {
      reader.AddError("ciphers", "'" + name + "' is no cipher name of the kernel, as aes-gcm-256");
    } else {
      ciphers.insert(name);
    }
  }
  return ciphers;
}

/// "64Gi" or "1Ti": what is counted on the nodes are whole GiB.
std::optional<std::int64_t> ParseGib(std::string_view text) {
  const std::int64_t unit = text.ends_with("Gi") ? 1 : text.ends_with("Ti") ? 1024 : 0;
  std::int64_t number = 0;
  const char* const begin = text.data();
  const char* const end = begin + text.size() - (unit == 0 ? 0 : 2);
  const auto [read_to, error] = std::from_chars(begin, end, number);
  if (unit == 0 || error != std::errc{} || read_to != end || number < 1 || number > 1'000'000) {
    return std::nullopt;
  }
  return number * unit;
}

RekeySettings ReadRekey(const FieldReader& reader) {
  RekeySettings settings;
  settings.max_age =
      ReadDuration(reader, "maxAge", kMinSessionAge, std::chrono::nanoseconds::max());
  if (const std::optional<std::string> bytes = reader.OptionalString("maxBytes")) {
    settings.max_gib = ParseGib(*bytes);
    if (!settings.max_gib) {
      reader.AddError("maxBytes", "must be a number of Gi or Ti, as 64Gi");
    }
  }
  return settings;
}

std::int64_t CountAt(const Json& json, std::initializer_list<std::string_view> path) {
  const Json* value = FindPath(json, path);
  return value != nullptr && value->is_number_integer() ? value->get<std::int64_t>() : 0;
}

}  // namespace

std::string_view ToString(CertificateMode mode) {
  switch (mode) {
    case CertificateMode::kManaged:
      return "Managed";
    case CertificateMode::kCertManager:
      return "CertManager";
    case CertificateMode::kGivenSecret:
      return "Secret";
    case CertificateMode::kInternalTls:
      break;
  }
  return "InternalTLS";
}

std::string_view ToString(MigrationPolicy policy) {
  switch (policy) {
    case MigrationPolicy::kManual:
      return "Manual";
    case MigrationPolicy::kPaused:
      return "Paused";
    case MigrationPolicy::kAutomatic:
      break;
  }
  return "Automatic";
}

std::string_view ToString(MigrationStrategy strategy) {
  switch (strategy) {
    case MigrationStrategy::kPairByPair:
      return "PairByPair";
    case MigrationStrategy::kSuspendIo:
      return "SuspendIO";
    case MigrationStrategy::kAuto:
      break;
  }
  return "Auto";
}

ReplicationTlsSpec ReadReplicationTls(const FieldReader& parent, std::string_view key) {
  ReplicationTlsSpec spec;
  const auto reader = parent.Child(key);
  if (!reader) {
    return spec;
  }
  if (const auto certificates = reader->Child("certificates")) {
    spec.certificates = ReadCertificates(*certificates);
  }
  if (const auto migration = reader->Child("migration")) {
    spec.migration = ReadMigration(*migration);
  }
  spec.enforce = reader->Bool("enforce");
  spec.floor = reader->OneOf("minimum", {"Cluster", "None"}, "Cluster") == "Cluster";
  spec.allow_handshake_daemon_removal = reader->Bool("allowHandshakeDaemonRemoval");
  spec.minimum_version = reader->OneOf("minimumVersion", {"TLS1.2", "TLS1.3"}, "TLS1.3") == "TLS1.2"
                             ? TlsVersion::k12
                             : TlsVersion::k13;
  spec.ciphers = ReadCiphers(*reader);
  if (const auto rekey = reader->Child("rekey")) {
    spec.rekey = ReadRekey(*rekey);
  }
  for (const FieldReader& entry : reader->Children("exemptions")) {
    spec.exemptions.push_back(ReadExemption(entry));
  }
  return spec;
}

namespace {

template <typename Entry>
Json WithClaim(Json item, const Entry& entry) {
  if (!entry.claim.empty()) {
    item["claim"] = entry.claim;
  }
  return item;
}

}  // namespace

Json ToJson(const ReplicationTlsStatus& status) {
  Json result{
      {"phase", status.phase},
      {"connections",
       {{"total", status.connections.total},
        {"encrypted", status.connections.encrypted},
        {"plaintext", status.connections.plaintext},
        {"belowMinimum", status.connections.below_minimum},
        {"unknown", status.connections.unknown}}},
      {"resources",
       {{"total", status.resources.total},
        {"migrated", status.resources.migrated},
        {"migrating", status.resources.migrating},
        {"pending", status.resources.pending},
        {"failed", status.resources.failed}}},
      {"exempt", Json::array()},
      {"inFlight", Json::array()},
      {"failures", Json::array()},
  };
  for (const ExemptVolume& volume : status.exempt) {
    result["exempt"].push_back(WithClaim(
        {{"resource", volume.resource}, {"reason", volume.reason}, {"since", volume.since}},
        volume));
  }
  for (const InFlightMigration& entry : status.in_flight) {
    Json item{{"resource", entry.resource},
              {"strategy", entry.strategy},
              {"step", entry.step},
              {"pair", entry.pair},
              {"startedAt", entry.started_at}};
    if (!entry.transaction.empty()) {
      item["transaction"] = entry.transaction;
    }
    if (!entry.node.empty()) {
      item["node"] = entry.node;
    }
    result["inFlight"].push_back(WithClaim(std::move(item), entry));
  }
  for (const MigrationFailure& failure : status.failures) {
    result["failures"].push_back(WithClaim({{"resource", failure.resource},
                                            {"node", failure.node},
                                            {"reason", failure.reason},
                                            {"message", failure.message},
                                            {"since", failure.since}},
                                           failure));
  }
  for (const StaleConnection& stale : status.stale_peers) {
    result["stalePeers"].push_back(WithClaim({{"resource", stale.resource},
                                              {"node", stale.node},
                                              {"peer", stale.peer},
                                              {"volume", stale.volume},
                                              {"since", stale.since},
                                              {"sockets", stale.sockets},
                                              {"role", stale.secondary ? "Secondary" : "Primary"},
                                              {"state", stale.diverged ? "Diverged" : "Stale"}},
                                             stale));
  }
  return result;
}

ReplicationTlsStatus ReplicationTlsStatusFromJson(const Json& json) {
  ReplicationTlsStatus status;
  if (std::string phase = StringAt(json, "phase"); !phase.empty()) {
    status.phase = std::move(phase);
  }
  status.connections = {
      CountAt(json, {"connections", "total"}), CountAt(json, {"connections", "encrypted"}),
      CountAt(json, {"connections", "plaintext"}), CountAt(json, {"connections", "belowMinimum"}),
      CountAt(json, {"connections", "unknown"})};
  status.resources = {
      CountAt(json, {"resources", "total"}), CountAt(json, {"resources", "migrated"}),
      CountAt(json, {"resources", "migrating"}), CountAt(json, {"resources", "pending"}),
      CountAt(json, {"resources", "failed"})};
  if (const Json* list = FindMember(json, "exempt"); list != nullptr && list->is_array()) {
    for (const Json& item : *list) {
      status.exempt.push_back({StringAt(item, "resource"), StringAt(item, "reason"),
                               StringAt(item, "since"), StringAt(item, "claim")});
    }
  }
  if (const Json* list = FindMember(json, "inFlight"); list != nullptr && list->is_array()) {
    for (const Json& item : *list) {
      status.in_flight.push_back({StringAt(item, "resource"), StringAt(item, "strategy"),
                                  StringAt(item, "step"), StringAt(item, "pair"),
                                  StringAt(item, "startedAt"), StringAt(item, "transaction"),
                                  StringAt(item, "node"), StringAt(item, "claim")});
    }
  }
  if (const Json* list = FindMember(json, "failures"); list != nullptr && list->is_array()) {
    for (const Json& item : *list) {
      status.failures.push_back({StringAt(item, "resource"), StringAt(item, "node"),
                                 StringAt(item, "reason"), StringAt(item, "message"),
                                 StringAt(item, "since"), StringAt(item, "claim")});
    }
  }
  if (const Json* list = FindMember(json, "stalePeers"); list != nullptr && list->is_array()) {
    for (const Json& item : *list) {
      status.stale_peers.push_back({StringAt(item, "resource"), StringAt(item, "node"),
                                    StringAt(item, "peer"), CountAt(item, {"volume"}),
                                    StringAt(item, "since"), StringAt(item, "sockets"),
                                    StringAt(item, "state") == "Diverged", StringAt(item, "claim"),
                                    StringAt(item, "role") == "Secondary"});
    }
  }
  return status;
}

}  // namespace breakwater::api
