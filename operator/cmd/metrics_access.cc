#include "operator/cmd/metrics_access.h"

#include <openssl/evp.h>

#include <array>
#include <optional>
#include <utility>

#include "operator/api/object.h"
#include "operator/api/resources.h"

namespace breakwater::cmd {
namespace {

using api::Json;

constexpr std::chrono::seconds kAsked{5};

std::string Hash(const std::string& token) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  EVP_Digest(token.data(), token.size(), digest.data(), &size, EVP_sha256(), nullptr);
  return {reinterpret_cast<const char*>(digest.data()), size};  // NOLINT(*-reinterpret-cast): bytes
}

net::Response Refusal(int status) {
  net::Response response{.status = status,
                         .headers = {{"Content-Type", "text/plain; charset=utf-8"}}};
  if (status == 401) {
    response.headers.emplace_back("WWW-Authenticate", "Bearer");
    response.body = "a bearer token of the cluster is needed";
  } else if (status == 403) {
    response.body =
        "the token's user may not get the path /metrics (ClusterRole with nonResourceURLs)";
  } else {
    response.body = "the API server cannot be asked who you are";
  }
  return response;
}

Json Member(const Json& object, const char* name) {
  const Json* member = api::FindMember(object, name);
  return member == nullptr ? Json() : *member;
}

}  // namespace

std::optional<net::Response> MetricsAccess::Refuse(const Context& ctx,
                                                   const net::Request& request) {
  constexpr std::string_view kScheme = "Bearer ";
  const std::string header = net::FindHeader(request.headers, "Authorization").value_or("");
  if (!header.starts_with(kScheme) || header.size() == kScheme.size()) {
    return Refusal(401);
  }
  const std::string token = header.substr(kScheme.size());
  const std::string hash = Hash(token);
  const SteadyTime now = clock_.SteadyNow();
  {
    const std::lock_guard lock(mutex_);
    const auto known = known_.find(hash);
    if (known != known_.end() && now < known->second.until) {
      return known->second.status == 200 ? std::nullopt
                                         : std::optional(Refusal(known->second.status));
    }
  }
  const int status = Ask(ctx.WithTimeout(kAsked), token);
  if (status != 503) {
    const std::lock_guard lock(mutex_);
    std::erase_if(known_, [&](const auto& item) { return now >= item.second.until; });
    // Anybody can bring any number of wrong tokens: those are not worth a place.
    if (status == 200 || known_.size() < kMostRemembered / 2) {
      if (known_.size() >= kMostRemembered) {
        known_.erase(known_.begin());
      }
      known_[hash] = {status, now + kRemembered};
    }
  }
  return status == 200 ? std::nullopt : std::optional(Refusal(status));
}

int MetricsAccess::Ask(const Context& ctx, const std::string& token) {
  const auto review = client_.Create(ctx, api::kTokenReview, "",
                                     {{"apiVersion", "authentication.k8s.io/v1"},
                                      {"kind", "TokenReview"},
                                      {"spec", {{"token", token}}}});
  if (!review) {
    return 503;
  }
  const Json status = Member(*review, "status");
  if (!status.value("authenticated", false)) {
    return 401;
  }
  const Json user = Member(status, "user");
  Json spec{{"user", api::StringAt(user, "username")},
            {"nonResourceAttributes", {{"path", "/metrics"}, {"verb", "get"}}}};
  for (const char* member : {"uid", "groups", "extra"}) {
    if (const Json value = Member(user, member); !value.is_null()) {
      spec[member] = value;
    }
  }
  const auto access = client_.Create(ctx, api::kSubjectAccessReview, "",
                                     {{"apiVersion", "authorization.k8s.io/v1"},
                                      {"kind", "SubjectAccessReview"},
                                      {"spec", std::move(spec)}});
  if (!access) {
    return 503;
  }
  return Member(*access, "status").value("allowed", false) ? 200 : 403;
}

}  // namespace breakwater::cmd
