#pragma once

/// MiniKube: just enough of an API server for the tests of this folder (leases, apply, delete). The
/// faithful fake is testing/fake_kube.h; this one exists to inject faults and hangs per client.

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "operator/kube/client.h"
#include "operator/kube/watch_event.h"
#include "operator/runtime/scripted_reader.h"

namespace breakwater::runtime {

/// The state that all clients share.
class MiniKube {
 public:
  using Id = std::tuple<std::string, std::string, std::string>;  // kind, namespace, name

  std::optional<api::Json> Find(const Id& id) const {
    const std::lock_guard lock(mutex_);
    const auto it = objects_.find(id);
    return it == objects_.end() ? std::nullopt : std::optional(it->second);
  }

  std::vector<api::Json> All(const std::string& kind) const {
    const std::lock_guard lock(mutex_);
    std::vector<api::Json> result;
    for (const auto& [id, object] : objects_) {
      if (std::get<0>(id) == kind) {
        result.push_back(object);
      }
    }
    return result;
  }

  /// Writes when `check` (called with the present object or null) gives no error.
  kube::KubeResult<api::Json> Write(
      const Id& id,
      const std::function<std::optional<kube::Status>(const api::Json*)>& check,
      const std::function<api::Json(const api::Json*)>& make) {
    const std::lock_guard lock(mutex_);
    const auto it = objects_.find(id);
    const api::Json* present = it == objects_.end() ? nullptr : &it->second;
    if (const std::optional<kube::Status> refused = check(present)) {
      return Unexpected{kube::KubeError(*refused)};
    }
    api::Json object = make(present);
    object["metadata"]["resourceVersion"] = std::to_string(++version_);
    if (!object["metadata"].contains("uid")) {
      object["metadata"]["uid"] = "uid-" + std::to_string(version_);
    }
    return objects_[id] = std::move(object);
  }

  bool Erase(const Id& id) {
    const std::lock_guard lock(mutex_);
    return objects_.erase(id) != 0;
  }

  std::string version() const {
    const std::lock_guard lock(mutex_);
    return std::to_string(version_);
  }

 private:
  mutable std::mutex mutex_;
  std::map<Id, api::Json> objects_;
  int version_ = 0;
};

/// One process's connection to it. Thread safety: all methods.
class MiniKubeClient final : public kube::KubeClient {
 public:
  enum class Fault { kNone, kFail, kHang, kLoseReply };

  explicit MiniKubeClient(MiniKube& server) : server_(server) {}

  /// For all calls from now on. kLoseReply: the server does it, the client never learns.
  void SetFault(Fault fault) {
    const std::lock_guard lock(mutex_);
    fault_ = fault;
  }

  /// Fails the next call of this verb.
  void FailNext(const std::string& verb, kube::Status status) {
    const std::lock_guard lock(mutex_);
    fail_next_[verb] = std::move(status);
  }

  /// "<verb> <kind> <name>" of all calls but list and watch.
  std::vector<std::string> calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }

  api::Json last_body() const {
    const std::lock_guard lock(mutex_);
    return last_body_;
  }

  kube::DeletePreconditions last_preconditions() const {
    const std::lock_guard lock(mutex_);
    return last_preconditions_;
  }

  kube::KubeResult<api::Json> Get(const Context& ctx,
                                  const api::ResourceInfo& resource,
                                  const api::ObjectKey& key) override {
    return Call(ctx, "get", resource, key, {}, [&]() -> kube::KubeResult<api::Json> {
      const std::optional<api::Json> found = server_.Find({resource.kind, key.ns, key.name});
      if (!found) {
        return Unexpected{kube::KubeError(kube::Status{.code = 404})};
      }
      return *found;
    });
  }

  kube::KubeResult<kube::ListPage> List(const Context& ctx,
                                        const api::ResourceInfo& resource,
                                        const kube::ListOptions&) override {
    if (const auto error = Injected(ctx, "list")) {
      return Unexpected{*error};
    }
    kube::ListPage page;
    page.items = server_.All(resource.kind);
    page.resource_version = server_.version();
    return page;
  }

  kube::KubeResult<std::unique_ptr<kube::WatchStream>> Watch(const Context&,
                                                             const api::ResourceInfo&,
                                                             const kube::WatchOptions&) override {
    class Silent final : public kube::WatchStream {
      kube::KubeResult<std::optional<kube::WatchEvent>> Next(const Context& ctx) override {
        return Unexpected{BlockUntilEnd(ctx)};
      }
    };

    return std::unique_ptr<kube::WatchStream>(std::make_unique<Silent>());
  }

  kube::KubeResult<api::Json> Create(const Context& ctx,
                                     const api::ResourceInfo& resource,
                                     const std::string& ns,
                                     const api::Json& object) override {
    const api::ObjectKey key{ns, api::Object(object).name()};
    return Call(ctx, "create", resource, key, object, [&] {
      return server_.Write(
          {resource.kind, ns, key.name},
          [](const api::Json* present) {
            return present ? std::optional(kube::Status{.code = 409}) : std::nullopt;
          },
          [&](const api::Json*) { return object; });
    });
  }

