#include "operator/webhook/admission_review.h"

#include <algorithm>
#include <utility>

#include "operator/base/json_depth.h"

namespace breakwater::webhook {
namespace {

using api::Json;

constexpr std::string_view kApiVersion = "admission.k8s.io/v1";
/// Source: Kubernetes documentation, "Response": single warnings should be at most 256 characters,
/// all of them together are cut at 4096.
constexpr std::size_t kMaxWarning = 256;
constexpr std::size_t kMaxWarnings = 16;
/// A refusal is read by a person; a patch may be quoted in it.
constexpr std::size_t kMaxMessage = 4096;
constexpr std::size_t kMaxCauses = 32;
constexpr std::size_t kMaxField = 256;

Error Invalid(std::string message) {
  return {ErrorClass::kInvalid, std::move(message)};
}

/// At most `size` bytes, not cut inside a character.
std::string Cut(std::string text, std::size_t size) {
  if (text.size() <= size) {
    return text;
  }
  std::size_t end = size - 3;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) {
    --end;
  }
  return text.substr(0, end) + "...";
}

/// Takes the member out of `request`: an object can be most of a megabyte.
Json Take(Json& request, const char* key) {
  const auto member = request.find(key);
  return member == request.end() ? Json() : std::move(*member);
}

Json Refusal(const AdmissionRequest& request, const api::FieldErrors& errors) {
  Json causes = Json::array();
  for (std::size_t i = 0; i < std::min(errors.size(), kMaxCauses); ++i) {
    causes.push_back({{"reason", "FieldValueInvalid"},
                      {"field", Cut(errors[i].path, kMaxField)},
                      {"message", Cut(errors[i].message, kMaxMessage)}});
  }
  return {{"status", "Failure"},
          {"code", 422},
          {"reason", "Invalid"},
          {"message", Cut(api::JoinErrors(errors), kMaxMessage)},
          {"details",
           {{"group", request.group},
            {"kind", request.kind},
            {"name", request.name},
            {"causes", std::move(causes)}}}};
}

}  // namespace

Result<AdmissionRequest, Error> DecodeReview(std::string_view body) {
  if (NestsDeeperThan(body, kMaxJsonDepth)) {
    return Unexpected{
        Invalid("the body is nested more than " + std::to_string(kMaxJsonDepth) + " levels deep")};
  }
  Json review = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (review.is_discarded()) {
    return Unexpected{Invalid("the body is not JSON")};
  }
  if (api::StringAt(review, "kind") != "AdmissionReview" ||
      api::StringAt(review, "apiVersion") != kApiVersion) {
    return Unexpected{Invalid("the body is no AdmissionReview of " + std::string(kApiVersion))};
  }
  Json request = Take(review, "request");
  const std::string uid = api::StringAt(request, "uid");
  if (uid.empty()) {
    return Unexpected{Invalid("the AdmissionReview has no request with a uid")};
  }
  const Json kind = Take(request, "kind");
  return AdmissionRequest{.uid = uid,
                          .group = api::StringAt(kind, "group"),
                          .kind = api::StringAt(kind, "kind"),
                          .name = api::StringAt(request, "name"),
                          .operation = api::StringAt(request, "operation"),
                          .object = Take(request, "object"),
                          .old_object = Take(request, "oldObject")};
}

std::string EncodeReview(const AdmissionRequest& request, const Verdict& verdict) {
  Json response = {{"uid", request.uid}, {"allowed", verdict.errors.empty()}};
  if (!verdict.errors.empty()) {
    response["status"] = Refusal(request, verdict.errors);
  }
  for (std::size_t i = 0; i < std::min(verdict.warnings.size(), kMaxWarnings); ++i) {
    response["warnings"].push_back(Cut(verdict.warnings[i], kMaxWarning));
  }
  const Json review = {
      {"apiVersion", kApiVersion}, {"kind", "AdmissionReview"}, {"response", std::move(response)}};
  return review.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace breakwater::webhook
