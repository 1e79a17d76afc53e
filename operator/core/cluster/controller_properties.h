#pragma once

/// Properties of the LINSTOR controller: what the operator sets for the whole cluster.

#include <map>
#include <string>
#include <vector>

#include "operator/api/property.h"

namespace breakwater::core {

/// Defaults of the Piraeus Operator v2.11.
const std::map<std::string, std::string>& DefaultControllerProperties();

/// Defaults, overridden by name by `properties`, plus the mark of the operator. Bookkeeping is
/// added by the LINSTOR client.
std::map<std::string, std::string> DesiredControllerProperties(
    const std::vector<api::Property>& properties);

}  // namespace breakwater::core
