#include "operator/linstor/http_client.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "operator/linstor/decode.h"

namespace breakwater::linstor {
namespace {

/// Percent-encodes one path segment or query value (RFC 3986, unreserved characters stay).
std::string Encode(std::string_view text) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  static constexpr std::string_view kUnreserved =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  std::string encoded;
  for (const char c : text) {
    if (kUnreserved.find(c) != std::string_view::npos) {
      encoded += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded += '%';
      encoded += kHex[byte >> 4U];
      encoded += kHex[byte & 0xFU];
    }
  }
  return encoded;
}

/// Spaces requests evenly; the controller is one Java process for the whole cluster.
class Pacer {
 public:
  explicit Pacer(double per_second)
      : gap_(per_second <= 0
                 ? std::chrono::nanoseconds{0}
                 : std::chrono::nanoseconds{static_cast<std::int64_t>(1e9 / per_second)}) {}

  void Wait(const Context& ctx) {
    if (gap_.count() == 0) {
      return;
    }
    const SteadyTime now = ctx.clock().SteadyNow();
    SteadyTime turn{};
    {
      const std::lock_guard lock(mutex_);
      turn = std::max(now, next_);
      next_ = turn + std::chrono::duration_cast<SteadyTime::duration>(gap_);
    }
    if (turn > now) {
      ctx.SleepFor(turn - now);
    }
  }

 private:
  const std::chrono::nanoseconds gap_;
  std::mutex mutex_;
  SteadyTime next_{};
};

class HttpClient : public Client {
 public:
  HttpClient(std::vector<Endpoint> endpoints, HttpClientOptions options)
      : endpoints_(std::move(endpoints)),
        options_(std::move(options)),
        pacer_(options_.max_requests_per_second) {}

  std::string url() const override { return endpoints_[first_.load()].url; }

  LinstorResult<ControllerVersion> GetVersion(const Context& ctx) override {
    return ReadOne(ctx, "/v1/controller/version", DecodeVersion);
  }

  LinstorResult<Props> GetControllerProps(const Context& ctx) override {
    return ReadOne(ctx, "/v1/controller/properties", DecodeProps);
  }

  LinstorResult<Reply> ModifyControllerProps(const Context& ctx,
                                             const PropsChange& change) override {
    return Write(ctx, "POST", "/v1/controller/properties", EncodeChange(change));
  }

  LinstorResult<std::vector<Node>> ListNodes(const Context& ctx) override {
    return ReadList(ctx, "/v1/nodes", DecodeNode);
  }

  LinstorResult<Node> GetNode(const Context& ctx, const std::string& name) override {
    return ReadOne(ctx, NodePath(name), DecodeNode);
  }

  LinstorResult<Reply> CreateNode(const Context& ctx, const Node& node) override {
    return Write(ctx, "POST", "/v1/nodes", EncodeNode(node));
  }

  LinstorResult<Reply> ModifyNode(const Context& ctx,
                                  const std::string& name,
                                  const PropsChange& change) override {
    return Write(ctx, "PUT", NodePath(name), EncodeChange(change));
  }

  LinstorResult<Reply> DeleteNode(const Context& ctx, const std::string& name) override {
    return Write(ctx, "DELETE", NodePath(name), std::nullopt);
  }

  LinstorResult<Reply> LostNode(const Context& ctx, const std::string& name) override {
    return Write(ctx, "DELETE", NodePath(name) + "/lost", std::nullopt);
  }

  LinstorResult<Reply> EvacuateNode(const Context& ctx, const std::string& name) override {
    return Write(ctx, "PUT", NodePath(name) + "/evacuate", Json::object());
  }

  LinstorResult<Reply> RestoreNode(const Context& ctx, const std::string& name) override {
    return Write(ctx, "PUT", NodePath(name) + "/restore", Json::object());
  }

  LinstorResult<Reply> CreateNetInterface(const Context& ctx,
                                          const std::string& node,
                                          const NetInterface& netif) override {
    return Write(ctx, "POST", NodePath(node) + "/net-interfaces", EncodeNetInterface(netif));
  }

  LinstorResult<Reply> ModifyNetInterface(const Context& ctx,
                                          const std::string& node,
                                          const NetInterface& netif) override {
    return Write(ctx, "PUT", NodePath(node) + "/net-interfaces/" + Encode(netif.name),
                 EncodeNetInterface(netif));
  }

  LinstorResult<Reply> DeleteNetInterface(const Context& ctx,
                                          const std::string& node,
                                          const std::string& netif) override {
    return Write(ctx, "DELETE", NodePath(node) + "/net-interfaces/" + Encode(netif), std::nullopt);
  }

  LinstorResult<std::vector<StoragePool>> ListStoragePools(const Context& ctx,
                                                           const std::string& node) override {
    // cached=true: without it LINSTOR asks every satellite and a hanging one delays the answer.
    return ReadList(ctx, "/v1/view/storage-pools?cached=true" + Filter('&', "nodes", node),
                    DecodeStoragePool);
  }

