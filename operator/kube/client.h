#pragma once

/// The Kubernetes API as the operator uses it: small role interfaces over untyped objects.
/// Adapters: http_client.h (real), testing/fake_kube.h (tests); one contract suite runs against
/// both.

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "operator/api/resource_info.h"
#include "operator/base/context.h"
#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/net/http.h"

namespace breakwater::kube {

using api::ObjectKey;
using api::ResourceInfo;
using Json = nlohmann::json;

/// A Kubernetes Status reply (kind: Status), or what can be known of a reply that has none.
struct Status {
  int code = 0;           ///< HTTP status code
  std::string reason{};   ///< machine-readable reason, e.g. "NotFound", "Conflict", "Expired"
  std::string message{};  ///< for people
  std::optional<std::chrono::milliseconds> retry_after{};
};

/// What went wrong with a call: no reply, a Status, or a reply that could not be understood.
struct DecodeError {
  std::string message{};
};

class KubeError {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): one of three causes
  KubeError(net::TransportError error) : detail_(std::move(error)) {}

  // NOLINTNEXTLINE(google-explicit-constructor): one of three causes
  KubeError(Status status) : detail_(std::move(status)) {}

  // NOLINTNEXTLINE(google-explicit-constructor): one of three causes
  KubeError(DecodeError error) : detail_(std::move(error)) {}

  bool IsNotFound() const { return code() == 404; }

  bool IsConflict() const { return code() == 409; }

  bool IsGone() const { return code() == 410; }

  bool IsForbidden() const { return code() == 403; }

  /// The credentials are not accepted, perhaps not yet: an API server that lags behind in a
  /// rotation of keys refuses a token that the next one takes.
  bool IsUnauthorized() const { return code() == 401; }

  bool IsInvalid() const { return code() == 422 || code() == 400; }

  bool IsThrottled() const { return code() == 429; }

  bool IsCanceled() const;

  /// HTTP status code, 0 when there was no reply.
  int code() const;
  std::string message() const;
  std::optional<std::chrono::milliseconds> retry_after() const;

  const net::TransportError* transport() const {
    return std::get_if<net::TransportError>(&detail_);
  }

  /// Flattens to the class a controller acts on.
  Error ToError() const;

 private:
  std::variant<net::TransportError, Status, DecodeError> detail_;
};

template <typename T>
using KubeResult = Result<T, KubeError>;

struct ListOptions {
  std::string ns{};  ///< "" = all namespaces
  std::string label_selector{};
  std::string field_selector{};
  int limit = 500;  ///< page size, source: client-go reflector
  std::string continue_token{};
  std::string resource_version{};
  std::string resource_version_match{};
};

struct ListPage {
  std::vector<Json> items;
  std::string resource_version{};
  std::string continue_token{};  ///< "" on the last page

  ListPage();
  ~ListPage();
  ListPage(ListPage&&) noexcept;
  ListPage& operator=(ListPage&&) noexcept;
};

struct WatchOptions {
  std::string ns{};
  std::string label_selector{};
  std::string field_selector{};
  std::string resource_version{};
  std::chrono::seconds timeout{290};  ///< server side; the client's idle guard adds a margin
};

struct WatchEvent;  // watch_event.h

/// A running watch. The destructor closes it. Thread safety: one reader.
class WatchStream {
 public:
  virtual ~WatchStream() = default;

  /// Next event; nothing when the server closed the stream in order (resume from the last version).
  virtual KubeResult<std::optional<WatchEvent>> Next(const Context& ctx) = 0;
};

struct ApplyOptions {
  std::string field_manager = "piraeus.io/operator";
  bool force = true;
  std::string subresource{};  ///< "status" or ""
  bool dry_run = false;
};

struct DeletePreconditions {
  std::string uid{};
  std::string resource_version{};
  std::string propagation_policy = "Background";
};

enum class PatchType { kJson, kMerge, kStrategicMerge };

/// Thread safety of both: all methods may be called from any thread.
class KubeReader {
 public:
  virtual ~KubeReader() = default;
  virtual KubeResult<Json> Get(const Context& ctx,
                               const ResourceInfo& resource,
                               const ObjectKey& key) = 0;
  virtual KubeResult<ListPage> List(const Context& ctx,
                                    const ResourceInfo& resource,
                                    const ListOptions& options) = 0;
  virtual KubeResult<std::unique_ptr<WatchStream>> Watch(const Context& ctx,
                                                         const ResourceInfo& resource,
                                                         const WatchOptions& options) = 0;
};

class KubeWriter {
 public:
  virtual ~KubeWriter() = default;
  virtual KubeResult<Json> Create(const Context& ctx,
                                  const ResourceInfo& resource,
                                  const std::string& ns,
                                  const Json& object) = 0;
  /// Server-side apply (PATCH application/apply-patch+yaml with a JSON body).
  virtual KubeResult<Json> Apply(const Context& ctx,
                                 const ResourceInfo& resource,
                                 const ObjectKey& key,
                                 const Json& object,
                                 const ApplyOptions& options) = 0;
  /// PUT; a resourceVersion in the object makes it optimistic.
  virtual KubeResult<Json> Replace(const Context& ctx,
                                   const ResourceInfo& resource,
                                   const ObjectKey& key,
                                   const Json& object,
                                   const std::string& subresource) = 0;
  virtual KubeResult<Json> Patch(const Context& ctx,
                                 const ResourceInfo& resource,
                                 const ObjectKey& key,
                                 PatchType type,
                                 const Json& patch,
                                 const std::string& subresource) = 0;
  virtual KubeResult<void> Delete(const Context& ctx,
                                  const ResourceInfo& resource,
                                  const ObjectKey& key,
                                  const DeletePreconditions& options) = 0;
};

class KubeClient : public KubeReader, public KubeWriter {};

}  // namespace breakwater::kube
