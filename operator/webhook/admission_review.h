#pragma once

/// AdmissionReview: what the API server asks before it stores an object, and the answer. Only
/// admission.k8s.io/v1, the one that every supported version speaks. Pure functions.
/// Source of the fields:
/// https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/

#include <string>
#include <string_view>
#include <vector>

#include "operator/api/field_error.h"
#include "operator/api/object.h"
#include "operator/base/error.h"
#include "operator/base/result.h"

namespace breakwater::webhook {

/// One question.
struct AdmissionRequest {  // NOLINT(bugprone-exception-escape): the move of nlohmann::json is
                           // noexcept
  std::string uid{};       ///< the answer must repeat it
  std::string group{};     ///< "piraeus.io"
  std::string kind{};      ///< "LinstorCluster"
  std::string name{};
  std::string operation{};  ///< CREATE, UPDATE, DELETE or CONNECT
  api::Json object{};       ///< as it would be stored; null for DELETE
  api::Json old_object{};   ///< as it is stored; null for CREATE
};

/// The answer: allowed unless there are errors. Warnings are shown to the user either way.
struct Verdict {
  api::FieldErrors errors{};
  std::vector<std::string> warnings{};
};

/// kInvalid when `body` is no AdmissionReview with a request: then nobody can be answered.
Result<AdmissionRequest, Error> DecodeReview(std::string_view body);

/// The AdmissionReview to send back. A refusal has code 422 and one cause for each field (32 at
/// most), as the API server's own refusals do. Long texts are cut: the API server drops warnings
/// beyond 4 KiB.
std::string EncodeReview(const AdmissionRequest& request, const Verdict& verdict);

}  // namespace breakwater::webhook
