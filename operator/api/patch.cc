#include "operator/api/patch.h"

#include <utility>

namespace breakwater::api {

std::vector<Patch> ReadPatches(const FieldReader& parent, std::string_view key) {
  std::vector<Patch> result;
  for (const FieldReader& item : parent.Children(key)) {
    Patch patch{.patch = item.String("patch")};
    if (patch.patch.empty()) {
      item.AddError("patch", "must not be empty");
      continue;
    }
    if (const auto target = item.Child("target")) {
      patch.target = PatchTarget{
          .group = target->String("group"),
          .version = target->String("version"),
          .kind = target->String("kind"),
          .name = target->String("name"),
          .ns = target->String("namespace"),
          .label_selector = target->String("labelSelector"),
          .annotation_selector = target->String("annotationSelector"),
      };
    }
    // Up to v2.6 `options` was a free map of booleans: unknown keys are ignored, not refused.
    if (const auto options = item.Child("options")) {
      patch.allow_name_change = options->Bool("allowNameChange");
      patch.allow_kind_change = options->Bool("allowKindChange");
    }
    result.push_back(std::move(patch));
  }
  return result;
}

Json ToJson(const Patch& patch) {
  Json result{{"patch", patch.patch}};
  if (patch.target) {
    Json target = Json::object();
    const auto put = [&target](const char* key, const std::string& value) {
      if (!value.empty()) {
        target[key] = value;
      }
    };
    put("group", patch.target->group);
    put("version", patch.target->version);
    put("kind", patch.target->kind);
    put("name", patch.target->name);
    put("namespace", patch.target->ns);
    put("labelSelector", patch.target->label_selector);
    put("annotationSelector", patch.target->annotation_selector);
    result["target"] = std::move(target);
  }
  if (patch.allow_name_change) {
    result["options"]["allowNameChange"] = true;
  }
  if (patch.allow_kind_change) {
    result["options"]["allowKindChange"] = true;
  }
  return result;
}

Json ToJson(const std::vector<Patch>& patches) {
  Json result = Json::array();
  for (const Patch& patch : patches) {
    result.push_back(ToJson(patch));
  }
  return result;
}

}  // namespace breakwater::api
