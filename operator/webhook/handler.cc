#include "operator/webhook/handler.h"

#include <algorithm>
#include <cctype>
#include <string>

#include "operator/webhook/admit.h"

namespace breakwater::webhook {
namespace {

constexpr std::string_view kPrefix = "/validate-piraeus-io-v1-";

net::Response Text(int status, std::string body) {
  return {.status = status,
          .headers = {{"Content-Type", "text/plain; charset=utf-8"}},
          .body = std::move(body)};
}

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

}  // namespace

net::Response Serve(const net::Request& request) {
  // The API server appends ?timeout=10s.
  const std::string path = request.target.substr(0, request.target.find('?'));
  if (!path.starts_with(kPrefix)) {
    return Text(404, "try " + std::string(kPrefix) + "linstorcluster");
  }
  if (request.method != "POST") {
    return Text(405, "only POST");
  }
  const std::string type = net::FindHeader(request.headers, "Content-Type").value_or("");
  if (!Lower(type).starts_with("application/json")) {
    return Text(415, "only application/json");
  }
  const Result<AdmissionRequest, Error> review = DecodeReview(request.body);
  if (!review) {
    return Text(400, review.error().message);
  }
  if (Lower(review->kind) != path.substr(kPrefix.size())) {
    return Text(400, "the request is about a " + review->kind + ", the path is not");
  }
  return {.status = 200,
          .headers = {{"Content-Type", "application/json"}},
          .body = EncodeReview(*review, Admit(*review))};
}

}  // namespace breakwater::webhook
