#pragma once

/// YAML and JSON text to JSON values, with the scalar rules that Kubernetes tools apply: 0440 and
/// 0o440 are octal numbers, 1_000 is a number, merge keys (`<<`) are merged. Which words are
/// booleans depends on the tool.

#include <string_view>
#include <vector>

#include "operator/api/object.h"
#include "operator/base/error.h"
#include "operator/base/result.h"

namespace breakwater::core {

enum class YamlBooleans {
  kCore,        ///< true and false
  kOld,         ///< also yes, no, on, off, y, n, as YAML 1.1 has it: configuration files
  kOldInLists,  ///< those in documents that are lists: kustomize reads JSON patches with another
                ///< library than resources
};

/// All documents of `text`; empty ones are skipped. kInvalid with line and column when it is not
/// YAML, or when it unfolds to more than 200000 values (aliases of aliases can make a small text
/// explode).
Result<std::vector<api::Json>, Error> ParseYaml(std::string_view text,
                                                YamlBooleans booleans = YamlBooleans::kCore);

}  // namespace breakwater::core
