#pragma once

/// ServingIdentity: the certificate that the admission webhook serves, as it is kept in one Secret,
/// and when it changes. Pure: no I/O and no clock.
///
/// Each certificate has an authority of its own, whose key is thrown away once it has issued it:
/// what the API server is told to trust can issue nothing else. A new certificate is made early and
/// served late: in between both authorities are in the webhook configuration, so that there is no
/// moment at which an API server meets a certificate that it does not trust yet, however late the
/// kubelets of the replicas bring the files.

#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/api/object.h"
#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/crypto/certificate_authority.h"

namespace breakwater::controllers {

/// Life of a certificate. Renewed when two thirds of it are over.
inline constexpr std::chrono::hours kServingLife{24 * 90};
/// How long both authorities are known before the new certificate is served. A configuration
/// reaches the API servers within seconds; this is for one that was cut off from etcd for a while.
inline constexpr std::chrono::minutes kServingOverlap{10};

/// What the webhook is called by.
struct ServingNames {
  std::set<std::string> dns{};
  std::set<std::string> ips{};

  bool operator==(const ServingNames&) const = default;
};

/// From the clientConfig of each webhook: "service.namespace.svc", or the host of a URL.
ServingNames NamesOf(const api::Json& configuration);

struct IssuedCertificate {
  crypto::Identity leaf;
  crypto::Certificate authority;
};

struct ServingIdentity {
  IssuedCertificate current;
  std::optional<IssuedCertificate> next{};  ///< trusted, not served yet
  /// Of the certificate before, which a replica may serve until its kubelet has brought the new
  /// one.
  std::optional<crypto::Certificate> previous{};

  /// Authorities for the webhook configuration, PEM.
  std::string Bundle() const;
};

Result<IssuedCertificate, Error> IssueServing(const ServingNames& names, SystemTime now);

/// From the Secret. Errors: what is wrong with it.
Result<ServingIdentity, Error> ReadServing(const api::Object& secret);

/// `data` of the Secret, for a merge patch.
api::Json ServingContent(const ServingIdentity& identity);

/// What comes next. `known`: what the Secret holds, if it can be read. `trusted`: the bundle of the
/// configuration as it is now.
Result<ServingIdentity, Error> NextServing(const std::optional<ServingIdentity>& known,
                                           const ServingNames& names,
                                           const std::vector<crypto::Certificate>& trusted,
                                           SystemTime now);

/// When NextServing says something else.
SystemTime NextServingChange(const ServingIdentity& identity);

}  // namespace breakwater::controllers
