#pragma once

/// ClusterSettings: what a LinstorCluster says about replication TLS. Pure.

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/api/linstor_cluster.h"
#include "operator/api/object.h"
#include "operator/core/replication/plan/floor.h"

namespace breakwater::controllers {

/// Annotation on the LinstorCluster: resources that may migrate under policy Manual, "res1,res2" or
/// "*".
inline constexpr std::string_view kMigrateAnnotation = "breakwater.io/migrate";

/// Annotation on the LinstorCluster: resources whose connections a person disconnected on purpose,
/// "res1,res2" or "*"; they are not reconnected.
inline constexpr std::string_view kHoldAnnotation = "breakwater.io/hold";
/// Annotation on the LinstorCluster: diverged connections whose copies a person made equal again,
/// "<resource>@<since>" each, as the failure says it.
inline constexpr std::string_view kResyncedAnnotation = "breakwater.io/resynced";

struct ClusterSettings {
  std::optional<bool> tls{};  ///< spec.properties DrbdOptions/Net/tls
  /// What is wrong with that value, with spec.properties or with spec.replicationTLS: then nobody
  /// knows what is wanted, and nothing moves.
  std::optional<std::string> invalid{};
  api::MigrationSettings migration{};
  bool enforce = false;
  bool floor = true;  ///< spec.replicationTLS.minimum is Cluster
  /// spec.replicationTLS.minimumVersion and ciphers.
  replication::TlsMinimum minimum{};
  api::RekeySettings rekey{};
  std::vector<replication::Exemption> exemptions{};
  std::set<std::string> released{};
  bool release_all = false;
  std::set<std::string> resynced{};
  std::set<std::string> hold{};
  bool hold_all = false;

  bool operator==(const ClusterSettings&) const = default;
};

ClusterSettings ReadSettings(const api::Object& cluster);

}  // namespace breakwater::controllers
