#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/e2e/sim/linstor/http_types.h"
#include "tests/e2e/sim/linstor/ret_code.h"

namespace breakwater::sim {

/// One element of LINSTOR's reply list ("ApiCallRc"). Empty members are left out of the JSON.
struct Entry {
  std::int64_t code = 0;
  std::string message;
  std::string cause = {};
  std::string details = {};
  std::string correction = {};
  std::vector<std::string> report_ids = {};
  nlohmann::json refs = nlohmann::json::object();
};

using Entries = std::vector<Entry>;

/// Wall clock as "2026-11-22T08:34:27.475241983Z".
std::string NowText();

nlohmann::json ToJson(const Entry& entry);

HttpReply JsonReply(int status, const nlohmann::json& body);

/// The list as reply: `ok_status` when nothing failed, 404 when the first error is a "not found",
/// 500 otherwise.
HttpReply ListReply(int ok_status, const Entries& entries);

bool HasError(const Entries& entries);

}  // namespace breakwater::sim
