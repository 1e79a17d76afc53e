#include "tests/e2e/sim/linstor/tool_output.h"

#include <cstdlib>
#include <sstream>

#include "tests/e2e/sim/linstor/model.h"

namespace breakwater::sim {

std::vector<std::string> Words(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> out;
  for (std::string word; in >> word;) {
    out.push_back(word);
  }
  return out;
}

std::uint32_t UtilsVersion(const std::string& text) {
  const std::string name = "DRBDADM_VERSION_CODE=";
  const auto at = text.find(name);
  if (at == std::string::npos) {
    return 0;
  }
  return static_cast<std::uint32_t>(std::strtoul(text.c_str() + at + name.size(), nullptr, 16));
}

std::set<std::string> UserSuspended(const std::string& status) {
  std::set<std::string> out;
  std::istringstream in(status);
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line.front() == ' ') {
      continue;  // devices and peers are indented
    }
    const auto words = Words(line);
    for (const auto& word : words) {
      // "suspended:user" or several reasons: "suspended:user,quorum".
      if (word.rfind("suspended:", 0) == 0 && word.find("user") != std::string::npos) {
        out.insert(Key(words.front()));
      }
    }
  }
  return out;
}

}  // namespace breakwater::sim
