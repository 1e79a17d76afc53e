#include "operator/core/admission/storage_pool_rules.h"

#include <filesystem>
#include <set>

#include <re2/re2.h>

#include "operator/core/satellite/properties.h"

namespace breakwater::core {
namespace {

using api::StoragePool;
using api::StoragePoolType;

/// Checks of one pool; collects errors under its path.
class PoolChecker {
 public:
  PoolChecker(std::string path, const StoragePool& pool, api::FieldErrors* errors)
      : path_(std::move(path)), pool_(pool), errors_(errors) {}

  void Check(std::set<std::string>* devices) {
    static const re2::RE2 kName("[A-Za-z0-9][A-Za-z0-9_-]{1,46}[A-Za-z0-9]");
    if (!re2::RE2::FullMatch(pool_.name, kName)) {
      Fail("name",
           "must have 3 to 48 letters, digits, '_' or '-', and start and end with a letter or "
           "digit");
    }
    if (pool_.type == StoragePoolType::kNone) {
      Fail("", "must have exactly one type, such as lvmThinPool");
      return;
    }
    const std::string field(StoragePoolField(pool_.type));
    CheckNames(field);
    CheckSource(field, devices);
  }

 private:
  void Fail(const std::string& field, std::string message) {
    errors_->push_back({field.empty() ? path_ : path_ + "." + field, std::move(message)});
  }

  void CheckNames(const std::string& field) {
    static const re2::RE2 kLvmName("[A-Za-z0-9.+_-]+");
    if (!pool_.volume_group.empty() && !re2::RE2::FullMatch(pool_.volume_group, kLvmName)) {
      Fail(field + ".volumeGroup", "is not a valid name of a volume group");
    }
    if (!pool_.thin_pool.empty() && !re2::RE2::FullMatch(pool_.thin_pool, kLvmName)) {
      Fail(field + ".thinPool", "is not a valid name of a thin pool");
    }
    const bool relative = !pool_.directory.empty() && !IsCleanAbsolute(pool_.directory);
    if (pool_.is_file() && relative) {
      Fail(field + ".directory", "must be an absolute path without '.', '..' or double slashes");
    }
  }

  void CheckSource(const std::string& field, std::set<std::string>* devices) {
    if (!pool_.host_devices) {
      return;
    }
    if (pool_.is_file()) {
      Fail("source", "is not possible for a " + field);
      return;
    }
    if (pool_.host_devices->empty()) {
      Fail("source.hostDevices", "must list at least one device");
    }
    for (std::size_t i = 0; i < pool_.host_devices->size(); ++i) {
      const std::string& device = (*pool_.host_devices)[i];
      const std::string where = "source.hostDevices[" + std::to_string(i) + "]";
      if (!device.starts_with("/dev/") || !IsCleanAbsolute(device)) {
        Fail(where, "must be the path of a device below /dev, without '.', '..' or double slashes");
      }
      if (!devices->insert(device).second) {
        Fail(where, "is used twice: \"" + device + "\"");
      }
    }
  }

  static bool IsCleanAbsolute(const std::string& text) {
    const std::filesystem::path path(text);
    return path.is_absolute() && path.lexically_normal() == path && !text.ends_with('/');
  }

  const std::string path_;
  const StoragePool& pool_;
  api::FieldErrors* errors_;
};

}  // namespace

void CheckStoragePools(const std::string& path,
                       const std::vector<StoragePool>& pools,
                       api::FieldErrors* errors) {
  std::set<std::string> devices;
  std::set<std::string> names;
  for (std::size_t i = 0; i < pools.size(); ++i) {
    const std::string where = path + "[" + std::to_string(i) + "]";
    if (!names.insert(pools[i].name).second) {
      errors->push_back({where + ".name", "is used twice: \"" + pools[i].name + "\""});
    }
    PoolChecker(where, pools[i], errors).Check(&devices);
    CheckNodeProperties(where + ".properties", pools[i].properties, errors);
  }
}

void CheckNodeProperties(const std::string& path,
                         const std::vector<api::LinstorNodeProperty>& properties,
                         api::FieldErrors* errors) {
  for (std::size_t i = 0; i < properties.size(); ++i) {
    const api::LinstorNodeProperty& property = properties[i];
    const std::string where = path + "[" + std::to_string(i) + "]";
    const int sources = (property.value.empty() ? 0 : 1) + (property.value_from ? 1 : 0) +
                        (property.expand_from ? 1 : 0);
    if (sources != 1) {
      errors->push_back({where, "must have exactly one of value, valueFrom and expandFrom"});
      continue;
    }
    if (property.value_from) {
      if (std::string problem = CheckFieldPath(*property.value_from, false); !problem.empty()) {
        errors->push_back({where + ".valueFrom.nodeFieldRef", std::move(problem)});
      }
    }
    if (property.expand_from) {
      if (std::string problem = CheckFieldPath(property.expand_from->node_field_ref, true);
          !problem.empty()) {
        errors->push_back({where + ".expandFrom.nodeFieldRef", std::move(problem)});
      }
      if (!property.expand_from->name_template.empty() &&
          !property.expand_from->delimiter.empty()) {
        errors->push_back({where + ".expandFrom",
                           "nameTemplate makes several properties: it has no use for a delimiter"});
      }
    }
  }
}

}  // namespace breakwater::core
