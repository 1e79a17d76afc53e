#include "operator/agent/process/install.h"

#include <optional>

#include <sys/stat.h>
#include <unistd.h>

#include "operator/agent/process/journal_files.h"
#include "operator/base/file.h"

namespace breakwater::agent {

Result<void, Error> Install(const std::string& directory) {
  BREAKWATER_ASSIGN_OR_RETURN(const std::string program, ReadFile("/proc/self/exe"));
  mkdir(directory.c_str(), 0755);
  return WriteFileAtomically(directory + "/breakwater-agent", program, 0555);
}

}  // namespace breakwater::agent
