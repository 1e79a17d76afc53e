#include "operator/runtime/schema_gaps.h"

#include <cctype>
#include <chrono>

namespace breakwater::runtime {
namespace {

using api::Json;

constexpr std::string_view kMarker = ": field not declared in schema";
/// Long enough that the extra request does not count, short enough for somebody who has just
/// updated the definitions.
constexpr std::chrono::minutes kForget{10};

/// ".spec.pools[name=\"a\"].b" -> "spec.pools[].b".
std::string WithoutIndices(std::string_view path) {
  std::string result;
  for (std::size_t i = 0; i < path.size(); ++i) {
    result += path[i];
    if (path[i] == '[') {
      const std::size_t end = path.find(']', i);
      if (end == std::string_view::npos) {
        return "";
      }
      i = end - 1;
    }
  }
  return result.starts_with('.') ? result.substr(1) : "";
}

void Remove(Json* value, std::string_view path) {
  if (value->is_array()) {
    for (Json& item : *value) {
      Remove(&item, path);
    }
    return;
  }
  if (!value->is_object()) {
    return;
  }
  const std::size_t dot = path.find('.');
  std::string key(path.substr(0, dot));
  if (key.ends_with("[]")) {
    key.resize(key.size() - 2);
  }
  if (dot == std::string_view::npos) {
    value->erase(key);
  } else if (const auto member = value->find(key); member != value->end()) {
    Remove(&*member, path.substr(dot + 1));
  }
}

}  // namespace

std::vector<std::string> UndeclaredFields(std::string_view message) {
  std::vector<std::string> fields;
  for (std::size_t at = message.find(kMarker); at != std::string_view::npos;
       at = message.find(kMarker, at + 1)) {
    std::size_t begin = at;
    while (begin > 0 && std::isspace(static_cast<unsigned char>(message[begin - 1])) == 0) {
      --begin;
    }
    if (std::string field = WithoutIndices(message.substr(begin, at - begin)); !field.empty()) {
      fields.push_back(std::move(field));
    }
  }
  return fields;
}

bool SchemaGaps::Learn(const api::ResourceInfo& resource,
                       std::string_view message,
                       SteadyTime now) {
  bool news = false;
  const std::vector<std::string> fields = UndeclaredFields(message);
  const std::lock_guard lock(mutex_);
  for (const std::string& field : fields) {
    Kind& kind = kinds_[resource.kind];
    kind.learnt = now;
    news = kind.fields.insert(field).second || news;
  }
  return news;
}

Json SchemaGaps::Without(const api::ResourceInfo& resource, Json object, SteadyTime now) {
  const std::lock_guard lock(mutex_);
  const auto kind = kinds_.find(resource.kind);
  if (kind == kinds_.end()) {
    return object;
  }
  if (now - kind->second.learnt > kForget) {
    kinds_.erase(kind);
    return object;
  }
  for (const std::string& field : kind->second.fields) {
    Remove(&object, field);
  }
  return object;
}

std::vector<std::string> SchemaGaps::Describe() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> lines;
  for (const auto& [kind, gaps] : kinds_) {
    std::string line = kind + ":";
    for (const std::string& field : gaps.fields) {
      line += (line.ends_with(':') ? " " : ", ") + field;
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace breakwater::runtime
