#include "operator/net/cpprest_transport.h"

#include <utility>  // Boost 1.74's asio/awaitable.hpp forgets it

#include <malloc.h>

#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <cpprest/http_client.h>
#include <openssl/ssl.h>
#include <pplx/threadpool.h>

#include "operator/net/transport_error_table.h"
#include "operator/net/url.h"

namespace breakwater::net {
namespace {

using Kind = TransportError::Kind;
using web::http::client::http_client;
using web::http::client::http_client_config;
using Buffer = concurrency::streams::streambuf<std::uint8_t>;

/// The library's own idle timer stays out of the way: our deadlines are shorter and cover more. It
/// only ends connections that were abandoned and that cancelling could not reach.
constexpr std::chrono::seconds kLibraryTimeout{600};

/// What a task of the library delivers, to a caller that may no longer wait.
template <typename T>
struct Pending {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::optional<Result<T, TransportError>> reply;
};

TransportError Current(const std::shared_ptr<TlsFailure>& tls) {
  try {
    throw;
  } catch (const web::http::http_exception& error) {
    TransportError mapped = MapLibraryError(error.error_code().value(), error.what());
    if (mapped.kind == Kind::kTls && tls != nullptr) {
      const std::string reason = tls->Take();
      mapped.message += reason.empty() ? "" : " (" + reason + ")";
    }
    return mapped;
  } catch (const pplx::task_canceled&) {
    return {Kind::kCanceled, "canceled"};
  } catch (const std::exception& error) {
    return {Kind::kReset, error.what()};
  } catch (...) {
    return {Kind::kReset, "unknown failure in the HTTP library"};
  }
}

/// The only way a task of the library is awaited: at most until `deadline` or a stop request. Then
/// the exchange is cancelled, which closes its socket, and abandoned. The continuation is noexcept
/// and always observes the task's error: an unobserved one would end the process.
// NOLINTBEGIN(performance-unnecessary-value-param): the library hands tasks over by value
template <typename T>
Result<T, TransportError> Await(pplx::task<T> task,
                                const Context& ctx,
                                std::chrono::nanoseconds limit,
                                const char* what,
                                const pplx::cancellation_token_source& cancel,
                                const std::shared_ptr<TlsFailure>& tls) {
  auto pending = std::make_shared<Pending<T>>();
  task.then([pending, tls](pplx::task<T> done) noexcept {
    std::optional<Result<T, TransportError>> reply;
    try {
      reply.emplace(done.get());
    } catch (...) {
      reply.emplace(Unexpected{Current(tls)});
    }
    {
      const std::lock_guard lock(pending->mutex);
      pending->reply = std::move(reply);
    }
    pending->changed.notify_all();
  });
  std::unique_lock lock(pending->mutex);
  const bool answered = pending->changed.wait_for(lock, ctx.stop(), limit,
                                                  [&] { return pending->reply.has_value(); });
  if (!answered) {
    lock.unlock();
    cancel.cancel();
    return ctx.canceled()
               ? Unexpected{TransportError{Kind::kCanceled, "canceled"}}
               : Unexpected{TransportError{Kind::kTimeout, std::string("no ") + what + " in time"}};
  }
  return std::move(*pending->reply);
}

// NOLINTEND(performance-unnecessary-value-param)

/// The time a call may take: the context's, or the default when it has no deadline.
std::chrono::nanoseconds Limit(const Context& ctx, std::chrono::nanoseconds fallback) {
  return ctx.deadline() ? ctx.Remaining(std::chrono::hours(24)) : fallback;
}

/// The client whose kept connections everybody shares.
struct Pool {
  std::mutex mutex;
  std::shared_ptr<http_client> client;                 // guarded by mutex
  std::shared_ptr<const TlsMaterial> client_material;  // guarded by mutex

