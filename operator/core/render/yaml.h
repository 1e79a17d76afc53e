#pragma once

/// YAML and JSON text to JSON values, with the scalar rules of YAML 1.2 as Kubernetes tools apply
/// them: only true/false are booleans ("yes" and "no" are strings), 0440 and 0o440 are octal
/// numbers.

#include <string_view>
#include <vector>

#include "operator/api/object.h"
#include "operator/base/error.h"
#include "operator/base/result.h"

namespace breakwater::core {

/// All documents of `text`; empty ones are skipped. kInvalid with line and column when it is not
/// YAML, or when it unfolds to more than 200000 values (aliases of aliases can make a small text
/// explode).
Result<std::vector<api::Json>, Error> ParseYaml(std::string_view text);

}  // namespace breakwater::core
