#include "operator/core/render/image_config.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include <re2/re2.h>

#include "operator/api/field_reader.h"
#include "operator/core/render/yaml.h"

namespace breakwater::core {
namespace {

using api::FieldReader;
using api::Json;

/// A tag without an image would make a reference that no registry has, and with it new pods of what
/// runs. An empty component is a way to say that there is none.
bool LacksImage(const Json& value, const ComponentImage& component) {
  return value.is_object() && !value.empty() && component.image.empty() &&
         std::all_of(component.match.begin(), component.match.end(),
                     [](const ImageMatch& match) { return match.image.empty(); });
}

Result<void, Error> ReadDocument(const std::string& key,
                                 const Json& json,
                                 std::map<std::string, ComponentImage>* components,
                                 std::vector<std::string>* warnings) {
  api::FieldErrors errors;
  const FieldReader document(json, "", &errors);
  const std::string base = document.String("base");
  const Json* list = document.Raw("components");
  if (list != nullptr && list->is_object()) {
    for (const auto& [name, value] : list->items()) {
      const FieldReader reader(value, "components." + name, &errors);
      ComponentImage component{.base = base,
                               .image = reader.String("image"),
                               .tag = reader.String("tag"),
                               .digest = reader.String("digest")};
      for (const FieldReader& match : reader.Children("match")) {
        component.match.push_back(
            {std::make_shared<const re2::RE2>(match.String("osImage"), re2::RE2::Quiet),
             match.String("image"), match.Bool("precompiled")});
        const re2::RE2& expression = *component.match.back().os_image;
        if (!expression.ok()) {
          match.AddError("osImage", "is not a regular expression: " + expression.error());
        }
      }
      if (LacksImage(value, component)) {
        warnings->push_back("image configuration " + key + ": component " + name +
                            " has no image, it does not count");
        continue;
      }
      (*components)[name] = std::move(component);  // the last document wins as a whole
    }
  }
  if (!errors.empty()) {
    return Unexpected{Error{ErrorClass::kInvalid, api::JoinErrors(errors)}};
  }
  return {};
}

std::string Normalize(std::string_view name) {
  std::string result;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    result += std::isalnum(byte) != 0 ? static_cast<char>(std::toupper(byte)) : '_';
  }
  return result;
}

}  // namespace

Result<ImageConfig, Error> ImageConfig::FromConfigMap(const Json& config_map) {
  ImageConfig config;
  const Json* data = api::FindMember(config_map, "data");
  if (data == nullptr || !data->is_object()) {
    return Unexpected{Error{ErrorClass::kInvalid, "the image ConfigMap has no data"}};
  }
  for (const auto& [key, text] : data->items()) {  // nlohmann's objects are sorted by key
    if (!text.is_string()) {
      continue;
    }
    auto documents = ParseYaml(text.get<std::string>(), YamlBooleans::kOld);
    if (!documents) {
      return Unexpected{documents.error().WithContext("image configuration " + key)};
    }
    for (const Json& document : *documents) {
      if (auto read = ReadDocument(key, document, &config.components_, &config.warnings_); !read) {
        return Unexpected{read.error().WithContext("image configuration " + key)};
      }
    }
  }
  return config;
}

void ImageConfig::SetOverrides(const std::map<std::string, std::string>& environment) {
  for (const auto& [name, reference] : environment) {
    const std::string normalized = Normalize(name);
    if (normalized.starts_with("RELATED_IMAGE_") && !reference.empty()) {
      overrides_[normalized] = reference;
    }
  }
}

ResolvedImages ImageConfig::Resolve(const std::string& repository,
                                    const std::string& os_image,
                                    const std::map<std::string, std::string>& tags) const {
  ResolvedImages result;
  for (const auto& [name, component] : components_) {
    std::string image = component.image;
    for (const ImageMatch& match : component.match) {
      if (!os_image.empty() && re2::RE2::PartialMatch(os_image, *match.os_image)) {
        image = match.image.empty() ? image : match.image;
        result.precompiled = result.precompiled || match.precompiled;
        break;
      }
    }
    const std::string variable = "RELATED_IMAGE_" + Normalize(name);
    auto override = overrides_.find(variable + "_" + Normalize(image));
    if (override == overrides_.end()) {
      override = overrides_.find(variable);
    }
    if (override != overrides_.end()) {
      result.references[name] = override->second;
      continue;
    }
    if (image.empty()) {
      continue;
    }
    const std::string& base = repository.empty() ? component.base : repository;
    std::string reference = base.empty() ? image : base + "/" + image;
    const auto tag = tags.find(name);
    if (tag != tags.end()) {
      reference += ":" + tag->second;
    } else if (!component.digest.empty()) {
      reference += "@" + component.digest;
    } else if (!component.tag.empty()) {
      reference += ":" + component.tag;
    }
    result.references[name] = std::move(reference);
  }
  return result;
}

}  // namespace breakwater::core
