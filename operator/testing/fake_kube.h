#pragma once

/// FakeKube: an API server in memory, for tests of everything above the client.
///
/// What it does is checked by the contract suite against a real API server: create, get, paged
/// lists, watches with bookmarks and 410, server-side apply with field ownership, status as a
/// subresource, generation and resourceVersion, finalizers, preconditions. What it does not do:
/// schemas, defaults, admission, namespaces that must exist, graceful deletion of pods. Owner
/// references are collected only when a test calls CollectGarbage().
///
/// Thread safety: all methods may be called from any thread.

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "operator/kube/client.h"
#include "operator/kube/watch_event.h"
#include "operator/testing/field_set.h"

namespace breakwater::testing {

using kube::Json;
using kube::KubeError;
using kube::KubeResult;
using kube::ObjectKey;
using kube::ResourceInfo;

class FakeKube final : public kube::KubeClient {
 public:
  /// A call as it reached the fake.
  struct Call {
    std::string verb{};  ///< get, list, watch, create, apply, update, patch, delete
    ResourceInfo resource{};
    ObjectKey key{};
    std::string subresource{};
    int number = 0;  ///< 1 for the first call

    bool is_write() const { return verb != "get" && verb != "list" && verb != "watch"; }
  };

  /// What a hook makes of a call.
  struct Fault {
    KubeError error;
    /// True: the call takes effect and only its reply is lost.
    bool after_effect = false;
  };

  /// Runs before each call without any lock held, so that it may block (a slow server) or use the
  /// fake.
  using Hook = std::function<std::optional<Fault>(const Call&)>;

  explicit FakeKube(const Clock& clock = RealClock());
  ~FakeKube() override;

  // --- for tests ---

  /// One hook; an empty function removes it.
  void on_call(Hook hook);
  /// Fails call number `number` (counted from now, 1 = the next) with `error`.
  void FailCall(int number, KubeError error, bool after_effect = false);
  std::vector<Call> calls() const;
  int write_count() const;
  void ClearCalls();

  /// Fields that the definition of a kind does not have ("/spec/deletionPolicy"): apply refuses an
  /// object with one of them as the API server does. Empty: all are there.
  void Undeclare(const ResourceInfo& resource, std::vector<std::string> pointers);

  /// Puts an object as it is, with its status; uid, resourceVersion and the like are filled in.
  Json Put(const ResourceInfo& resource, Json object);
  /// Changes an object as somebody else would; false when it does not exist.
  bool Mutate(const ResourceInfo& resource,
              const ObjectKey& key,
              const std::function<void(Json&)>& change);
  /// Removes at once, whatever its finalizers.
  void Remove(const ResourceInfo& resource, const ObjectKey& key);
  std::optional<Json> Find(const ResourceInfo& resource, const ObjectKey& key) const;
  std::vector<Json> All(const ResourceInfo& resource) const;
  /// Deletes objects all of whose owners are gone, until nothing changes.
  void CollectGarbage();

  /// History before now is gone: older watches and continue tokens get 410.
  void Compact();
  /// Running watches get an ERROR event with 410 and end.
  void ExpireWatches();
  /// Running watches end in order.
  void CloseWatches();
  void SendBookmarks();
  int open_watches() const;

  // --- KubeClient ---

  KubeResult<Json> Get(const Context& ctx,
                       const ResourceInfo& resource,
                       const ObjectKey& key) override;
  KubeResult<kube::ListPage> List(const Context& ctx,
                                  const ResourceInfo& resource,
                                  const kube::ListOptions& options) override;
  KubeResult<std::unique_ptr<kube::WatchStream>> Watch(const Context& ctx,
                                                       const ResourceInfo& resource,
                                                       const kube::WatchOptions& options) override;
  KubeResult<Json> Create(const Context& ctx,
                          const ResourceInfo& resource,
                          const std::string& ns,
                          const Json& object) override;
  KubeResult<Json> Apply(const Context& ctx,
                         const ResourceInfo& resource,
                         const ObjectKey& key,
                         const Json& object,
                         const kube::ApplyOptions& options) override;
  KubeResult<Json> Replace(const Context& ctx,
                           const ResourceInfo& resource,
                           const ObjectKey& key,
                           const Json& object,
                           const std::string& subresource) override;
  KubeResult<Json> Patch(const Context& ctx,
                         const ResourceInfo& resource,
                         const ObjectKey& key,
                         kube::PatchType type,
                         const Json& patch,
                         const std::string& subresource) override;
  KubeResult<void> Delete(const Context& ctx,
                          const ResourceInfo& resource,
                          const ObjectKey& key,
                          const kube::DeletePreconditions& options) override;

 private:
  struct Stored {
    Json object;
    std::map<std::string, FieldSet> owned;  // by manager and subresource
  };

  struct Logged {
    std::int64_t version;
    std::string type;  // ADDED, MODIFIED, DELETED
    ObjectKey key;
    Json object;
    Json before;  // null when there was none; decides what a selector lets through
  };

  struct Table {
    ResourceInfo resource;
    std::map<ObjectKey, Stored> objects;
    std::vector<Logged> log;
  };

  class Stream;
  friend class Stream;

  template <typename T>
  KubeResult<T> Guarded(const Context& ctx,
                        Call call,
                        const std::function<KubeResult<T>()>& effect);

  // All below need mutex_.
  Table& TableOf(const ResourceInfo& resource);
  Json Commit(Table& table, const ObjectKey& key, std::optional<Json> object);
  Json Write(Table& table, const ObjectKey& key, Json next, const std::string& subresource);
  void InitMeta(const ResourceInfo& resource, const ObjectKey& key, Json& object);
  KubeResult<Json> CreateLocked(const ResourceInfo& resource, const std::string& ns, Json object);
  KubeResult<Json> ApplyLocked(const ResourceInfo& resource,
                               const ObjectKey& key,
                               const Json& object,
                               const kube::ApplyOptions& options);
  KubeResult<Json> ReplaceLocked(const ResourceInfo& resource,
                                 const ObjectKey& key,
                                 Json object,
                                 const std::string& subresource);
  KubeResult<Json> PatchLocked(const ResourceInfo& resource,
                               const ObjectKey& key,
                               kube::PatchType type,
                               const Json& patch,
                               const std::string& subresource);
  KubeResult<void> DeleteLocked(const ResourceInfo& resource,
                                const ObjectKey& key,
                                const kube::DeletePreconditions& options);
  KubeResult<kube::ListPage> ListLocked(const ResourceInfo& resource,
                                        const kube::ListOptions& options);

  const Clock& clock_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<std::string, Table> tables_;  // by "group/plural"
  std::int64_t version_ = 100;
  std::int64_t compacted_ = 0;
  std::int64_t next_uid_ = 1;
  int expire_ = 0;     // counts ExpireWatches()
  int close_ = 0;      // counts CloseWatches()
  int bookmarks_ = 0;  // counts SendBookmarks()
  int open_watches_ = 0;
  Hook hook_;
  std::map<int, Fault> planned_faults_;
  std::map<std::string, std::vector<std::string>> undeclared_;  // by kind
  std::vector<Call> calls_;
  int call_count_ = 0;
};

}  // namespace breakwater::testing
