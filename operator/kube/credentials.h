#pragma once

/// Credentials: the token and TLS material of a KubeConfig, kept fresh while the process runs.

#include <chrono>
#include <memory>
#include <mutex>
#include <string>

#include "operator/base/clock.h"
#include "operator/base/error.h"
#include "operator/base/log.h"
#include "operator/base/result.h"
#include "operator/base/secret.h"
#include "operator/kube/config.h"
#include "operator/net/tls_material.h"

namespace breakwater::kube {

/// Files are read again at most every 60 s and at once after a 401; a file that cannot be read or
/// parsed leaves the last good value in use, and is logged once.
/// Thread safety: all methods may be called from any thread.
class Credentials {
 public:
  /// 60 s: a service account token is renewed by the kubelet at 80 % of its life (at least 10
  /// minutes before its end); client-go reads it as often.
  static constexpr std::chrono::seconds kReadAgainAfter{60};

  /// kInvalid or kTransient when something cannot be read at the start. `clock` must outlive it.
  static Result<std::unique_ptr<Credentials>, Error> Create(KubeConfig config,
                                                            const Clock& clock,
                                                            Logger log);

  /// "" when the configuration has no token.
  Secret<> Token();

  /// The server said 401 to `used`. True when another token is there now, so that the request can
  /// be repeated.
  bool Unauthorized(const Secret<>& used);

  /// Null for a plain http server. New connections see changed files.
  std::shared_ptr<const net::TlsMaterialHolder> tls() const { return tls_; }

  const KubeConfig& config() const { return config_; }

 private:
  Credentials(KubeConfig config, const Clock& clock, Logger log)
      : config_(std::move(config)), clock_(clock), log_(std::move(log)) {}

  Result<void, Error> Read();
  Result<void, Error> ReadTls();
  Result<void, Error> ReadToken();
  void ReadIfOld();

  const KubeConfig config_;
  const Clock& clock_;
  const Logger log_;
  std::shared_ptr<net::TlsMaterialHolder> tls_;  // constant after Create()
  std::mutex mutex_;
  Secret<> token_;           // guarded by mutex_
  SteadyTime read_at_{};     // guarded by mutex_
  bool complained_ = false;  // guarded by mutex_
};

}  // namespace breakwater::kube
