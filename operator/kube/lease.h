#pragma once

/// Typed access to coordination.k8s.io/v1 Leases, for leader election.
/// Needs get, create and patch on leases.

#include <chrono>
#include <optional>
#include <string>

#include "operator/kube/client.h"

namespace breakwater::kube {

/// The fields of a Lease that leader election uses. Times are the writer's wall clock: never
/// compare them with this machine's.
struct Lease {
  std::string holder{};  ///< "" = free
  std::chrono::seconds duration{0};
  std::optional<SystemTime> acquire_time{};
  std::optional<SystemTime> renew_time{};
  int transitions = 0;
  std::string resource_version{};  ///< of the object that was read
};

/// Thread safety: as the client.
class LeaseClient {
 public:
  /// `client` must outlive it.
  LeaseClient(KubeClient& client, ObjectKey key) : client_(client), key_(std::move(key)) {}

  /// 404 when there is none. Malformed fields read as empty.
  KubeResult<Lease> Get(const Context& ctx);

  /// 409 when somebody else was first.
  KubeResult<Lease> Create(const Context& ctx, const Lease& lease);

  /// Writes over the version in `lease`: 409 when the object has changed since it was read.
  KubeResult<Lease> Update(const Context& ctx, const Lease& lease);

 private:
  KubeClient& client_;
  const ObjectKey key_;
};

}  // namespace breakwater::kube
