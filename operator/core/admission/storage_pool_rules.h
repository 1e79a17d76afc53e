#pragma once

/// Rules for storage pools: names, exactly one type, devices, and what may not change.

#include <string>
#include <vector>

#include "operator/api/storage_pool.h"
#include "operator/core/admission/validate.h"

namespace breakwater::core {

/// @param old_pools those of the same object before the change; empty on creation
void CheckStoragePools(const std::string& path,
                       const std::vector<api::StoragePool>& pools,
                       const std::vector<api::StoragePool>& old_pools,
                       ValidationResult* result);

/// Sources and field paths of properties.
void CheckNodeProperties(const std::string& path,
                         const std::vector<api::LinstorNodeProperty>& properties,
                         ValidationResult* result);

}  // namespace breakwater::core
