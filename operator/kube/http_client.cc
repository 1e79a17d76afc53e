#include "operator/kube/http_client.h"

#include <algorithm>
#include <deque>
#include <mutex>
#include <utility>

#include <nlohmann/json.hpp>

#include "operator/api/object.h"
#include "operator/kube/request.h"
#include "operator/kube/retry_policy.h"
#include "operator/kube/status.h"
#include "operator/kube/watch_decoder.h"
#include "operator/net/cpprest_transport.h"

namespace breakwater::kube {
namespace {

using Kind = net::TransportError::Kind;

KubeResult<Json> ParseObject(const net::Response& response) {
  Json json = Json::parse(response.body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return Unexpected{KubeError(DecodeError{"the body is not a JSON object"})};
  }
  return json;
}

KubeResult<ListPage> ParseList(const net::Response& response, const ResourceInfo& resource) {
  BREAKWATER_ASSIGN_OR_RETURN(Json json, ParseObject(response));
  const auto items = json.find("items");
  if (items == json.end() || !(items->is_array() || items->is_null())) {
    return Unexpected{KubeError(DecodeError{"a list without items"})};
  }
  ListPage page;
  if (const Json* meta = api::FindMember(json, "metadata")) {
    page.resource_version = api::StringAt(*meta, "resourceVersion");
    page.continue_token = api::StringAt(*meta, "continue");
  }
  for (Json& item : *items) {
    // The server leaves these out of list items; readers want whole objects.
    if (item.is_object()) {
      item["apiVersion"] = resource.ApiVersion();
      item["kind"] = resource.kind;
    }
    page.items.push_back(std::move(item));
  }
  return page;
}

class HttpWatchStream final : public WatchStream {
 public:
  explicit HttpWatchStream(std::unique_ptr<net::ByteStream> body) : body_(std::move(body)) {}

  KubeResult<std::optional<WatchEvent>> Next(const Context& ctx) override {
    while (ready_.empty()) {
      BREAKWATER_ASSIGN_OR_RETURN(const std::string bytes, body_->Read(ctx));
      if (bytes.empty()) {
        if (decoder_.mid_event()) {
          return Unexpected{KubeError(net::TransportError{Kind::kReset, "a watch event was cut"})};
        }
        return std::optional<WatchEvent>();
      }
      BREAKWATER_ASSIGN_OR_RETURN(std::vector<WatchEvent> events, decoder_.Feed(bytes));
      std::move(events.begin(), events.end(), std::back_inserter(ready_));
    }
    std::optional<WatchEvent> event(std::move(ready_.front()));
    ready_.pop_front();
    return event;
  }

 private:
  std::unique_ptr<net::ByteStream> body_;
  WatchDecoder decoder_;
  std::deque<WatchEvent> ready_;
};

class HttpKubeClient final : public KubeClient {
 public:
  HttpKubeClient(net::HttpTransport& transport,
                 Credentials* credentials,
                 const Clock& clock,
                 RandomSource random,
                 HttpClientOptions options)
      : transport_(transport),
        credentials_(credentials),
        clock_(clock),
        random_(std::move(random)),
        options_(std::move(options)),
        budget_(options_.retry_budget) {}

  KubeResult<Json> Get(const Context& ctx,
                       const ResourceInfo& resource,
                       const ObjectKey& key) override {
    BREAKWATER_RETURN_IF_ERROR(CheckKey(resource, key));
    return Object(ctx, {"get", resource, Repeat::kSafe}, GetRequest(resource, key));
  }

  KubeResult<ListPage> List(const Context& ctx,
                            const ResourceInfo& resource,
                            const ListOptions& options) override {
    BREAKWATER_ASSIGN_OR_RETURN(
        const net::Response response,
        Call(ctx, {"list", resource, Repeat::kSafe}, ListRequest(resource, options)));
    return ParseList(response, resource);
  }

  KubeResult<std::unique_ptr<WatchStream>> Watch(const Context& ctx,
                                                 const ResourceInfo& resource,
                                                 const WatchOptions& options) override;

  KubeResult<Json> Create(const Context& ctx,
                          const ResourceInfo& resource,
                          const std::string& ns,
                          const Json& object) override {
    // The library below repeats a POST by itself on a stale connection; here that is harmless: a
    // name that exists already is a 409. generateName would make two, so it gets its own
    // connection.
    net::Request request = CreateRequest(resource, ns, object);
    const Json* meta = api::FindMember(object, "metadata");
    request.fresh_connection = meta == nullptr || api::StringAt(*meta, "name").empty();
    return Object(ctx, {"create", resource, Repeat::kNever}, request);
  }

