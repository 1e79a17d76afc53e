#include "operator/net/resolve.h"

#include <array>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

namespace breakwater::net {
namespace {

using Kind = TransportError::Kind;
using Addresses = Result<std::vector<std::string>, TransportError>;

struct Lookup {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::optional<Addresses> result;
};

Addresses LookUp(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  const int code = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (code != 0) {
    return Unexpected{TransportError{Kind::kConnect, host + ": " + ::gai_strerror(code), true}};
  }
  std::vector<std::string> addresses;
  for (const addrinfo* at = list; at != nullptr; at = at->ai_next) {
    std::array<char, NI_MAXHOST> text{};
    if (::getnameinfo(at->ai_addr, at->ai_addrlen, text.data(), text.size(), nullptr, 0,
                      NI_NUMERICHOST) == 0) {
      addresses.emplace_back(text.data());
    }
  }
  ::freeaddrinfo(list);
  return addresses;
}

bool IsAddress(const std::string& host) {
  std::array<unsigned char, 16> bytes{};
  return ::inet_pton(AF_INET, host.c_str(), bytes.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1;
}

}  // namespace

Addresses Resolve(const Context& ctx, const std::string& host) {
  if (IsAddress(host)) {
    return std::vector<std::string>{host};
  }
  auto lookup = std::make_shared<Lookup>();
  std::thread([lookup, host] {
    Addresses found = LookUp(host);
    {
      const std::lock_guard lock(lookup->mutex);
      lookup->result.emplace(std::move(found));
    }
    lookup->changed.notify_all();
  }).detach();
  std::unique_lock lock(lookup->mutex);
  if (!lookup->changed.wait_for(lock, ctx.stop(), ctx.Remaining(std::chrono::minutes(1)),
                                [&] { return lookup->result.has_value(); })) {
    return Unexpected{TransportError{ctx.canceled() ? Kind::kCanceled : Kind::kTimeout,
                                     "no address for " + host + " in time", true}};
  }
  return std::move(*lookup->result);
}

}  // namespace breakwater::net
