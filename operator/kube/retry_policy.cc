#include "operator/kube/retry_policy.h"

namespace breakwater::kube {
namespace {

using Kind = net::TransportError::Kind;

bool TransportRetriable(const net::TransportError& error, Repeat repeat, int attempt) {
  if (error.kind == Kind::kCanceled || error.kind == Kind::kTooLarge) {
    return false;
  }
  if (error.not_sent) {
    return error.kind == Kind::kConnect || error.kind == Kind::kTls;
  }
  if (error.kind != Kind::kReset) {
    return false;  // a timeout has used up the caller's time
  }
  return repeat == Repeat::kSafe || (repeat == Repeat::kOnce && attempt == 1);
}

bool StatusRetriable(const KubeError& error, Repeat repeat) {
  switch (error.code()) {
    case 429:
      return true;  // refused before anything was done
    case 503:
      // With Retry-After it comes from a server that refused before doing anything (priority and
      // fairness, a shutdown); without it, from anyone on the way.
      return repeat == Repeat::kSafe || error.retry_after().has_value();
    case 500:
    case 502:
    case 504:
      return repeat == Repeat::kSafe;
    default:
      return false;
  }
}

}  // namespace

std::optional<std::chrono::milliseconds> RetryDelay(const KubeError& error,
                                                    Repeat repeat,
                                                    int attempt,
                                                    std::chrono::milliseconds first_retry,
                                                    double random) {
  const net::TransportError* transport = error.transport();
  const bool retriable = transport != nullptr ? TransportRetriable(*transport, repeat, attempt)
                                              : StatusRetriable(error, repeat);
  if (!retriable) {
    return std::nullopt;
  }
  const auto delay = first_retry * (1 << std::min(attempt - 1, 6));
  const auto jittered = std::chrono::milliseconds(
      static_cast<std::int64_t>(static_cast<double>(delay.count()) * (1.0 + random)));
  return std::max(jittered, error.retry_after().value_or(std::chrono::milliseconds(0)));
}

}  // namespace breakwater::kube
