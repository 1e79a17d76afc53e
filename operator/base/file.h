#pragma once

/// Reading small files (certificates, tokens, configuration) whole.

#include <string>

#include "operator/base/error.h"
#include "operator/base/result.h"

namespace breakwater {

/// The content of `path`. kTransient when it cannot be read: mounted secrets appear and change
/// late.
Result<std::string, Error> ReadFile(const std::string& path);

}  // namespace breakwater
