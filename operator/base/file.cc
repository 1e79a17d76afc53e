#include "operator/base/file.h"

#include <fstream>
#include <iterator>

namespace breakwater {

Result<std::string, Error> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file.is_open() || file.bad()) {
    return Unexpected{Error{ErrorClass::kTransient, "cannot read " + path}};
  }
  return text;
}

}  // namespace breakwater
