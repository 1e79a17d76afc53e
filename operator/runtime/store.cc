#include "operator/runtime/store.h"

#include <utility>

namespace breakwater::runtime {
namespace {

using api::Json;
using api::ObjectKey;
using api::ObjectPtr;

std::vector<std::string> LabelPairs(const api::Object& object) {
  std::vector<std::string> pairs;
  for (const auto& [key, value] : object.labels()) {
    pairs.push_back(key + "=" + value);
  }
  return pairs;
}

std::vector<std::string> NotEmpty(std::string value) {
  return value.empty() ? std::vector<std::string>{} : std::vector{std::move(value)};
}

/// Events for one key whose object was `before` and is `after` now; either may be null.
void AppendChange(const ObjectKey& key,
                  const ObjectPtr& before,
                  const ObjectPtr& after,
                  std::vector<ChangeEvent>& events) {
  using Type = ChangeEvent::Type;
  if (before && after && before->uid() != after->uid()) {
    // Deleted and created again while nobody looked: two objects, so two events.
    events.push_back({Type::kDeleted, key, before, nullptr});
    events.push_back({Type::kAdded, key, nullptr, after});
  } else if (before && after) {
    if (before->resource_version().empty() ||
        before->resource_version() != after->resource_version()) {
      events.push_back({Type::kModified, key, before, after});
    }
  } else if (after) {
    events.push_back({Type::kAdded, key, nullptr, after});
  } else if (before) {
    events.push_back({Type::kDeleted, key, before, nullptr});
  }
}

}  // namespace

Store::Store(api::ResourceInfo resource, const Clock& clock)
    : Store(std::move(resource), Options{}, clock) {}

Store::Store(api::ResourceInfo resource, Options options, const Clock& clock)
    : resource_(std::move(resource)), options_(std::move(options)), clock_(clock) {
  AddIndex(std::string(kUidIndex),
           [](const api::Object& object) { return NotEmpty(object.uid()); });
  AddIndex(std::string(kControllerUidIndex),
           [](const api::Object& object) { return NotEmpty(object.controller_uid()); });
}

Store::~Store() = default;

ObjectPtr Store::Get(const ObjectKey& key) const {
  const MutexLock lock(mutex_);
  const auto it = state_.objects.find(key);
  return it == state_.objects.end() ? nullptr : it->second;
}

std::vector<ObjectPtr> Store::List() const {
  const MutexLock lock(mutex_);
  std::vector<ObjectPtr> result;
  result.reserve(state_.objects.size());
  for (const auto& [key, object] : state_.objects) {
    result.push_back(object);
  }
  return result;
}

std::vector<ObjectPtr> Store::ListByIndex(std::string_view index, const std::string& value) const {
  const MutexLock lock(mutex_);
  std::vector<ObjectPtr> result;
  const auto found = state_.indexes.find(index);
  if (found == state_.indexes.end()) {
    return result;
  }
  const auto keys = found->second.find(value);
  if (keys == found->second.end()) {
    return result;
  }
  for (const ObjectKey& key : keys->second) {
    result.push_back(state_.objects.at(key));
  }
  return result;
}

std::vector<ObjectPtr> Store::ListByLabel(const std::string& key, const std::string& value) const {
  {
    const MutexLock lock(mutex_);
    if (!state_.indexes.contains(kLabelIndex)) {
      std::vector<ObjectPtr> result;
      for (const auto& [name, object] : state_.objects) {
        if (object->label(key) == value) {
          result.push_back(object);
        }
      }
      return result;
    }
  }
  return ListByIndex(kLabelIndex, key + "=" + value);
}

void Store::IndexLabels() {
  AddIndex(std::string(kLabelIndex), LabelPairs);
}

std::vector<ObjectPtr> Store::ListByController(const std::string& owner_uid) const {
  return ListByIndex(kControllerUidIndex, owner_uid);
}

ObjectPtr Store::FindByUid(const std::string& uid) const {
  const std::vector<ObjectPtr> found = ListByIndex(kUidIndex, uid);
  return found.empty() ? nullptr : found.front();
}

std::size_t Store::size() const {
  const MutexLock lock(mutex_);
  return state_.objects.size();
}

std::vector<InvalidObject> Store::Invalid() const {
  const MutexLock lock(mutex_);
  std::vector<InvalidObject> result;
  for (const auto& [key, why] : state_.invalid) {
    result.push_back({key, why});
  }
  return result;
}

std::string Store::resource_version() const {
  const MutexLock lock(mutex_);
  return state_.resource_version;
}

std::uint64_t Store::changes() const {
  const MutexLock lock(mutex_);
  return state_.changes;
}

void Store::AddIndex(std::string name, IndexFn fn) {
  const MutexLock write_lock(write_mutex_);
  const MutexLock lock(mutex_);
  Index& index = state_.indexes[name];
  for (const auto& [key, object] : state_.objects) {
    for (const std::string& value : fn(*object)) {
      index[value].insert(key);
    }
  }
  index_fns_[std::move(name)] = std::move(fn);
}

Store::SubscriptionId Store::Subscribe(ChangeFn fn) {
  const MutexLock write_lock(write_mutex_);
  for (const ObjectPtr& object : List()) {
    fn({ChangeEvent::Type::kAdded, object->key(), nullptr, object});
  }
  subscribers_.emplace(next_subscription_, std::move(fn));
  return next_subscription_++;
}

void Store::Unsubscribe(SubscriptionId id) {
  const MutexLock write_lock(write_mutex_);
  subscribers_.erase(id);
}

bool Store::Synced() const {
  const MutexLock lock(mutex_);
  return state_.synced;
}

bool Store::WaitSynced(const Context& ctx) const {
  while (true) {
    const Wakeup::Ticket ticket = synced_.GetTicket();
    if (Synced()) {
      return true;
    }
    if (ctx.canceled() || ctx.expired()) {
      return false;
    }
    Wakeup::Wait(ticket, ctx.stop(), clock_,
                 ctx.deadline().value_or(clock_.SteadyNow() + std::chrono::hours(1)));
  }
}

void Store::Replace(std::vector<Json> list, const std::string& resource_version) {
  const MutexLock write_lock(write_mutex_);
  State next;
  next.resource_version = resource_version;
  next.synced = true;
  for (const auto& [name, fn] : index_fns_) {
    next.indexes[name];
  }
  for (Json& item : list) {
    Put(next, Admit(std::move(item)));
  }
  std::vector<ChangeEvent> events;
  {
    const MutexLock lock(mutex_);
    for (const auto& [key, before] : state_.objects) {
      const auto it = next.objects.find(key);
      AppendChange(key, before, it == next.objects.end() ? nullptr : it->second, events);
    }
    for (const auto& [key, after] : next.objects) {
      if (!state_.objects.contains(key)) {
        AppendChange(key, nullptr, after, events);
      }
    }
    next.changes = state_.changes + events.size();
    std::swap(state_, next);
  }
  synced_.NotifyAll();
  Notify(events);
}

void Store::Upsert(Json raw) {
  const MutexLock write_lock(write_mutex_);
  const ObjectPtr object = Admit(std::move(raw));
  const ObjectKey key = object->key();
  std::vector<ChangeEvent> events;
  {
    const MutexLock lock(mutex_);
    const auto it = state_.objects.find(key);
    const ObjectPtr before = it == state_.objects.end() ? nullptr : it->second;
    if (!key.name.empty()) {
      AppendChange(key, before, object, events);
    }
    Drop(state_, key);
    Put(state_, object);
    state_.changes += events.size();
    if (!object->resource_version().empty()) {
      state_.resource_version = object->resource_version();
    }
  }
  Notify(events);
}

void Store::Remove(Json raw) {
  const MutexLock write_lock(write_mutex_);
  const ObjectPtr object = Admit(std::move(raw));
  const ObjectKey key = object->key();
  std::vector<ChangeEvent> events;
  {
    const MutexLock lock(mutex_);
    const auto it = state_.objects.find(key);
    if (it != state_.objects.end()) {
      AppendChange(key, it->second, nullptr, events);
    }
    Drop(state_, key);
    state_.changes += events.size();
    if (!object->resource_version().empty()) {
      state_.resource_version = object->resource_version();
    }
  }
  Notify(events);
}

void Store::SetResourceVersion(const std::string& resource_version) {
  const MutexLock lock(mutex_);
  state_.resource_version = resource_version;
}

void Store::Trim(Json& object) const {
  if (!object.is_object()) {
    return;
  }
  const auto metadata = object.find("metadata");
  if (metadata != object.end() && metadata->is_object()) {
    metadata->erase("managedFields");
  }
  if (options_.transform) {
    options_.transform(object);
  }
}

ObjectPtr Store::Admit(Json object) const {
  if (!object.is_object()) {
    object = Json::object();
  }
  // Items of a list come without apiVersion and kind; whoever makes an owner reference needs them.
  object.emplace("apiVersion", resource_.ApiVersion());
  object.emplace("kind", resource_.kind);
  Trim(object);
  return std::make_shared<const api::Object>(std::move(object));
}

void Store::Put(State& state, const ObjectPtr& object) const {
  const ObjectKey key = object->key();
  if (key.name.empty()) {
    state.invalid[key] = "the object has no metadata.name";
    return;
  }
  for (const auto& [name, fn] : index_fns_) {
    for (const std::string& value : fn(*object)) {
      state.indexes[name][value].insert(key);
    }
  }
  state.objects[key] = object;
  if (options_.validate) {
    if (std::optional<std::string> why = options_.validate(*object)) {
      state.invalid[key] = *std::move(why);
    }
  }
}

void Store::Drop(State& state, const ObjectKey& key) const {
  state.invalid.erase(key);
  const auto it = state.objects.find(key);
  if (it == state.objects.end()) {
    return;
  }
  for (const auto& [name, fn] : index_fns_) {
    Index& index = state.indexes[name];
    for (const std::string& value : fn(*it->second)) {
      const auto keys = index.find(value);
      if (keys == index.end()) {
        continue;
      }
      keys->second.erase(key);
      if (keys->second.empty()) {
        index.erase(keys);
      }
    }
  }
  state.objects.erase(it);
}

void Store::Notify(const std::vector<ChangeEvent>& events) {
  for (const ChangeEvent& event : events) {
    for (const auto& [id, fn] : subscribers_) {
      fn(event);
    }
  }
}

}  // namespace breakwater::runtime