  kube::KubeResult<api::Json> Apply(const Context& ctx,
                                    const api::ResourceInfo& resource,
                                    const api::ObjectKey& key,
                                    const api::Json& object,
                                    const kube::ApplyOptions&) override {
    return Call(ctx, "apply", resource, key, object, [&] {
      return server_.Write(
          {resource.kind, key.ns, key.name}, [](const api::Json*) { return std::nullopt; },
          [&](const api::Json* present) {
            api::Json merged = present ? *present : api::Json::object();
            merged.merge_patch(object);
            return merged;
          });
    });
  }

  kube::KubeResult<api::Json> Replace(const Context& ctx,
                                      const api::ResourceInfo& resource,
                                      const api::ObjectKey& key,
                                      const api::Json& object,
                                      const std::string&) override {
    return Call(ctx, "replace", resource, key, object, [&] {
      return server_.Write(
          {resource.kind, key.ns, key.name},
          [&](const api::Json* present) -> std::optional<kube::Status> {
            if (present == nullptr) {
              return kube::Status{.code = 404};
            }
            const bool same =
                api::Object(*present).resource_version() == api::Object(object).resource_version();
            return same ? std::nullopt : std::optional(kube::Status{.code = 409});
          },
          [&](const api::Json*) { return object; });
    });
  }

  kube::KubeResult<api::Json> Patch(const Context& ctx,
                                    const api::ResourceInfo& resource,
                                    const api::ObjectKey& key,
                                    kube::PatchType type,
                                    const api::Json& patch,
                                    const std::string&) override {
    return Call(ctx, "patch", resource, key, patch, [&]() -> kube::KubeResult<api::Json> {
      if (type == kube::PatchType::kMerge) {
        return MergePatch({resource.kind, key.ns, key.name}, patch);
      }
      const auto present = server_.Find({resource.kind, key.ns, key.name});
      if (!present) {
        return Unexpected{kube::KubeError(kube::Status{.code = 404})};
      }
      try {
        const api::Json patched = present->patch(patch);
        return server_.Write(
            {resource.kind, key.ns, key.name}, [](const api::Json*) { return std::nullopt; },
            [&](const api::Json*) { return patched; });
      } catch (const api::Json::exception& e) {
        return Unexpected{kube::KubeError(kube::Status{.code = 422, .message = e.what()})};
      }
    });
  }

  kube::KubeResult<void> Delete(const Context& ctx,
                                const api::ResourceInfo& resource,
                                const api::ObjectKey& key,
                                const kube::DeletePreconditions& options) override {
    const auto result =
        Call(ctx, "delete", resource, key, {}, [&]() -> kube::KubeResult<api::Json> {
          {
            const std::lock_guard lock(mutex_);
            last_preconditions_ = options;
          }
          if (!server_.Erase({resource.kind, key.ns, key.name})) {
            return Unexpected{kube::KubeError(kube::Status{.code = 404})};
          }
          return api::Json::object();
        });
    if (!result) {
      return Unexpected{result.error()};
    }
    return {};
  }

 private:
  kube::KubeResult<api::Json> MergePatch(const MiniKube::Id& id, const api::Json& patch) {
    return server_.Write(
        id,
        [&](const api::Json* present) -> std::optional<kube::Status> {
          if (present == nullptr) {
            return kube::Status{.code = 404};
          }
          const std::string wanted = api::Object(patch).resource_version();
          const bool stale = !wanted.empty() && wanted != api::Object(*present).resource_version();
          return stale ? std::optional(kube::Status{.code = 409}) : std::nullopt;
        },
        [&](const api::Json* present) {
          api::Json merged = *present;
          merged.merge_patch(patch);
          return merged;
        });
  }

  template <typename Fn>
  kube::KubeResult<api::Json> Call(const Context& ctx,
                                   const std::string& verb,
                                   const api::ResourceInfo& resource,
                                   const api::ObjectKey& key,
                                   const api::Json& body,
                                   Fn fn) {
    {
      const std::lock_guard lock(mutex_);
      calls_.push_back(verb + " " + resource.kind + " " + key.name);
      last_body_ = body;
    }
    if (const auto error = Injected(ctx, verb)) {
      return Unexpected{*error};
    }
    kube::KubeResult<api::Json> result = fn();
    if (fault() == Fault::kLoseReply && verb != "get") {
      return Unexpected{BlockUntilEnd(ctx)};
    }
    return result;
  }

  std::optional<kube::KubeError> Injected(const Context& ctx, const std::string& verb) {
    {
      const std::lock_guard lock(mutex_);
      if (const auto it = fail_next_.find(verb); it != fail_next_.end()) {
        const kube::KubeError error(it->second);
        fail_next_.erase(it);
        return error;
      }
    }
    switch (fault()) {
      case Fault::kFail:
        return net::TransportError{.message = "refused"};
      case Fault::kHang:
        return BlockUntilEnd(ctx);
      case Fault::kNone:
      case Fault::kLoseReply:
        return std::nullopt;
    }
    return std::nullopt;
  }

  Fault fault() const {
    const std::lock_guard lock(mutex_);
    return fault_;
  }

  MiniKube& server_;
  mutable std::mutex mutex_;
  Fault fault_ = Fault::kNone;
  std::map<std::string, kube::Status> fail_next_;
  std::vector<std::string> calls_;
  api::Json last_body_;
  kube::DeletePreconditions last_preconditions_;
};

}  // namespace breakwater::runtime