  /// After a timeout of `used`: its other connections go through the same network, which may have
  /// forgotten them all. What still runs on them goes on; nothing new starts there.
  void Abandon(const std::shared_ptr<http_client>& used) {
    const std::lock_guard lock(mutex);
    if (client == used) {
      client = nullptr;
    }
  }
};

/// Reads the body out of the library's buffer. Dropping the response object would not stop the
/// transfer, cancelling the token does.
class BodyStream final : public ByteStream {
 public:
  BodyStream(const Buffer& buffer,
             pplx::cancellation_token_source cancel,
             std::shared_ptr<http_client> client,
             std::shared_ptr<Pool> pool,
             std::chrono::nanoseconds idle_timeout,
             std::size_t max_buffered_bytes)
      : buffer_(buffer),
        cancel_(std::move(cancel)),
        client_(std::move(client)),
        pool_(std::move(pool)),
        idle_timeout_(idle_timeout),
        max_buffered_bytes_(max_buffered_bytes) {}

  ~BodyStream() override {
    if (!ended_) {
      cancel_.cancel();
    }
  }

  BodyStream(const BodyStream&) = delete;
  BodyStream& operator=(const BodyStream&) = delete;

  Result<std::string, TransportError> Read(const Context& ctx) override {
    try {
      // getc() looks at the next byte without taking it; getn() would wait for a full block.
      const auto next =
          Await(buffer_.getc(), ctx, ctx.Remaining(idle_timeout_), "data", cancel_, nullptr);
      if (!next) {
        if (next.error().kind == Kind::kTimeout) {
          pool_->Abandon(client_);
        }
        return Unexpected{next.error()};
      }
      if (*next == Buffer::traits::eof()) {
        ended_ = true;
        return std::string();
      }
      if (buffer_.in_avail() > max_buffered_bytes_) {
        cancel_.cancel();
        return Unexpected{TransportError{Kind::kTooLarge, "the reader is too slow for the stream"}};
      }
      // All that is there, not one block: or a fast server's body piles up in the library's buffer.
      std::string bytes;
      do {
        std::uint8_t* data = nullptr;
        std::size_t size = 0;
        if (!buffer_.acquire(data, size) || data == nullptr || size == 0) {
          break;
        }
        bytes.append(reinterpret_cast<const char*>(data), size);
        buffer_.release(data, size);
      } while (bytes.size() < kMaxRead && buffer_.in_avail() > 0);
      if (bytes.empty()) {
        return Unexpected{TransportError{Kind::kReset, "the stream broke off"}};
      }
      return bytes;
    } catch (...) {
      return Unexpected{Current(nullptr)};
    }
  }

 private:
  static constexpr std::size_t kMaxRead = std::size_t{1} << 20U;

  Buffer buffer_;
  pplx::cancellation_token_source cancel_;
  const std::shared_ptr<http_client> client_;
  const std::shared_ptr<Pool> pool_;
  const std::chrono::nanoseconds idle_timeout_;
  const std::size_t max_buffered_bytes_;
  bool ended_ = false;
};

/// A body of unknown length. One string that grows would be in memory twice whenever it moves,
/// three times what it holds at worst (REVIEW-2 M2: 45 MB of properties in LINSTOR); here it is
/// once, and one piece.
class BodyCollector {
 public:
  void Add(std::string_view bytes) {
    size_ += bytes.size();
    while (!bytes.empty()) {
      if (pieces_.empty() || pieces_.back().size() == kPiece) {
        pieces_.emplace_back();
      }
      std::string& last = pieces_.back();
      const std::string_view part = bytes.substr(0, kPiece - last.size());
      last += part;
      bytes.remove_prefix(part.size());
      if (last.size() == kPiece && pieces_.size() % kPiecesToTrim == 0) {
        malloc_trim(0);  // what the library has freed, which lies between what others keep
      }
    }
  }

  std::size_t size() const { return size_; }

  std::string Join() && {
    if (pieces_.size() == 1) {
      return std::move(pieces_.front());
    }
    std::string whole;
    whole.reserve(size_);
    for (std::string& piece : pieces_) {
      whole += piece;
      std::string().swap(piece);  // frees it, which an assignment would not
    }
    return whole;
  }

