#pragma once

/// ServingCertificate: the certificate of our own HTTPS endpoints, from files that somebody else
/// renews (the kubelet for a mounted Secret).

#include <memory>
#include <string>

#include "operator/base/clock.h"
#include "operator/base/log.h"
#include "operator/base/result.h"
#include "operator/base/thread.h"
#include "operator/net/tls_material.h"

namespace breakwater::cmd {

/// Thread safety: Refresh from one thread at a time; the holder from any.
class ServingCertificate {
 public:
  /// Reads `directory`/tls.crt and tls.key. Errors: they cannot be read or do not fit each other.
  static Result<std::unique_ptr<ServingCertificate>, Error> Load(const std::string& directory,
                                                                 Logger log);

  /// For the servers: each new connection takes what is in it then.
  std::shared_ptr<const net::TlsMaterialHolder> holder() const { return holder_; }

  /// Looks at the files again. Until they can be used the old certificate stays, with one warning
  /// per new fault: between two files of a renewal nothing must break.
  void Refresh();

  /// Refreshes every ten seconds from now on until this object ends. `clock` must outlive it.
  void Watch(const Clock& clock);

 private:
  ServingCertificate(std::string directory, Logger log);
  Result<std::shared_ptr<const net::TlsMaterial>, Error> Read() const;

  const std::string directory_;
  const Logger log_;
  std::shared_ptr<net::TlsMaterialHolder> holder_{};
  std::string last_error_{};
  Thread thread_{};
};

}  // namespace breakwater::cmd