  KubeResult<Json> Apply(const Context& ctx,
                         const ResourceInfo& resource,
                         const ObjectKey& key,
                         const Json& object,
                         const ApplyOptions& options) override {
    BREAKWATER_RETURN_IF_ERROR(CheckKey(resource, key));
    return Object(ctx, {"patch", resource, Repeat::kOnce},
                  ApplyRequest(resource, key, object, options));
  }

  KubeResult<Json> Replace(const Context& ctx,
                           const ResourceInfo& resource,
                           const ObjectKey& key,
                           const Json& object,
                           const std::string& subresource) override {
    BREAKWATER_RETURN_IF_ERROR(CheckKey(resource, key));
    return Object(ctx, {"update", resource, Repeat::kNever},
                  ReplaceRequest(resource, key, object, subresource));
  }

  KubeResult<Json> Patch(const Context& ctx,
                         const ResourceInfo& resource,
                         const ObjectKey& key,
                         PatchType type,
                         const Json& patch,
                         const std::string& subresource) override {
    BREAKWATER_RETURN_IF_ERROR(CheckKey(resource, key));
    net::Request request = PatchRequest(resource, key, type, patch, subresource);
    request.fresh_connection = type == PatchType::kJson;  // "add to a list" must not run twice
    return Object(ctx, {"patch", resource, Repeat::kNever}, request);
  }

  KubeResult<void> Delete(const Context& ctx,
                          const ResourceInfo& resource,
                          const ObjectKey& key,
                          const DeletePreconditions& options) override {
    BREAKWATER_RETURN_IF_ERROR(CheckKey(resource, key));
    const Repeat repeat = options.uid.empty() ? Repeat::kNever : Repeat::kOnce;
    BREAKWATER_ASSIGN_OR_RETURN(
        const net::Response response,
        Call(ctx, {"delete", resource, repeat}, DeleteRequest(resource, key, options)));
    return {};
  }

 private:
  struct CallInfo {
    std::string_view verb;
    const ResourceInfo& resource;
    Repeat repeat;
  };

  static KubeResult<void> CheckKey(const ResourceInfo& resource, const ObjectKey& key) {
    const std::string problem = KeyProblem(resource, key);
    if (!problem.empty()) {
      return Unexpected{KubeError(
          Status{.code = 400, .reason = "BadRequest", .message = resource.kind + ": " + problem})};
    }
    return {};
  }

  KubeResult<Json> Object(const Context& ctx, const CallInfo& info, const net::Request& request) {
    BREAKWATER_ASSIGN_OR_RETURN(const net::Response response, Call(ctx, info, request));
    return ParseObject(response);
  }

  /// One exchange with the headers of this moment; reports it. `exchange` is Send or Open.
  template <typename Reply, typename Exchange>
  KubeResult<Reply> Once(const CallInfo& info,
                         net::Request request,
                         bool& token_renewed,
                         const Exchange& exchange) {
    request.headers.emplace_back("User-Agent", options_.user_agent);
    const Secret<> token = credentials_ == nullptr ? Secret<>() : credentials_->Token();
    if (!token.empty()) {
      request.headers.emplace_back("Authorization", "Bearer " + token.Expose());
    }
    const SteadyTime start = clock_.SteadyNow();
    KubeResult<Reply> reply = exchange(request);
    if (options_.on_request) {
      const std::chrono::duration<double> took = clock_.SteadyNow() - start;
      options_.on_request({.verb = info.verb,
                           .resource = info.resource.plural,
                           .code = reply ? reply->status : reply.error().code(),
                           .seconds = took.count()});
    }
    token_renewed = !reply && reply.error().code() == 401 && credentials_ != nullptr &&
                    credentials_->Unauthorized(token);
    return reply;
  }

  /// The loop of attempts around Once().
  template <typename Reply, typename Exchange>
  KubeResult<Reply> Attempts(const Context& ctx,
                             const CallInfo& info,
                             const net::Request& request,
                             const Exchange& exchange) {
    bool token_tried = false;
    for (int attempt = 1;; ++attempt) {
      bool token_renewed = false;
      KubeResult<Reply> reply = Once<Reply>(info, request, token_renewed, exchange);
      if (reply) {
        budget_.Succeeded();
        return reply;
      }
      if (token_renewed && !token_tried) {
        token_tried = true;
        continue;
      }
      const auto wait = RetryDelay(reply.error(), info.repeat, attempt, options_.first_retry,
                                   random_ ? random_() : 0.0);
      if (!wait || attempt >= options_.max_attempts || ctx.Remaining(*wait) < *wait ||
          !budget_.Take() || !ctx.SleepFor(*wait)) {
        return reply;
      }
    }
  }

