#pragma once

/// Authority: the operator's own certificate authority for replication, as it is kept in one
/// Secret, and what it issues. No I/O and no clock.
///
/// The Secret is mounted nowhere. It holds the current authority and, while a rotation is under
/// way, the one before, which can still renew what not all nodes can replace yet.

#include <chrono>
#include <optional>
#include <string>

#include "operator/api/object.h"
#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/crypto/certificate_authority.h"

namespace breakwater::controllers {

inline constexpr const char* kAuthoritySecret = "breakwater-replication-ca";

/// On the LinstorCluster: any new value asks for a new authority. On the Secret: the value that was
/// obeyed last.
inline constexpr std::string_view kRotateAnnotation = "breakwater.io/rotate-replication-ca";

/// Certificates are valid from this long before they are issued. The clocks of the operator and of
/// two nodes differ, and a node whose clock is 10 minutes late would refuse a certificate of this
/// minute as not yet valid; 30 minutes cover a clock of the operator that is early as well.
inline constexpr std::chrono::minutes kBackdated{30};

/// Life of an authority. Long, because a rotation makes every node fetch new files, and bounded,
/// because a key that nobody ever changes is never practised to change.
inline constexpr std::chrono::hours kAuthorityLife{24 * 365 * 5};

/// When two thirds of the life of a certificate are over: it is renewed then, and a third is left
/// for whatever stands in the way.
SystemTime RenewalTime(const crypto::Certificate& certificate);

struct Authority {
  crypto::Identity current;
  std::optional<crypto::Identity> previous{};
  std::string obeyed{};  ///< value of kRotateAnnotation
};

/// A new one; `obeyed` is what the LinstorCluster's annotation says now.
Result<Authority, Error> NewAuthority(SystemTime now, std::string obeyed);

/// The next one; the current one becomes the previous one.
Result<Authority, Error> Rotate(const Authority& authority, SystemTime now, std::string obeyed);

/// Whether a rotation is due: asked for by `asked`, or by the age of the authority. Never while one
/// is under way: bundles would grow, and nobody could say which keys are still good.
bool RotationDue(const Authority& authority, const std::string& asked, SystemTime now);

/// From the Secret. Errors: what is wrong with it; it is then not written over.
Result<Authority, Error> ReadAuthority(const api::Object& secret);

/// `data` and `metadata.annotations` of the Secret, for a merge patch: what is gone is null.
api::Json AuthorityContent(const Authority& authority);

/// A certificate of a node for replication: both usages, because a node is the server of one socket
/// of a connection and the client of the other, and the node's name, which its peers check (F7.1).
/// It ends before its authority does.
Result<crypto::Identity, Error> IssueForNode(const crypto::Identity& authority,
                                             const std::string& node,
                                             std::chrono::nanoseconds life,
                                             SystemTime now);

}  // namespace breakwater::controllers
