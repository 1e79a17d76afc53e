#pragma once

/// Where the sources are, for tests that read test data. Tests only.

#include <string>

namespace breakwater::testing {

/// The root of the checkout that this test was built from. A function and not a macro: only one
/// file depends on the path, so that a compiler cache serves every checkout.
std::string SourceDir();

}  // namespace breakwater::testing
