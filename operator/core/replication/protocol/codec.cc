#include "operator/core/replication/protocol/codec.h"

#include "operator/base/json_depth.h"

namespace breakwater::replication {
namespace {

// hello: 1, resource -> report -> status -> connections -> item -> devices -> item: 8.
constexpr int kMaxDepth = 16;

}  // namespace

std::optional<Json> ParseObject(std::string_view text) {
  if (NestsDeeperThan(text, kMaxDepth)) {
    return std::nullopt;
  }
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  return json.is_object() ? std::optional<Json>(std::move(json)) : std::nullopt;
}

}  // namespace breakwater::replication
