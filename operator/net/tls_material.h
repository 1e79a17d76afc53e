#pragma once

/// TLS keys, chains and roots: parsed once, checked once, shared by every connection, and
/// exchangeable while the process runs.
///
/// Only the configured CA is trusted; the system's CA bundle plays no part. TLS 1.2 is the least
/// version. Thread safety: all methods may be called from any thread.

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "operator/base/clock.h"
#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/base/secret.h"
#include "operator/crypto/certificate.h"

struct ssl_ctx_st;
struct x509_store_st;

namespace breakwater::net {

/// Text forms as they come from files and secrets.
struct TlsPem {
  std::string ca{};                 ///< roots for the peer's certificate, "" = none
  std::string certificate_chain{};  ///< our certificate, leaf first, "" = none
  Secret<> private_key{};
  bool insecure_skip_verify = false;  ///< accept any server; only when the user said so

  bool operator==(const TlsPem&) const = default;
};

/// Remembers why the last handshake failed: the HTTP library below only reports a number.
class TlsFailure {
 public:
  void Set(std::string reason);
  /// The reason, "" when there is none; forgets it.
  std::string Take();

 private:
  std::mutex mutex_;
  std::string reason_;
};

/// Immutable after construction.
class TlsMaterial {
 public:
  /// kInvalid when a part is broken or the key does not fit the certificate.
  static Result<std::shared_ptr<const TlsMaterial>, Error> Create(const TlsPem& pem);

  /// Makes `context` (an OpenSSL SSL_CTX) a client that accepts only a peer with a chain to our CA
  /// and the name or address `server_name` in its certificate. `failure` may be null.
  Result<void, Error> ConfigureClient(ssl_ctx_st* context,
                                      const std::string& server_name,
                                      std::shared_ptr<TlsFailure> failure) const;

  /// Makes `context` a server that shows our certificate. When a CA is configured, a client
  /// certificate is asked for and checked if given, but not required.
  Result<void, Error> ConfigureServer(ssl_ctx_st* context) const;

  /// Our own chain, leaf first; empty when there is none.
  const std::vector<crypto::Certificate>& chain() const { return chain_; }

  const TlsPem& pem() const { return pem_; }

 private:
  TlsMaterial() = default;
  Result<void, Error> UseIdentity(ssl_ctx_st* context) const;

  TlsPem pem_;
  std::shared_ptr<x509_store_st> roots_;
  std::vector<crypto::Certificate> chain_;
  std::optional<crypto::PrivateKey> key_;
};

/// The material in use now. New connections see a change at once; running ones keep what they have.
class TlsMaterialHolder {
 public:
  explicit TlsMaterialHolder(std::shared_ptr<const TlsMaterial> material);

  std::shared_ptr<const TlsMaterial> Get() const;
  void Set(std::shared_ptr<const TlsMaterial> material);

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const TlsMaterial> material_;
};

}  // namespace breakwater::net
