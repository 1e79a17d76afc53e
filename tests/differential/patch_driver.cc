// breakwater-patches: applies patches as the operator does. A list of cases on standard input, as
// JSON: [{"resources": "YAML", "patches": [{"patch", "target", "options"}], "namespace"}]; for each
// {"objects": [...]} or {"error": "..."} on standard output.

#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "operator/api/patch.h"
#include "operator/core/render/patches.h"
#include "operator/core/render/transformers.h"
#include "operator/core/render/yaml.h"

namespace breakwater::core {
namespace {

using api::Json;

Result<ResourceSet, Error> Run(const Json& test) {
  ResourceSet resources;
  BREAKWATER_ASSIGN_OR_RETURN(const std::vector<Json> documents,
                              ParseYaml(test.at("resources").get<std::string>()));
  for (const Json& document : documents) {
    resources.emplace_back(document);
  }
  api::FieldErrors errors;
  const std::vector<api::Patch> patches = api::ReadPatches(api::FieldReader(test, "", &errors));
  if (!errors.empty()) {
    return Unexpected{Error{ErrorClass::kInvalid, errors.front().ToString()}};
  }
  for (const api::Patch& patch : patches) {
    BREAKWATER_ASSIGN_OR_RETURN(const ParsedPatch parsed, ParsePatch(patch));
    BREAKWATER_RETURN_IF_ERROR(ApplyPatch(parsed, MissingObject::kError, &resources));
  }
  SetNamespace(test.at("namespace").get<std::string>(), &resources);
  return resources;
}

int Main() {
  const std::string text{std::istreambuf_iterator<char>(std::cin), {}};
  Json answers = Json::array();
  for (const Json& test : Json::parse(text)) {
    const Result<ResourceSet, Error> result = Run(test);
    if (!result) {
      answers.push_back({{"error", result.error().message}});
      continue;
    }
    Json objects = Json::array();
    for (const RenderedResource& resource : *result) {
      objects.push_back(resource.object);
    }
    answers.push_back({{"objects", std::move(objects)}});
  }
  std::cout << answers.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
  return 0;
}

}  // namespace
}  // namespace breakwater::core

int main() {
  return breakwater::core::Main();
}