  LinstorResult<Reply> CreateStoragePool(const Context& ctx, const StoragePool& pool) override {
    return Write(ctx, "POST", NodePath(pool.node) + "/storage-pools", EncodeStoragePool(pool));
  }

  LinstorResult<Reply> ModifyStoragePool(const Context& ctx,
                                         const std::string& node,
                                         const std::string& pool,
                                         const PropsChange& change) override {
    return Write(ctx, "PUT", NodePath(node) + "/storage-pools/" + Encode(pool),
                 EncodeChange(change));
  }

  LinstorResult<Reply> DeleteStoragePool(const Context& ctx,
                                         const std::string& node,
                                         const std::string& pool) override {
    return Write(ctx, "DELETE", NodePath(node) + "/storage-pools/" + Encode(pool), std::nullopt);
  }

  LinstorResult<Reply> CreatePhysicalStorage(const Context& ctx,
                                             const std::string& node,
                                             const PhysicalStorage& storage) override {
    return Write(ctx, "POST", "/v1/physical-storage/" + Encode(node),
                 EncodePhysicalStorage(storage));
  }

  LinstorResult<std::vector<ResourceGroup>> ListResourceGroups(const Context& ctx) override {
    return ReadList(ctx, "/v1/resource-groups", DecodeResourceGroup);
  }

  LinstorResult<std::vector<ResourceDefinition>> ListResourceDefinitions(
      const Context& ctx) override {
    return ReadList(ctx, "/v1/resource-definitions", DecodeResourceDefinition);
  }

  LinstorResult<Reply> ModifyResourceDefinition(const Context& ctx,
                                                const std::string& resource,
                                                const PropsChange& change) override {
    return Write(ctx, "PUT", DefinitionPath(resource), EncodeChange(change));
  }

  LinstorResult<std::vector<Resource>> ListResources(const Context& ctx,
                                                     const std::string& node,
                                                     const std::string& resource) override {
    const std::string nodes = Filter('?', "nodes", node);
    return ReadList(
        ctx,
        "/v1/view/resources" + nodes + Filter(nodes.empty() ? '?' : '&', "resources", resource),
        DecodeResource);
  }

  LinstorResult<std::vector<Connection>> ListResourceConnections(
      const Context& ctx, const std::string& resource) override {
    return ReadList(ctx, DefinitionPath(resource) + "/resource-connections", DecodeConnection);
  }

  LinstorResult<Reply> ModifyResourceConnection(const Context& ctx,
                                                const std::string& resource,
                                                const std::string& node_a,
                                                const std::string& node_b,
                                                const PropsChange& change) override {
    return Write(
        ctx, "PUT",
        DefinitionPath(resource) + "/resource-connections/" + Encode(node_a) + "/" + Encode(node_b),
        EncodeChange(change));
  }

  LinstorResult<std::vector<Connection>> ListNodeConnections(const Context& ctx) override {
    return ReadList(ctx, "/v1/node-connections", DecodeConnection);
  }

  LinstorResult<Reply> ModifyNodeConnection(const Context& ctx,
                                            const std::string& node_a,
                                            const std::string& node_b,
                                            const PropsChange& change) override {
    return Write(ctx, "PUT", "/v1/node-connections/" + Encode(node_a) + "/" + Encode(node_b),
                 EncodeChange(change));
  }

  LinstorResult<std::vector<Snapshot>> ListSnapshots(const Context& ctx) override {
    return ReadList(ctx, "/v1/view/snapshots", DecodeSnapshot);
  }

 private:
  static std::string NodePath(const std::string& node) { return "/v1/nodes/" + Encode(node); }

  static std::string DefinitionPath(const std::string& resource) {
    return "/v1/resource-definitions/" + Encode(resource);
  }

  static std::string Filter(char separator, std::string_view key, const std::string& value) {
    return value.empty() ? std::string() : separator + std::string(key) + "=" + Encode(value);
  }

  template <typename Decode>
  auto ReadOne(const Context& ctx, const std::string& path, Decode decode)
      -> LinstorResult<decltype(decode(Json()))> {
    BREAKWATER_ASSIGN_OR_RETURN(const Json body, Read(ctx, path));
    if (!IsItem(body)) {
      return Unexpected{DecodeError{"LINSTOR's reply to GET " + path + " is no object"}};
    }
    return decode(body);
  }

  template <typename Decode>
  auto ReadList(const Context& ctx, const std::string& path, Decode decode)
      -> LinstorResult<std::vector<decltype(decode(Json()))>> {
    BREAKWATER_ASSIGN_OR_RETURN(const Json body, Read(ctx, path));
    if (!body.is_array()) {
      return Unexpected{DecodeError{"LINSTOR's reply to GET " + path + " is no list"}};
    }
    std::vector<decltype(decode(Json()))> items;
    for (const Json& item : body) {
      if (!IsItem(item)) {
        return Unexpected{DecodeError{"LINSTOR's reply to GET " + path + " lists other things"}};
      }
      items.push_back(decode(item));
    }
    return items;
  }

