#include "operator/testing/source_dir.h"

namespace breakwater::testing {

std::string SourceDir() {
  return BREAKWATER_SOURCE_DIR;
}

}  // namespace breakwater::testing
