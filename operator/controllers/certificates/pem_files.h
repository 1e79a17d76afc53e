#pragma once

/// PemFiles: the three files that tlshd reads, as text and as what PlanTrust sees of them. Pure.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/api/object.h"
#include "operator/base/secret.h"
#include "operator/core/replication/certificates/trust_plan.h"
#include "operator/crypto/certificate.h"

namespace breakwater::controllers {

/// The decoded text at data[`key`] of a Secret, or nothing.
std::optional<std::string> SecretText(const api::Object& secret, const std::string& key);

/// What a Secret, or a container, holds.
struct PemFiles {
  std::vector<crypto::Certificate> chain{};  ///< leaf first
  std::vector<crypto::Certificate> roots{};
  std::int64_t generation = 0;  ///< of a replication Secret; 0 elsewhere

  const crypto::Certificate& leaf() const { return chain.front(); }
};

/// From tls.crt and ca.crt of a Secret; nothing when one is missing or cannot be read.
/// @param roots_text instead of ca.crt, when given
std::optional<PemFiles> ReadPemFiles(const api::Object& secret,
                                     const std::optional<std::string>& roots_text = {});

/// The bundle as text for ca.crt. Its first line has the generation: text between certificates is
/// skipped by those who read them, and it shows which content a container has.
std::string BundleText(const replication::Authorities& bundle, std::int64_t generation);
/// The generation in such a text, 0 when there is none.
std::int64_t GenerationOf(const std::string& bundle_text);

/// All authorities that are known; an authority's fingerprint is its PEM text. Not thread safe.
class TrustUniverse {
 public:
  void Add(const std::vector<crypto::Certificate>& authorities);

  /// Which of the known authorities vouch for a chain. Dates play no part: an expired certificate
  /// is still known by its authority.
  replication::Authorities AnchorsOf(const std::vector<crypto::Certificate>& chain) const;
  replication::TrustFiles View(const PemFiles& files, SystemTime now) const;
  replication::TrustLeaf Leaf(const std::vector<crypto::Certificate>& chain, SystemTime now) const;

 private:
  std::map<std::string, crypto::Certificate> authorities_;
  /// Most of what is seen is the same certificate in a Secret and in a container.
  mutable std::map<std::string, replication::Authorities> known_;
};

/// The fingerprints of certificates.
replication::Authorities Fingerprints(const std::vector<crypto::Certificate>& authorities);

}  // namespace breakwater::controllers