 private:
  static constexpr std::size_t kPiece = std::size_t{1} << 20U;
  static constexpr std::size_t kPiecesToTrim = 4;
  std::vector<std::string> pieces_{};
  std::size_t size_ = 0;
};

class CpprestTransport final : public HttpTransport {
 public:
  CpprestTransport(TransportOptions options, web::uri base)
      : options_(std::move(options)),
        base_(std::move(base)),
        secure_(base_.scheme() == "https"),
        server_name_(ServerName()) {}

  Result<Response, TransportError> Send(const Context& ctx, const Request& request) override {
    const Context bounded = ctx.WithTimeout(Limit(ctx, options_.default_timeout));
    const auto limit =
        std::chrono::ceil<std::chrono::milliseconds>(bounded.Remaining(std::chrono::hours(24)));
    BREAKWATER_ASSIGN_OR_RETURN(
        StreamResponse stream,
        Open(bounded, request,
             options_.idle_timeout.count() > 0 ? std::min(limit, options_.idle_timeout) : limit));
    Response response{stream.status, std::move(stream.headers), {}};
    const auto length = FindHeader(response.headers, "Content-Length");
    if (length && std::strtoull(length->c_str(), nullptr, 10) > options_.max_body_bytes) {
      return Unexpected{TransportError{Kind::kTooLarge, "reply of " + *length + " bytes"}};
    }
    BodyCollector body;
    while (true) {
      BREAKWATER_ASSIGN_OR_RETURN(const std::string bytes, stream.body->Read(bounded));
      if (bytes.empty()) {
        response.body = std::move(body).Join();
        return response;
      }
      if (body.size() + bytes.size() > options_.max_body_bytes) {
        return Unexpected{TransportError{
            Kind::kTooLarge, "reply over " + std::to_string(options_.max_body_bytes) + " bytes"}};
      }
      body.Add(bytes);
    }
  }

  Result<StreamResponse, TransportError> Open(const Context& ctx,
                                              const Request& request,
                                              std::chrono::milliseconds idle_timeout) override {
    for (const auto& [name, value] : request.headers) {
      if (!ValidHeader(name, value)) {
        return Unexpected{
            TransportError{Kind::kProtocol, "control character in header " + name, true}};
      }
    }
    if (ctx.canceled() || ctx.expired()) {
      return Unexpected{TransportError{ctx.canceled() ? Kind::kCanceled : Kind::kTimeout,
                                       "out of time before the request was sent", true}};
    }
    try {
      return Exchange(ctx, request, idle_timeout);
    } catch (const std::exception& error) {
      return Unexpected{TransportError{Kind::kProtocol, error.what(), true}};
    }
  }

 private:
  std::string ServerName() const {
    return options_.tls_server_name.empty() ? base_.host() : options_.tls_server_name;
  }

  Result<StreamResponse, TransportError> Exchange(const Context& ctx,
                                                  const Request& request,
                                                  std::chrono::milliseconds idle_timeout) {
    pplx::cancellation_token_source cancel;
    const std::shared_ptr<http_client> client = request.fresh_connection ? NewClient() : Client();
    const auto reply =
        Await(client->request(ToLibrary(request), cancel.get_token()), ctx,
              std::min(Limit(ctx, options_.default_timeout), LongestHead(idle_timeout)), "reply",
              cancel, tls_failure_);
    if (!reply) {
      if (reply.error().kind == Kind::kTimeout) {
        pool_->Abandon(client);
      }
      return Unexpected{reply.error()};
    }
    StreamResponse response;
    response.status = reply->status_code();
    for (const auto& [name, value] : reply->headers()) {
      response.headers.emplace_back(name, value);
    }
    response.body = std::make_unique<BodyStream>(reply->body().streambuf(), cancel, client, pool_,
                                                 idle_timeout, options_.max_body_bytes);
    if (response.status >= 300 && response.status < 400) {
      // Following it would carry our token to another host.
      return Unexpected{TransportError{
          Kind::kProtocol, "redirect (" + std::to_string(response.status) + ") refused"}};
    }
    return response;
  }