  /// An object, and not one of LINSTOR's messages, which would read as one without a name.
  static bool IsItem(const Json& value) { return value.is_object() && !value.contains("ret_code"); }

  LinstorResult<Json> Read(const Context& ctx, const std::string& path) {
    const net::Request request{.method = "GET", .target = path, .headers = CommonHeaders()};
    net::TransportError last;
    for (int round = 0; round < options_.read_rounds; ++round) {
      if (round > 0 && !ctx.SleepFor(options_.retry_delay)) {
        break;
      }
      Result<net::Response, net::TransportError> response = SendToAny(ctx, request, /*read=*/true);
      if (response) {
        if (Succeeded(*response) && response->body.empty()) {
          // Not "there is nothing": what is missing in a list gets created or deleted.
          return Unexpected{DecodeError{"LINSTOR's reply to GET " + path + " is empty"}};
        }
        return Check(*response, path);
      }
      last = std::move(response.error());
      if (ctx.canceled() || ctx.expired()) {
        break;
      }
    }
    return Unexpected{std::move(last)};
  }

  LinstorResult<Reply> Write(const Context& ctx,
                             std::string method,
                             const std::string& path,
                             const std::optional<Json>& body) {
    net::Request request{.method = std::move(method),
                         .target = path,
                         .headers = CommonHeaders(),
                         .fresh_connection = true};  // or the HTTP library may send it twice
    if (body) {
      request.headers.emplace_back("Content-Type", "application/json");
      request.body = body->dump(-1, ' ', false, Json::error_handler_t::replace);
    }
    BREAKWATER_ASSIGN_OR_RETURN(const net::Response response,
                                SendToAny(ctx, request, /*read=*/false));
    if (Succeeded(response) && response.body.empty()) {
      return Reply{};
    }
    BREAKWATER_ASSIGN_OR_RETURN(const Json value, Check(response, path));
    return Reply{DecodeMessages(value)};
  }

  net::Headers CommonHeaders() const {
    return {{"Accept", "application/json"}, {"User-Agent", options_.user_agent}};
  }

  /// Tries the endpoints in order, beginning with the one that answered last.
  Result<net::Response, net::TransportError> SendToAny(const Context& ctx,
                                                       net::Request request,
                                                       bool read) {
    const std::string path = request.target;
    const std::size_t start = first_.load();
    net::TransportError last;
    for (std::size_t i = 0; i < endpoints_.size(); ++i) {
      const std::size_t index = (start + i) % endpoints_.size();
      const Endpoint& endpoint = endpoints_[index];
      pacer_.Wait(ctx);
      request.target = endpoint.base_path + path;
      const Context limited =
          ctx.WithTimeout(read ? options_.read_timeout : options_.write_timeout);
      Result<net::Response, net::TransportError> response =
          endpoint.transport->Send(limited, request);
      if (response) {
        first_.store(index);
        return response;
      }
      last = std::move(response.error());
      last.message = endpoint.url + ": " + last.message;
      if (ctx.canceled() || ctx.expired() || (!read && !last.not_sent)) {
        break;
      }
    }
    return Unexpected{std::move(last)};
  }

  static bool Succeeded(const net::Response& response) {
    return response.status >= 200 && response.status < 300;
  }

  /// The JSON of a good reply. LINSTOR may report an error inside a 2xx list as well.
  static LinstorResult<Json> Check(const net::Response& response, const std::string& path) {
    const bool good = Succeeded(response);
    // Nobody reads other Aux properties of volumes; those of nodes and of the controller are
    // compared.
    const bool of_volumes = path.find("/v1/resource-definitions") != std::string::npos ||
                            path.find("/v1/view/resources") != std::string::npos;
    Result<Json, DecodeError> value = ParseJson(response.body, of_volumes);
    if (!value && good) {
      return Unexpected{DecodeError{path + ": " + value.error().message}};
    }
    std::vector<ApiCallRc> messages = value ? DecodeMessages(*value) : std::vector<ApiCallRc>();
    const bool refused = std::any_of(messages.begin(), messages.end(),
                                     [](const ApiCallRc& rc) { return rc.IsError(); });
    if (!good || refused) {
      return Unexpected{ApiError{response.status, std::move(messages)}};
    }
    return std::move(*value);
  }

  const std::vector<Endpoint> endpoints_;
  const HttpClientOptions options_;
  Pacer pacer_;
  std::atomic<std::size_t> first_{0};
};

}  // namespace

std::shared_ptr<Client> MakeHttpClient(std::vector<Endpoint> endpoints, HttpClientOptions options) {
  return std::make_shared<HttpClient>(std::move(endpoints), std::move(options));
}

}  // namespace breakwater::linstor
