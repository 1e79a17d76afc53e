#include "operator/api/storage_pool.h"

#include <array>
#include <utility>

namespace breakwater::api {
namespace {

struct TypeName {
  StoragePoolType type;
  std::string_view field;
  std::string_view provider;
};

constexpr std::array<TypeName, 6> kTypes{{
    {StoragePoolType::kLvm, "lvmPool", "LVM"},
    {StoragePoolType::kLvmThin, "lvmThinPool", "LVM_THIN"},
    {StoragePoolType::kFile, "filePool", "FILE"},
    {StoragePoolType::kFileThin, "fileThinPool", "FILE_THIN"},
    {StoragePoolType::kZfs, "zfsPool", "ZFS"},
    {StoragePoolType::kZfsThin, "zfsThinPool", "ZFS_THIN"},
}};

void ReadType(const FieldReader& item, StoragePool* pool) {
  int count = 0;
  for (const TypeName& name : kTypes) {
    const auto reader = item.Child(name.field);
    if (!reader) {
      continue;
    }
    ++count;
    pool->type = name.type;
    pool->volume_group = reader->String("volumeGroup");
    pool->thin_pool = reader->String("thinPool");
    pool->directory = reader->String("directory");
    pool->z_pool = reader->String("zPool");
    pool->physical_volume_create_arguments = reader->Strings("physicalVolumeCreateArguments");
    pool->volume_group_create_arguments = reader->Strings("volumeGroupCreateArguments");
    pool->logical_volume_create_arguments = reader->Strings("logicalVolumeCreateArguments");
    pool->zpool_create_arguments = reader->Strings("zpoolCreateArguments");
    pool->shared_space = reader->String("sharedSpace");
    pool->external_locking = reader->Bool("externalLocking");
  }
  if (count != 1) {
    pool->type = StoragePoolType::kNone;
    item.AddError("",
                  "must have exactly one type: lvmPool, lvmThinPool, filePool, fileThinPool, "
                  "zfsPool or zfsThinPool");
  }
}

Json TypeJson(const StoragePool& pool) {
  Json result = Json::object();
  const auto put = [&result](const char* key, const auto& value) {
    if (!value.empty()) {
      result[key] = value;
    }
  };
  put("volumeGroup", pool.volume_group);
  put("thinPool", pool.thin_pool);
  put("directory", pool.directory);
  put("zPool", pool.z_pool);
  put("physicalVolumeCreateArguments", pool.physical_volume_create_arguments);
  put("volumeGroupCreateArguments", pool.volume_group_create_arguments);
  put("logicalVolumeCreateArguments", pool.logical_volume_create_arguments);
  put("zpoolCreateArguments", pool.zpool_create_arguments);
  put("sharedSpace", pool.shared_space);
  if (pool.external_locking) {
    result["externalLocking"] = true;
  }
  return result;
}

}  // namespace

std::string_view StoragePoolField(StoragePoolType type) {
  for (const TypeName& name : kTypes) {
    if (name.type == type) {
      return name.field;
    }
  }
  return {};
}

std::string_view StoragePool::ProviderKind() const {
  for (const TypeName& candidate : kTypes) {
    if (candidate.type == type) {
      return candidate.provider;
    }
  }
  return {};
}

std::string StoragePool::ThinPoolOrDefault() const {
  return thin_pool.empty() ? name : thin_pool;
}

std::string StoragePool::VolumeGroupOrDefault() const {
  if (!volume_group.empty()) {
    return volume_group;
  }
  return type == StoragePoolType::kLvmThin ? "linstor_" + ThinPoolOrDefault() : name;
}

std::string StoragePool::DirectoryOrDefault() const {
  return directory.empty() ? "/var/lib/linstor-pools/" + name : directory;
}

std::string StoragePool::BackingName() const {
  switch (type) {
    case StoragePoolType::kLvm:
      return VolumeGroupOrDefault();
    case StoragePoolType::kLvmThin:
      return VolumeGroupOrDefault() + "/" + ThinPoolOrDefault();
    case StoragePoolType::kFile:
    case StoragePoolType::kFileThin:
      return DirectoryOrDefault();
    case StoragePoolType::kZfs:
    case StoragePoolType::kZfsThin:
      return z_pool.empty() ? name : z_pool;
    case StoragePoolType::kNone:
      break;
  }
  return {};
}

std::vector<StoragePool> ReadStoragePools(const FieldReader& parent, std::string_view key) {
  std::vector<StoragePool> result;
  for (const FieldReader& item : parent.Children(key)) {
    StoragePool pool{.name = item.String("name"), .properties = ReadNodeProperties(item)};
    if (pool.name.empty()) {
      item.AddError("name", "must not be empty");
      continue;
    }
    ReadType(item, &pool);
    if (const auto source = item.Child("source")) {
      pool.host_devices = source->Strings("hostDevices");
    }
    result.push_back(std::move(pool));
  }
  return result;
}

Json ToJson(const StoragePool& pool) {
  Json result{{"name", pool.name}};
  if (!pool.properties.empty()) {
    result["properties"] = ToJson(pool.properties);
  }
  if (pool.type != StoragePoolType::kNone) {
    result[std::string(StoragePoolField(pool.type))] = TypeJson(pool);
  }
  if (pool.host_devices) {
    result["source"]["hostDevices"] = *pool.host_devices;
  }
  return result;
}

Json ToJson(const std::vector<StoragePool>& pools) {
  Json result = Json::array();
  for (const StoragePool& pool : pools) {
    result.push_back(ToJson(pool));
  }
  return result;
}

}  // namespace breakwater::api
