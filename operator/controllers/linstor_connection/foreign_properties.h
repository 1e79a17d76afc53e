#pragma once

/// ForeignProperties: LINSTOR properties that only the controller of replication TLS may send.

#include <set>
#include <string>

#include "operator/linstor/types.h"

namespace breakwater::controllers {

/// The TLS switch of replication goes to LINSTOR only when every existing volume is pinned, or
/// LINSTOR's adjust would fail on each of them. Nobody else sets, deletes or records these keys.
inline const std::set<std::string>& ForeignProperties() {
  static const std::set<std::string> kKeys{std::string(linstor::kPropertyTls)};
  return kKeys;
}

}  // namespace breakwater::controllers
