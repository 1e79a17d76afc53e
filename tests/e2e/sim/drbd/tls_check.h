// What tlshd checks in a handshake, with the real X.509 rules of OpenSSL.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace breakwater::sim {

using TlsFiles = std::map<std::string, std::string>;  // path -> PEM text

enum class TlsFault {
  kNone,
  kOwnKey,         // own certificate or key is missing, unreadable or they do not fit
  kOwnTruststore,  // own CA file is missing
  kUntrusted,      // peer's chain does not lead to our CA
  kExpired,
  kWrongName,
};

// Can this daemon offer an identity at all?
[[nodiscard]] TlsFault CheckOwnFiles(const TlsFiles& own);

// As client: chain, dates by the own clock, and the name against DNS SANs (CN only without any
// SAN).
[[nodiscard]] TlsFault CheckServer(const TlsFiles& own,
                                   const TlsFiles& server,
                                   const std::string& expected_name,
                                   std::int64_t clock_ahead_s = 0);

// As server: a client without certificate is accepted, and any certificate of the CA.
[[nodiscard]] TlsFault CheckClient(const TlsFiles& own,
                                   const TlsFiles& client,
                                   std::int64_t clock_ahead_s = 0);

}  // namespace breakwater::sim
