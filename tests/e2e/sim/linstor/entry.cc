#include "tests/e2e/sim/linstor/entry.h"

#include <algorithm>
#include <chrono>
#include <ctime>

#include <fmt/chrono.h>
#include <fmt/format.h>

namespace breakwater::sim {

std::string NowText() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now);
  const auto nanos = std::chrono::duration_cast<std::chrono::nanoseconds>(now - seconds);
  return fmt::format("{:%FT%T}.{:09}Z", fmt::gmtime(static_cast<std::time_t>(seconds.count())),
                     nanos.count());
}

nlohmann::json ToJson(const Entry& entry) {
  nlohmann::json out{
      {"ret_code", entry.code}, {"message", entry.message}, {"created_at", NowText()}};
  if (!entry.cause.empty()) {
    out["cause"] = entry.cause;
  }
  if (!entry.details.empty()) {
    out["details"] = entry.details;
  }
  if (!entry.correction.empty()) {
    out["correction"] = entry.correction;
  }
  if (!entry.report_ids.empty()) {
    out["error_report_ids"] = entry.report_ids;
  }
  if (!entry.refs.empty()) {
    out["obj_refs"] = entry.refs;
  }
  return out;
}

HttpReply JsonReply(int status, const nlohmann::json& body) {
  HttpReply reply;
  reply.status = status;
  reply.body = body.dump();
  reply.close = status == 400 || status == 500;
  return reply;
}

bool HasError(const Entries& entries) {
  return std::any_of(entries.begin(), entries.end(),
                     [](const Entry& e) { return rc::IsError(e.code); });
}

HttpReply ListReply(int ok_status, const Entries& entries) {
  nlohmann::json body = nlohmann::json::array();
  int status = ok_status;
  for (const Entry& entry : entries) {
    body.push_back(ToJson(entry));
    if (status == ok_status && rc::IsError(entry.code)) {
      const auto number = rc::Number(entry.code);
      const bool missing = number >= rc::kNotFoundFirst && number <= rc::kNotFoundLast;
      status = missing ? 404 : 500;
    }
  }
  return JsonReply(status, body);
}

}  // namespace breakwater::sim
