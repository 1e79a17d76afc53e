#pragma once

/// How deep JSON text nests, without parsing it. The parser takes any depth, but copying and
/// writing a value recurse: a megabyte of "[" ends the process there.

#include <string_view>

namespace breakwater {

/// Far more than any object of Kubernetes or LINSTOR has.
constexpr int kMaxJsonDepth = 200;

/// Whether lists and objects are nested more than `levels` deep. For text that is no JSON the
/// answer is right up to the place where a parser gives up.
bool NestsDeeperThan(std::string_view json, int levels);

}  // namespace breakwater
