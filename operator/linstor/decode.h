#pragma once

/// Decoders of LINSTOR's replies. Unknown fields are ignored, missing ones read as empty, so that
/// another version of LINSTOR is no error; only a reply that is no JSON of the expected shape is
/// one.

#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "operator/linstor/types.h"

namespace breakwater::linstor {

using Json = nlohmann::json;

/// Never throws; the error has a position but not the text, which may hold secrets. From a reply of
/// more than `kLargeReply` bytes the auxiliary properties of others are left out when
/// `skip_foreign_aux`: there may be any number of them (REVIEW-2 M2).
Result<Json, DecodeError> ParseJson(std::string_view text, bool skip_foreign_aux = false);

/// 8 MiB: a thousand volumes with three replicas each are about 9.
inline constexpr std::size_t kLargeReply = 8U << 20U;

/// The messages of a reply, also of a single message outside a list. Other JSON gives none.
std::vector<ApiCallRc> DecodeMessages(const Json& value);
Props DecodeProps(const Json& value);

ControllerVersion DecodeVersion(const Json& value);
Node DecodeNode(const Json& value);
StoragePool DecodeStoragePool(const Json& value);
ResourceGroup DecodeResourceGroup(const Json& value);
ResourceDefinition DecodeResourceDefinition(const Json& value);
Resource DecodeResource(const Json& value);
Connection DecodeConnection(const Json& value);
Snapshot DecodeSnapshot(const Json& value);

Json EncodeChange(const PropsChange& change);
Json EncodeNode(const Node& node);
Json EncodeNetInterface(const NetInterface& netif);
Json EncodeStoragePool(const StoragePool& pool);
Json EncodePhysicalStorage(const PhysicalStorage& storage);

}  // namespace breakwater::linstor
