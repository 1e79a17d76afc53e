#pragma once

/// `breakwater-agent install DIR`: the init container runs FROM scratch, so the binary copies
/// itself.

#include <string>

#include "operator/base/error.h"
#include "operator/base/result.h"

namespace breakwater::agent {

/// Copies the running program to DIR/breakwater-agent, mode 0555: written aside, synced, renamed,
/// so that nobody ever runs half of it.
Result<void, Error> Install(const std::string& directory);

}  // namespace breakwater::agent
