#pragma once

/// ScriptedTransport: expects given requests in their order and gives canned replies. An unplanned
/// call and a planned call that never came fail the test.
///
///   ScriptedTransport transport;
///   transport.Expect("GET", "/api/v1/pods").Reply(200, R"({"items":[]})");

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "operator/net/http.h"

namespace breakwater::testing {

/// Thread safety: calls may come from any thread; planning and calling must not overlap.
class ScriptedTransport final : public net::HttpTransport {
 public:
  /// One planned exchange.
  class Exchange {
   public:
    Exchange& Reply(int status, std::string body = "", net::Headers headers = {}) {
      response_ = {status, std::move(headers), {}};
      pieces_ = {std::move(body)};
      return *this;
    }

    /// The body of a stream in these pieces; after them its end, or `end`.
    Exchange& Stream(std::vector<std::string> pieces,
                     std::optional<net::TransportError> end = std::nullopt) {
      response_ = {200, {}, {}};
      pieces_ = std::move(pieces);
      end_ = std::move(end);
      return *this;
    }

    Exchange& Fail(net::TransportError error) {
      error_ = std::move(error);
      return *this;
    }

    /// Looks at the request while it is made.
    Exchange& Check(std::function<void(const net::Request&)> check) {
      check_ = std::move(check);
      return *this;
    }

   private:
    friend class ScriptedTransport;

    std::string method_;
    std::string target_;
    net::Response response_{200, {}, {}};
    std::vector<std::string> pieces_;
    std::optional<net::TransportError> end_;
    std::optional<net::TransportError> error_;
    std::function<void(const net::Request&)> check_;
  };

  ScriptedTransport() = default;

  ~ScriptedTransport() override {
    for (const Exchange& missing : planned_) {
      ADD_FAILURE() << "planned but never called: " << missing.method_ << " " << missing.target_;
    }
  }

  Exchange& Expect(std::string method, std::string target) {
    planned_.emplace_back();
    planned_.back().method_ = std::move(method);
    planned_.back().target_ = std::move(target);
    return planned_.back();
  }

  Result<net::Response, net::TransportError> Send(const Context& /*ctx*/,
                                                  const net::Request& request) override {
    Exchange exchange = Take(request);
    if (exchange.error_) {
      return Unexpected{*exchange.error_};
    }
    for (const std::string& piece : exchange.pieces_) {
      exchange.response_.body += piece;
    }
    return exchange.response_;
  }

  Result<net::StreamResponse, net::TransportError> Open(
      const Context& /*ctx*/,
      const net::Request& request,
      std::chrono::milliseconds /*idle_timeout*/) override {
    Exchange exchange = Take(request);
    if (exchange.error_) {
      return Unexpected{*exchange.error_};
    }
    net::StreamResponse response;
    response.status = exchange.response_.status;
    response.headers = exchange.response_.headers;
    response.body = std::make_unique<Pieces>(std::move(exchange.pieces_), std::move(exchange.end_));
    return response;
  }

 private:
  class Pieces final : public net::ByteStream {
   public:
    Pieces(std::vector<std::string> pieces, std::optional<net::TransportError> end)
        : pieces_(std::move(pieces)), end_(std::move(end)) {}

    Result<std::string, net::TransportError> Read(const Context& /*ctx*/) override {
      if (at_ < pieces_.size()) {
        return pieces_[at_++];
      }
      if (end_) {
        return Unexpected{*end_};
      }
      return std::string();
    }

   private:
    std::vector<std::string> pieces_;
    std::optional<net::TransportError> end_;
    std::size_t at_ = 0;
  };

  Exchange Take(const net::Request& request) {
    Exchange exchange;
    {
      const std::lock_guard lock(mutex_);
      if (planned_.empty()) {
        ADD_FAILURE() << "unplanned call: " << request.method << " " << request.target;
        exchange.error_ = {net::TransportError::Kind::kProtocol, "unplanned call"};
        return exchange;
      }
      exchange = std::move(planned_.front());
      planned_.pop_front();
    }
    EXPECT_EQ(request.method, exchange.method_) << request.target;
    EXPECT_EQ(request.target, exchange.target_);
    if (exchange.check_) {
      exchange.check_(request);
    }
    return exchange;
  }

  std::mutex mutex_;
  std::deque<Exchange> planned_;
};

}  // namespace breakwater::testing
