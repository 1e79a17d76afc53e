#include "operator/linstor/types.h"

#include <algorithm>

namespace breakwater::linstor {
namespace {

bool Contains(const std::vector<std::string>& values, std::string_view value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

}  // namespace

bool Node::HasFlag(std::string_view flag) const {
  return Contains(flags, flag);
}

bool Resource::HasFlag(std::string_view flag) const {
  return Contains(flags, flag);
}

bool ResourceDefinition::HasDrbd() const {
  return Contains(layers, "DRBD");
}

}  // namespace breakwater::linstor
