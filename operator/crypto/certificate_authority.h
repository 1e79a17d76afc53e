#pragma once

/// Issues certificates: for replication, and for tests. Pure but for the key and serial number,
/// which come from OpenSSL's generator: the dates are arguments.

#include <string>
#include <vector>

#include "operator/crypto/certificate.h"

namespace breakwater::crypto {

/// What to put into a certificate.
struct CertificateSpec {
  std::string common_name{};  ///< at most 64 bytes (X.520 upper bound), checked by OpenSSL
  std::vector<std::string> dns_names{};
  std::vector<std::string> ip_addresses{};
  bool server_auth = true;
  bool client_auth = true;
  bool is_ca = false;
  SystemTime not_before{};  ///< backdate by a few minutes: clocks of nodes differ
  SystemTime not_after{};
};

/// A certificate and its key.
struct Identity {
  Certificate certificate;
  PrivateKey key;
};

/// A self-signed CA with a new P-256 key. `spec.is_ca` is taken as true.
Result<Identity, Error> CreateAuthority(CertificateSpec spec);

/// A certificate signed by `authority` for a new P-256 key.
Result<Identity, Error> IssueCertificate(const Identity& authority, const CertificateSpec& spec);

}  // namespace breakwater::crypto
