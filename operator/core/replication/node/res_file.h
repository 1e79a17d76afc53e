#pragma once

/// LINSTOR's .res files: what the next `drbdadm adjust` will make of the connections' `tls`. A
/// property in LINSTOR is no proof that a node has it (REVIEW-1 R2), the file on the node is.
/// Reads what drbd.conf(5) allows, keeps only names and `tls`; secrets in the file are not kept.
/// Thread safety: pure functions; input is untrusted: never throws, never recurses.

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "operator/core/replication/node/drbd_types.h"

namespace breakwater::replication {

struct ResFile {
  std::map<std::string, ResConfig> resources{};  ///< by resource name; those that are complete
  bool well_formed = true;  ///< false: braces or quotes do not match, something may be missing
};

/// The connections of `own_names` (the names that this node may have in the file), by peer. The
/// value on the connection wins over that of the resource; where neither has one, it is plaintext.
/// One text may hold several resources.
ResFile ParseResFile(std::string_view text, const std::set<std::string>& own_names);

}  // namespace breakwater::replication
