#pragma once

/// StoragePool: what LINSTOR takes volumes from on a node.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "operator/api/property.h"

namespace breakwater::api {

enum class StoragePoolType { kNone, kLvm, kLvmThin, kFile, kFileThin, kZfs, kZfsThin };

/// Field name of the type in a custom resource ("lvmThinPool"); "" for kNone.
std::string_view StoragePoolField(StoragePoolType type);

struct StoragePool {
  std::string name{};
  std::vector<LinstorNodeProperty> properties{};
  /// kNone when the object has no type or more than one (an error either way).
  StoragePoolType type = StoragePoolType::kNone;
  std::string volume_group{};  ///< as written; "" means the default
  std::string thin_pool{};     ///< lvmThinPool only
  std::string directory{};     ///< file pools
  std::string z_pool{};        ///< zfs pools
  std::vector<std::string> physical_volume_create_arguments{};
  std::vector<std::string> volume_group_create_arguments{};
  std::vector<std::string> logical_volume_create_arguments{};
  std::vector<std::string> zpool_create_arguments{};
  /// lvmPool only: pools of other nodes with the same name here are on the same disks; "" = none.
  std::string shared_space{};
  bool external_locking = false;  ///< lvmPool only: lvmlockd of the host locks the shared space
  /// source.hostDevices: devices to make the pool from; nullopt without `source`.
  std::optional<std::vector<std::string>> host_devices{};

  bool operator==(const StoragePool&) const = default;

  /// Kind as LINSTOR's REST API names it ("LVM_THIN"); "" for kNone.
  std::string_view ProviderKind() const;
  /// Value of `StorDriver/StorPoolName`, with the defaults filled in: "<vg>", "<vg>/<thin pool>",
  /// the directory or the zpool.
  std::string BackingName() const;
  /// Volume group and thin pool with their defaults (LVM types only).
  std::string VolumeGroupOrDefault() const;
  std::string ThinPoolOrDefault() const;
  /// Directory of a file pool, by default /var/lib/linstor-pools/<name>.
  std::string DirectoryOrDefault() const;

  bool is_file() const {
    return type == StoragePoolType::kFile || type == StoragePoolType::kFileThin;
  }
};

std::vector<StoragePool> ReadStoragePools(const FieldReader& parent,
                                          std::string_view key = "storagePools");
Json ToJson(const StoragePool& pool);
Json ToJson(const std::vector<StoragePool>& pools);

}  // namespace breakwater::api
