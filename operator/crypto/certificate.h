#pragma once

/// X.509 certificates and their private keys as values: parse, look, verify. No I/O and no clock:
/// the time of a check is an argument. Thread safety: values are immutable and cheap to copy
/// (copies share the parsed object).

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "operator/base/clock.h"
#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/base/secret.h"

struct x509_st;
struct evp_pkey_st;

namespace breakwater::crypto {

class PrivateKey {
 public:
  /// PEM, PKCS#8 or traditional, not encrypted. The error never holds key material.
  static Result<PrivateKey, Error> Parse(const Secret<>& pem);

  /// PKCS#8 PEM.
  Secret<> ToPem() const;

  evp_pkey_st* native() const { return key_.get(); }

 private:
  friend Result<PrivateKey, Error> WrapKey(evp_pkey_st* owned);

  std::shared_ptr<evp_pkey_st> key_;
};

class Certificate {
 public:
  /// All certificates of a PEM text in their order; kInvalid when there is none or one is broken.
  static Result<std::vector<Certificate>, Error> ParsePem(std::string_view pem);

  std::string ToPem() const;
  /// The last CN of the subject, "" when there is none.
  std::string common_name() const;
  /// The whole subject on one line, for messages.
  std::string subject() const;
  std::string issuer() const;
  std::vector<std::string> dns_names() const;
  /// In text form ("10.0.0.1", "::1").
  std::vector<std::string> ip_addresses() const;
  /// True when the extension is absent as well: then every use is allowed.
  bool allows_server_auth() const;
  bool allows_client_auth() const;
  bool is_ca() const;
  SystemTime not_before() const;
  SystemTime not_after() const;
  /// Hexadecimal, upper case.
  std::string serial() const;
  bool Matches(const PrivateKey& key) const;
  bool operator==(const Certificate& other) const;

  x509_st* native() const { return certificate_.get(); }

 private:
  friend Certificate WrapCertificate(x509_st* owned);

  std::shared_ptr<x509_st> certificate_;
};

/// For the files of this library: take over ownership.
Certificate WrapCertificate(x509_st* owned);
Result<PrivateKey, Error> WrapKey(evp_pkey_st* owned);

/// Why a chain is not accepted.
struct VerifyError {
  enum class Kind { kNoCertificate, kExpired, kNotYetValid, kUntrusted, kOther };

  Kind kind = Kind::kOther;
  std::string message{};
};

/// Checks `chain` (leaf first) at time `at` against `roots` and nothing else: the system's CAs play
/// no part. Any certificate in `roots` is an anchor, also an intermediate one, as in GnuTLS, which
/// tlshd uses. Extended key usage is not checked, as tlshd does not (facts: DRBD, F7).
Result<void, VerifyError> VerifyChain(std::span<const Certificate> chain,
                                      std::span<const Certificate> roots,
                                      SystemTime at);

/// The name check of tlshd's client side: a DNS SAN must equal `name`; the CN counts only in a
/// certificate without any SAN.
bool MatchesNameAsTlshd(const Certificate& certificate, std::string_view name);

}  // namespace breakwater::crypto
