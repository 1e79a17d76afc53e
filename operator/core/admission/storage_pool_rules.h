#pragma once

/// Rules for storage pools: names, exactly one type, devices.

#include <string>
#include <vector>

#include "operator/api/field_error.h"
#include "operator/api/storage_pool.h"

namespace breakwater::core {

void CheckStoragePools(const std::string& path,
                       const std::vector<api::StoragePool>& pools,
                       api::FieldErrors* errors);

/// Sources and field paths of properties.
void CheckNodeProperties(const std::string& path,
                         const std::vector<api::LinstorNodeProperty>& properties,
                         api::FieldErrors* errors);

}  // namespace breakwater::core