  KubeResult<net::Response> Call(const Context& ctx,
                                 const CallInfo& info,
                                 const net::Request& request) {
    return Attempts<net::Response>(
        ctx, info, request, [&](const net::Request& prepared) -> KubeResult<net::Response> {
          // A page of a list may take long; its caller says how long.
          const Context bounded =
              info.verb == "list" ? ctx : ctx.WithTimeout(options_.request_timeout);
          BREAKWATER_ASSIGN_OR_RETURN(net::Response response, transport_.Send(bounded, prepared));
          if (response.status < 200 || response.status > 299) {
            return Unexpected{
                KubeError(DecodeStatus(response.status, response.headers, response.body))};
          }
          return response;
        });
  }

  net::HttpTransport& transport_;
  Credentials* const credentials_;
  const Clock& clock_;
  const RandomSource random_;
  const HttpClientOptions options_;
  RetryBudget budget_;
};

/// The body of a refused watch: a Status, so short; the rest of a longer one does not matter.
std::string ReadAtMost(const Context& ctx, net::ByteStream& body, std::size_t limit) {
  std::string text;
  while (text.size() < limit) {
    const auto bytes = body.Read(ctx);
    if (!bytes || bytes->empty()) {
      break;
    }
    text += *bytes;
  }
  return text;
}

KubeResult<std::unique_ptr<WatchStream>> HttpKubeClient::Watch(const Context& ctx,
                                                               const ResourceInfo& resource,
                                                               const WatchOptions& options) {
  constexpr std::size_t kMaxStatusBytes = 64U << 10U;
  const auto idle = std::min(options.timeout + options_.watch_margin, options_.watch_silence);
  const CallInfo info{"watch", resource, Repeat::kSafe};
  BREAKWATER_ASSIGN_OR_RETURN(
      net::StreamResponse stream,
      Attempts<net::StreamResponse>(
          ctx, info, WatchRequest(resource, options),
          [&](const net::Request& prepared) -> KubeResult<net::StreamResponse> {
            BREAKWATER_ASSIGN_OR_RETURN(
                net::StreamResponse response,
                transport_.Open(ctx.WithTimeout(options_.request_timeout), prepared, idle));
            if (response.status == 200) {
              return response;
            }
            const std::string body = ReadAtMost(ctx.WithTimeout(std::chrono::seconds(5)),
                                                *response.body, kMaxStatusBytes);
            return Unexpected{KubeError(DecodeStatus(response.status, response.headers, body))};
          }));
  return std::unique_ptr<WatchStream>(std::make_unique<HttpWatchStream>(std::move(stream.body)));
}

}  // namespace

std::unique_ptr<KubeClient> MakeHttpKubeClient(net::HttpTransport& transport,
                                               Credentials* credentials,
                                               const Clock& clock,
                                               RandomSource random,
                                               HttpClientOptions options) {
  return std::make_unique<HttpKubeClient>(transport, credentials, clock, std::move(random),
                                          std::move(options));
}

Result<KubeConnection, Error> ConnectKube(const KubeConfig& config,
                                          const Clock& clock,
                                          Logger log,
                                          HttpClientOptions options,
                                          const net::WriteFence* fence) {
  KubeConnection connection;
  BREAKWATER_ASSIGN_OR_RETURN(connection.credentials,
                              Credentials::Create(config, clock, std::move(log)));
  // The API server begins to answer once it has read its store, so a long silence is a dead
  // connection also for a list.
  const net::TransportOptions transport{.base_url = config.server,
                                        .tls_server_name = config.tls_server_name,
                                        .tls = connection.credentials->tls(),
                                        .idle_timeout = options.request_timeout};
  BREAKWATER_ASSIGN_OR_RETURN(connection.transport, net::MakeCpprestTransport(transport));
  if (fence != nullptr) {
    connection.transport = net::FenceWrites(std::move(connection.transport), *fence);
  }
  BREAKWATER_ASSIGN_OR_RETURN(connection.lease_transport, net::MakeCpprestTransport(transport));
  BREAKWATER_ASSIGN_OR_RETURN(connection.review_transport, net::MakeCpprestTransport(transport));
  connection.client = MakeHttpKubeClient(*connection.transport, connection.credentials.get(), clock,
                                         RealRandom(), options);
  connection.lease_client = MakeHttpKubeClient(
      *connection.lease_transport, connection.credentials.get(), clock, RealRandom(), options);
  connection.review_client =
      MakeHttpKubeClient(*connection.review_transport, connection.credentials.get(), clock,
                         RealRandom(), std::move(options));
  return connection;
}

}  // namespace breakwater::kube
