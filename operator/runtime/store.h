#pragma once

/// Store: the objects of one kind as last seen in the API server, with indexes and change events.
///
/// One writer (the Reflector) and many readers. A reader never sees half of a relist.
///
///   Store pods({.version = "v1", .kind = "Pod", .plural = "pods"}, TrimFor("Pod"));
///   pods.Subscribe([&](const ChangeEvent& change) { queue.Add(change.key); });
///   for (const api::ObjectPtr& pod : pods.ListByLabel("app", "satellite")) { ... }

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "operator/api/object.h"
#include "operator/api/resource_info.h"
#include "operator/base/context.h"
#include "operator/base/thread_annotations.h"
#include "operator/runtime/wakeup.h"

namespace breakwater::runtime {

/// One change of one object.
struct ChangeEvent {
  enum class Type { kAdded, kModified, kDeleted };

  Type type = Type::kAdded;
  api::ObjectKey key{};
  api::ObjectPtr before{};  ///< null for kAdded
  api::ObjectPtr after{};   ///< null for kDeleted

  /// `after`, or `before` for a deletion: never null in an event that a Store sends.
  const api::Object& object() const { return after ? *after : *before; }
};

/// Index values of one object; an object may have none or several.
using IndexFn = std::function<std::vector<std::string>(const api::Object&)>;
/// Changes a raw object before it is kept; must be pure.
using TransformFn = std::function<void(api::Json&)>;
/// Says what is wrong with an object, or nothing when it can be used; must be pure.
using ValidateFn = std::function<std::optional<std::string>(const api::Object&)>;
/// Called in the order of the changes, one call at a time, with no lock of the readers held:
/// it may read any store, must not write this one and should only note the change (add to a queue).
using ChangeFn = std::function<void(const ChangeEvent&)>;

/// An object that is there but cannot be used. `key.name` is "" when it has not even a name.
struct InvalidObject {
  api::ObjectKey key{};
  std::string why{};
};

/// Built-in index: the uid of the object itself.
inline constexpr std::string_view kUidIndex = "uid";
/// Built-in index: the uid of the owner with controller=true.
inline constexpr std::string_view kControllerUidIndex = "controller-uid";
/// Index on request (Store::IndexLabels): labels as "key=value".
inline constexpr std::string_view kLabelIndex = "label";

/// Thread safety: all methods may be called from any thread; Replace, Upsert and Remove wait for
/// each other and for the subscribers. Ownership: subscribers must stay valid as long as the store,
/// or be removed by Unsubscribe.
class Store {
 public:
  struct Options {
    TransformFn transform{};  ///< in addition to dropping metadata.managedFields
    ValidateFn validate{};    ///< an invalid object is kept *and* reported by Invalid()
  };

  explicit Store(api::ResourceInfo resource, const Clock& clock = RealClock());
  Store(api::ResourceInfo resource, Options options, const Clock& clock = RealClock());
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  const api::ResourceInfo& resource() const { return resource_; }

  /// The object, or null.
  api::ObjectPtr Get(const api::ObjectKey& key) const;
  /// All objects, sorted by key, so that the same state gives the same order.
  std::vector<api::ObjectPtr> List() const;
  /// Objects whose index has `value`, sorted by key; empty for an unknown index.
  std::vector<api::ObjectPtr> ListByIndex(std::string_view index, const std::string& value) const;
  /// Objects with this label, sorted by key; looks at every object unless labels are indexed.
  std::vector<api::ObjectPtr> ListByLabel(const std::string& key, const std::string& value) const;
  std::vector<api::ObjectPtr> ListByController(const std::string& owner_uid) const;
  /// The object with this uid, or null.
  api::ObjectPtr FindByUid(const std::string& uid) const;
  std::size_t size() const;
  /// Objects that are there but unusable, sorted by key.
  std::vector<InvalidObject> Invalid() const;
  /// resourceVersion of the last list or event; "" before the first list.
  std::string resource_version() const;

  /// How many changes there were. Who reads it before the objects and finds the same number later
  /// need not look at them again.
  std::uint64_t changes() const;

  /// Makes ListByLabel quick. Costs memory for each label: for kinds that are asked often.
  void IndexLabels();
  /// Adds an index over present and future objects.
  void AddIndex(std::string name, IndexFn fn);

  /// Handle for Unsubscribe.
  using SubscriptionId = std::size_t;
  /// Calls `fn` with kAdded for every object that is already there, then with every change.
  SubscriptionId Subscribe(ChangeFn fn);
  /// When it returns, `fn` is not running and will not be called again. Not from within a
  /// subscriber.
  void Unsubscribe(SubscriptionId id);

  /// True once the first complete list is in.
  bool Synced() const;
  /// Waits for Synced(); false when `ctx` ended first.
  bool WaitSynced(const Context& ctx) const;

  /// Drops from `object` what the store would not keep. For those who collect many before they hand
  /// them over; idempotent.
  void Trim(api::Json& object) const;
  /// Makes the store equal to a complete list in one step; objects that are gone get a kDeleted
  /// event.
  void Replace(std::vector<api::Json> list, const std::string& resource_version);
  /// One object from a watch; an object whose version is already there makes no event.
  void Upsert(api::Json object);
  /// A deletion from a watch; `object` is the last state that the server sent.
  void Remove(api::Json object);
  /// Moves the version without a change (bookmark).
  void SetResourceVersion(const std::string& resource_version);

 private:
  using Index = std::map<std::string, std::set<api::ObjectKey>, std::less<>>;

  struct State {
    std::map<api::ObjectKey, api::ObjectPtr> objects{};
    std::map<std::string, Index, std::less<>> indexes{};
    std::map<api::ObjectKey, std::string> invalid{};
    std::string resource_version{};
    std::uint64_t changes = 0;
    bool synced = false;
  };

  api::ObjectPtr Admit(api::Json object) const;
  void Put(State& state, const api::ObjectPtr& object) const BREAKWATER_REQUIRES(write_mutex_);
  void Drop(State& state, const api::ObjectKey& key) const BREAKWATER_REQUIRES(write_mutex_);
  void Notify(const std::vector<ChangeEvent>& events) BREAKWATER_REQUIRES(write_mutex_);

  const api::ResourceInfo resource_;  // constant after construction
  const Options options_;             // constant after construction
  const Clock& clock_;                // constant after construction

  /// Taken by writers for the whole change including the calls of subscribers; before mutex_.
  Mutex write_mutex_;
  std::map<SubscriptionId, ChangeFn> subscribers_ BREAKWATER_GUARDED_BY(write_mutex_);
  SubscriptionId next_subscription_ BREAKWATER_GUARDED_BY(write_mutex_) = 1;
  std::map<std::string, IndexFn, std::less<>> index_fns_ BREAKWATER_GUARDED_BY(write_mutex_);

  mutable Mutex mutex_;
  State state_ BREAKWATER_GUARDED_BY(mutex_);
  mutable Wakeup synced_;  // own locking
};

/// The transform for a kind of which only few fields are of use: Node and Pod; the spec of a
/// DaemonSet is kept as text (see UnpackSpec); none for others.
/// What stays is listed in store_transform.cc. Saves most of the memory on large clusters.
TransformFn TrimFor(std::string_view kind);

/// An object as the API server showed it, its spec a tree again.
api::Json UnpackSpec(const api::Json& object);

}  // namespace breakwater::runtime