  /// Whoever waits long for pieces of a body may wait as long for its head.
  static std::chrono::nanoseconds LongestHead(std::chrono::milliseconds idle_timeout) {
    return std::max<std::chrono::nanoseconds>(idle_timeout, std::chrono::milliseconds(1));
  }

  /// A new object for each attempt: the library aborts when one with a body is used twice.
  web::http::http_request ToLibrary(const Request& request) const {
    web::http::http_request out(request.method);
    out.set_request_uri(web::uri(request.target));
    if (!request.body.empty()) {
      out.set_body(std::vector<unsigned char>(request.body.begin(), request.body.end()));
      out.headers().remove("Content-Type");
    }
    for (const auto& [name, value] : request.headers) {
      out.headers().add(name, value);
    }
    if (secure_ && !options_.tls_server_name.empty()) {
      // The library takes the Host header as it is for SNI; never with a port.
      out.headers()["Host"] = options_.tls_server_name;
    }
    return out;
  }

  /// The shared client, made anew when the TLS material changed: its pooled connections still use
  /// the old certificate.
  std::shared_ptr<http_client> Client() {
    const std::lock_guard lock(pool_->mutex);
    const auto material = options_.tls == nullptr ? nullptr : options_.tls->Get();
    if (pool_->client == nullptr || material != pool_->client_material) {
      pool_->client = NewClient();
      pool_->client_material = material;
    }
    return pool_->client;
  }

  std::shared_ptr<http_client> NewClient() const {
    http_client_config config;
    config.set_max_redirects(0);
    config.set_timeout(kLibraryTimeout);
    if (secure_) {
      config.set_ssl_context_callback([holder = options_.tls, name = server_name_,
                                       failure = tls_failure_](boost::asio::ssl::context& context) {
        const auto configured =
            holder->Get()->ConfigureClient(context.native_handle(), name, failure);
        if (!configured) {
          // Fails closed: a context without roots accepts nobody.
          failure->Set(configured.error().message);
          SSL_CTX_set_cert_store(context.native_handle(), X509_STORE_new());  // takes it over
        }
      });
    }
    return std::make_shared<http_client>(base_, config);
  }

  const TransportOptions options_;
  const web::uri base_;
  const bool secure_;
  const std::string server_name_;
  const std::shared_ptr<TlsFailure> tls_failure_ = std::make_shared<TlsFailure>();
  const std::shared_ptr<Pool> pool_ = std::make_shared<Pool>();
};

}  // namespace

void StartHttpThreads(int threads) {
  // At exit OpenSSL must outlive these threads, which hold state of its own: begun first, ended
  // last.
  OPENSSL_init_ssl(0, nullptr);
  try {
    crossplat::threadpool::initialize_with_threads(static_cast<std::size_t>(threads));
  } catch (const std::exception&) {
    // Already running, with whatever size it has: tests start it in any order.
    return;
  }
}

Result<std::unique_ptr<HttpTransport>, Error> MakeCpprestTransport(TransportOptions options) {
  try {
    web::uri base(options.base_url);
    const bool secure = base.scheme() == "https";
    if (base.host().empty() || (!secure && base.scheme() != "http")) {
      return Unexpected{
          Error{ErrorClass::kInvalid, "not an http(s) URL: " + HideUserInfo(options.base_url)}};
    }
    if (base.host().find(':') != std::string::npos) {
      // The library hands "[::1]" to the resolver as a name, brackets included (2.10.18).
      return Unexpected{
          Error{ErrorClass::kInvalid,
                "IPv6 literals are not supported, use a name: " + HideUserInfo(options.base_url)}};
    }
    if (secure && (options.tls == nullptr || options.tls->Get() == nullptr)) {
      return Unexpected{Error{ErrorClass::kInvalid, "https needs TLS material"}};
    }
    return std::unique_ptr<HttpTransport>(
        std::make_unique<CpprestTransport>(std::move(options), std::move(base)));
  } catch (const std::exception& error) {
    return Unexpected{
        Error{ErrorClass::kInvalid, HideUserInfo(options.base_url + ": " + error.what())}};
  }
}

}  // namespace breakwater::net
