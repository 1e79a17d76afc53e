#include "operator/base/file.h"

#include <array>
#include <fstream>

namespace breakwater {

Result<std::string, Error> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text;
  std::array<char, 4096> chunk{};
  do {
    // Not with iterators over the buffer: those throw where the stream only notes that it is bad.
    file.read(chunk.data(), chunk.size());
    text.append(chunk.data(), static_cast<std::size_t>(file.gcount()));
  } while (file);
  if (!file.is_open() || file.bad()) {
    return Unexpected{Error{ErrorClass::kTransient, "cannot read " + path}};
  }
  return text;
}

}  // namespace breakwater
