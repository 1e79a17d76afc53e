#include "operator/testing/fake_kube.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <regex>
#include <utility>

#include "operator/api/object.h"
#include "operator/base/rfc3339.h"
#include "operator/kube/request.h"
#include "operator/testing/fake_kube_rules.h"
#include "operator/testing/label_selector.h"

namespace breakwater::testing {
namespace {

/// Owner of what was written by create, update and patch. (A real server takes it from the
/// User-Agent.)
constexpr const char* kUpdateManager = "update";

}  // namespace

FakeKube::FakeKube(const Clock& clock) : clock_(clock) {}

FakeKube::~FakeKube() = default;

void FakeKube::on_call(Hook hook) {
  const std::lock_guard lock(mutex_);
  hook_ = std::move(hook);
}

void FakeKube::FailCall(int number, KubeError error, bool after_effect) {
  const std::lock_guard lock(mutex_);
  planned_faults_.insert_or_assign(call_count_ + number, Fault{std::move(error), after_effect});
}

std::vector<FakeKube::Call> FakeKube::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}

int FakeKube::write_count() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(std::count_if(calls_.begin(), calls_.end(),
                                        [](const Call& call) { return call.is_write(); }));
}

void FakeKube::ClearCalls() {
  const std::lock_guard lock(mutex_);
  calls_.clear();
}

Json FakeKube::Put(const ResourceInfo& resource, Json object) {
  const std::lock_guard lock(mutex_);
  const ObjectKey key = KeyOfObject(resource, object);
  Table& table = TableOf(resource);
  if (const auto found = table.objects.find(key); found != table.objects.end()) {
    KeepImmutableMeta(found->second.object, object);
  } else {
    InitMeta(resource, key, object);
  }
  return Commit(table, key, std::move(object));
}

bool FakeKube::Mutate(const ResourceInfo& resource,
                      const ObjectKey& key,
                      const std::function<void(Json&)>& change) {
  const std::lock_guard lock(mutex_);
  Table& table = TableOf(resource);
  const auto found = table.objects.find(key);
  if (found == table.objects.end()) {
    return false;
  }
  Json next = found->second.object;
  change(next);
  Commit(table, key, GoneWhenReleased(std::move(next)));
  return true;
}

void FakeKube::Remove(const ResourceInfo& resource, const ObjectKey& key) {
  const std::lock_guard lock(mutex_);
  Table& table = TableOf(resource);
  if (table.objects.count(key) != 0) {
    Commit(table, key, std::nullopt);
  }
}

std::optional<Json> FakeKube::Find(const ResourceInfo& resource, const ObjectKey& key) const {
  const std::lock_guard lock(mutex_);
  const auto table = tables_.find(TableName(resource));
  if (table == tables_.end()) {
    return std::nullopt;
  }
  const auto found = table->second.objects.find(key);
  return found == table->second.objects.end() ? std::nullopt
                                              : std::optional<Json>(found->second.object);
}

std::vector<Json> FakeKube::All(const ResourceInfo& resource) const {
  const std::lock_guard lock(mutex_);
  std::vector<Json> result;
  if (const auto table = tables_.find(TableName(resource)); table != tables_.end()) {
    for (const auto& [key, stored] : table->second.objects) {
      result.push_back(stored.object);
    }
  }
  return result;
}

void FakeKube::CollectGarbage() {
  const std::lock_guard lock(mutex_);
  for (bool again = true; again;) {
    again = false;
    std::set<std::string> uids;
    for (const auto& [name, table] : tables_) {
      for (const auto& [key, stored] : table.objects) {
        uids.insert(api::Object(stored.object).uid());
      }
    }
    for (auto& [name, table] : tables_) {
      std::vector<ObjectKey> orphans;
      for (const auto& [key, stored] : table.objects) {
        const api::Object object(stored.object);
        const auto owners = object.owners();
        const bool all_gone = std::none_of(owners.begin(), owners.end(), [&](const auto& owner) {
          return uids.count(owner.uid) != 0;
        });
        if (!owners.empty() && all_gone && !object.deleting()) {
          orphans.push_back(key);
        }
      }
      for (const ObjectKey& key : orphans) {
        again = DeleteLocked(table.resource, key, {}).has_value() || again;
      }
    }
  }
}

FakeKube::Table& FakeKube::TableOf(const ResourceInfo& resource) {
  Table& table = tables_[TableName(resource)];
  if (table.resource.plural.empty()) {
    table.resource = resource;
  }
  return table;
}

void FakeKube::InitMeta(const ResourceInfo& resource, const ObjectKey& key, Json& object) {
  object["apiVersion"] = resource.ApiVersion();
  object["kind"] = resource.kind;
  Json& meta = object["metadata"];
  meta["name"] = key.name;
  if (resource.namespaced) {
    meta["namespace"] = key.ns;
  } else {
    meta.erase("namespace");
  }
  if (api::StringAt(meta, "uid").empty()) {
    std::array<char, 40> uid{};
    std::snprintf(uid.data(), uid.size(), "00000000-0000-4000-8000-%012lld",
                  static_cast<long long>(next_uid_++));
    meta["uid"] = uid.data();
  }
  if (api::StringAt(meta, "creationTimestamp").empty()) {
    meta["creationTimestamp"] = FormatRfc3339(clock_.SystemNow());
  }
  if (HasGeneration(resource)) {
    meta["generation"] = 1;
  }
}

/// Makes `object` (nullopt: gone) the state of `key`, bumps versions and tells the watches. A write
/// that changes nothing changes nothing: no new version, no event.
Json FakeKube::Commit(Table& table, const ObjectKey& key, std::optional<Json> object) {
  const auto found = table.objects.find(key);
  Json before = found == table.objects.end() ? Json() : found->second.object;
  Json after = object ? std::move(*object) : before;
  if (object && !before.is_null()) {
    after["metadata"]["resourceVersion"] = before["metadata"].value("resourceVersion", "");
    if (after == before) {
      return before;
    }
    BumpGeneration(table.resource, before, after);
  }
  ++version_;
  after["metadata"]["resourceVersion"] = std::to_string(version_);
  const char* type = !object ? "DELETED" : before.is_null() ? "ADDED" : "MODIFIED";
  if (object) {
    table.objects[key].object = after;
  } else {
    table.objects.erase(key);
  }
  table.log.push_back({version_, type, key, after, before});
  changed_.notify_all();
  return after;
}

/// A write that is not an apply: it takes over the fields that it changes.
Json FakeKube::Write(Table& table,
                     const ObjectKey& key,
                     Json next,
                     const std::string& subresource) {
  Stored& stored = table.objects[key];
  Json merged = WithinSubresource(stored.object, std::move(next), subresource);
  KeepImmutableMeta(stored.object, merged);
  const auto changed = [&](const FieldPath& path) {
    const Json* was = FieldAt(stored.object, path);
    const Json* is = FieldAt(merged, path);
    return is == nullptr || was == nullptr || *was != *is;
  };
  for (auto& [manager, fields] : stored.owned) {
    std::erase_if(fields, changed);
  }
  for (const FieldPath& path : FieldsOf(ConfigurationOf(merged, subresource))) {
    if (changed(path)) {
      stored.owned[kUpdateManager].insert(path);
    }
  }
  return Commit(table, key, GoneWhenReleased(std::move(merged)));
}

template <typename T>
KubeResult<T> FakeKube::Guarded(const Context& ctx,
                                Call call,
                                const std::function<KubeResult<T>()>& effect) {
  std::optional<Fault> fault;
  Hook hook;
  {
    const std::lock_guard lock(mutex_);
    call.number = ++call_count_;
    calls_.push_back(call);
    hook = hook_;
    if (const auto planned = planned_faults_.find(call.number); planned != planned_faults_.end()) {
      fault = planned->second;
    }
  }
  if (!fault && hook) {
    fault = hook(call);
  }
  if (ctx.canceled() || ctx.expired()) {
    using Kind = net::TransportError::Kind;
    return Unexpected{KubeError(
        net::TransportError{ctx.canceled() ? Kind::kCanceled : Kind::kTimeout, "no reply"})};
  }
  if (fault && !fault->after_effect) {
    return Unexpected{fault->error};
  }
  const std::lock_guard lock(mutex_);
  KubeResult<T> result = effect();
  if (fault) {
    return Unexpected{fault->error};
  }
  return result;
}

KubeResult<Json> FakeKube::Get(const Context& ctx,
                               const ResourceInfo& resource,
                               const ObjectKey& key) {
  return Guarded<Json>(ctx, {"get", resource, key}, [&]() -> KubeResult<Json> {
    if (const std::string problem = kube::KeyProblem(resource, key); !problem.empty()) {
      return Unexpected{MakeError(400, "BadRequest", problem)};
    }
    const Table& table = TableOf(resource);
    const auto found = table.objects.find(NormalKey(resource, key));
    if (found == table.objects.end()) {
      return Unexpected{NotFound(resource, key)};
    }
    return found->second.object;
  });
}

KubeResult<kube::ListPage> FakeKube::List(const Context& ctx,
                                          const ResourceInfo& resource,
                                          const kube::ListOptions& options) {
  return Guarded<kube::ListPage>(ctx, {"list", resource, {options.ns, ""}},
                                 [&] { return ListLocked(resource, options); });
}

KubeResult<kube::ListPage> FakeKube::ListLocked(const ResourceInfo& resource,
                                                const kube::ListOptions& options) {
  std::optional<ContinueToken> token;
  if (!options.continue_token.empty()) {
    token = ContinueToken::Parse(options.continue_token);
    if (!token) {
      return Unexpected{MakeError(400, "BadRequest", "continue key is not valid")};
    }
    if (token->version < compacted_) {
      return Unexpected{MakeError(410, "Expired", "the provided continue parameter is too old")};
    }
  }
  kube::ListPage page;
  // All pages of a list show the version of its first page: a watch from there misses nothing.
  const std::int64_t version = token ? token->version : version_;
  page.resource_version = std::to_string(version);
  for (const auto& [key, stored] : TableOf(resource).objects) {
    if ((token && key <= token->last) ||
        (resource.namespaced && !options.ns.empty() && key.ns != options.ns)) {
      continue;
    }
    const auto labels = MatchesLabels(options.label_selector, stored.object);
    const auto fields = MatchesFields(options.field_selector, stored.object);
    if (!labels || !fields) {
      return Unexpected{MakeError(400, "BadRequest", "unable to parse the selector")};
    }
    if (!*labels || !*fields) {
      continue;
    }
    if (options.limit > 0 && page.items.size() == static_cast<std::size_t>(options.limit)) {
      page.continue_token =
          ContinueToken{version, KeyOfObject(resource, page.items.back())}.ToString();
      break;
    }
    page.items.push_back(stored.object);
  }
  return page;
}

KubeResult<Json> FakeKube::Create(const Context& ctx,
                                  const ResourceInfo& resource,
                                  const std::string& ns,
                                  const Json& object) {
  const Json* meta = api::FindMember(object, "metadata");
  const ObjectKey key{ns, meta == nullptr ? "" : api::StringAt(*meta, "name")};
  return Guarded<Json>(ctx, {"create", resource, key},
                       [&] { return CreateLocked(resource, ns, object); });
}

KubeResult<Json> FakeKube::CreateLocked(const ResourceInfo& resource,
                                        const std::string& ns,
                                        Json object) {
  if (!object.is_object() || api::StringAt(object, "kind") != resource.kind) {
    return Unexpected{MakeError(400, "BadRequest", "the object provided is unrecognized")};
  }
  if (resource.namespaced && ns.empty()) {
    return Unexpected{MakeError(405, "MethodNotAllowed", "a namespace is required")};
  }
  Json& meta = object["metadata"];
  std::string name = api::StringAt(meta, "name");
  if (const std::string prefix = api::StringAt(meta, "generateName");
      name.empty() && !prefix.empty()) {
    std::array<char, 8> suffix{};
    std::snprintf(suffix.data(), suffix.size(), "%05lld",
                  static_cast<long long>(next_uid_ % 100000));
    name = prefix + suffix.data();
  }
  const ObjectKey key = NormalKey(resource, {ns, name});
  if (name.empty()) {
    return Unexpected{MakeError(422, "Invalid", "metadata.name: Required value")};
  }
  Table& table = TableOf(resource);
  if (table.objects.count(key) != 0) {
    return Unexpected{
        MakeError(409, "AlreadyExists", resource.plural + " \"" + name + "\" already exists")};
  }
  for (const char* field : {"uid", "creationTimestamp", "deletionTimestamp", "resourceVersion"}) {
    meta.erase(field);
  }
  if (HasStatusSubresource(resource)) {
    object.erase("status");
  }
  InitMeta(resource, key, object);
  table.objects[key].owned[kUpdateManager] = FieldsOf(ConfigurationOf(object, ""));
  return Commit(table, key, std::move(object));
}

KubeResult<Json> FakeKube::Replace(const Context& ctx,
                                   const ResourceInfo& resource,
                                   const ObjectKey& key,
                                   const Json& object,
                                   const std::string& subresource) {
  return Guarded<Json>(ctx, {"update", resource, key, subresource}, [&] {
    return ReplaceLocked(resource, NormalKey(resource, key), object, subresource);
  });
}

KubeResult<Json> FakeKube::ReplaceLocked(const ResourceInfo& resource,
                                         const ObjectKey& key,
                                         Json object,
                                         const std::string& subresource) {
  Table& table = TableOf(resource);
  const auto found = table.objects.find(key);
  if (found == table.objects.end()) {
    return Unexpected{NotFound(resource, key)};
  }
  const std::string version = api::Object(object).resource_version();
  if (version.empty() && IsCustom(resource)) {
    return Unexpected{
        MakeError(422, "Invalid", "metadata.resourceVersion: must be specified for an update")};
  }
  if (!version.empty() && version != api::Object(found->second.object).resource_version()) {
    return Unexpected{Modified(resource, key)};
  }
  return Write(table, key, std::move(object), subresource);
}

KubeResult<Json> FakeKube::Patch(const Context& ctx,
                                 const ResourceInfo& resource,
                                 const ObjectKey& key,
                                 kube::PatchType type,
                                 const Json& patch,
                                 const std::string& subresource) {
  return Guarded<Json>(ctx, {"patch", resource, key, subresource}, [&] {
    return PatchLocked(resource, NormalKey(resource, key), type, patch, subresource);
  });
}

KubeResult<Json> FakeKube::PatchLocked(const ResourceInfo& resource,
                                       const ObjectKey& key,
                                       kube::PatchType type,
                                       const Json& patch,
                                       const std::string& subresource) {
  Table& table = TableOf(resource);
  const auto found = table.objects.find(key);
  if (found == table.objects.end()) {
    return Unexpected{NotFound(resource, key)};
  }
  Json next = found->second.object;
  switch (type) {
    case kube::PatchType::kJson:
      try {
        next = next.patch(patch);
      } catch (const Json::exception& error) {
        return Unexpected{MakeError(422, "Invalid", error.what())};
      }
      break;
    case kube::PatchType::kMerge:
      next.merge_patch(patch);
      break;
    case kube::PatchType::kStrategicMerge:
      if (IsCustom(resource)) {
        return Unexpected{MakeError(415, "UnsupportedMediaType",
                                    "strategic merge patch is not supported for custom resources")};
      }
      MergeFields(next, patch);
      break;
  }
  const std::string version = api::Object(next).resource_version();
  if (version != api::Object(found->second.object).resource_version()) {
    return Unexpected{Modified(resource, key)};
  }
  return Write(table, key, std::move(next), subresource);
}

KubeResult<void> FakeKube::Delete(const Context& ctx,
                                  const ResourceInfo& resource,
                                  const ObjectKey& key,
                                  const kube::DeletePreconditions& options) {
  return Guarded<void>(ctx, {"delete", resource, key}, [&]() -> KubeResult<void> {
    if (const std::string problem = kube::KeyProblem(resource, key); !problem.empty()) {
      return Unexpected{MakeError(400, "BadRequest", problem)};
    }
    return DeleteLocked(resource, NormalKey(resource, key), options);
  });
}

KubeResult<void> FakeKube::DeleteLocked(const ResourceInfo& resource,
                                        const ObjectKey& key,
                                        const kube::DeletePreconditions& options) {
  Table& table = TableOf(resource);
  const auto found = table.objects.find(key);
  if (found == table.objects.end()) {
    return Unexpected{NotFound(resource, key)};
  }
  const api::Object live(found->second.object);
  if ((!options.uid.empty() && options.uid != live.uid()) ||
      (!options.resource_version.empty() && options.resource_version != live.resource_version())) {
    return Unexpected{MakeError(409, "Conflict", "the precondition does not hold")};
  }
  if (live.finalizers().empty()) {
    Commit(table, key, std::nullopt);
    return {};
  }
  if (!live.deleting()) {
    Json next = live.raw();
    next["metadata"]["deletionTimestamp"] = FormatRfc3339(clock_.SystemNow());
    Commit(table, key, std::move(next));
  }
  return {};
}

namespace {

/// As the API server words it, which puts "errors:" and one line for each when there are several.
std::string UndeclaredIn(const std::vector<std::string>& pointers, const Json& object) {
  std::vector<std::string> found;
  for (const std::string& pointer : pointers) {
    if (object.contains(Json::json_pointer(pointer))) {
      found.push_back(
          std::regex_replace(std::regex_replace(pointer, std::regex("/([0-9]+)"), "[$1]"),
                             std::regex("/"), ".") +
          ": field not declared in schema");
    }
  }
  if (found.size() < 2) {
    return found.empty() ? "" : found[0];
  }
  std::string text = "errors:";
  for (const std::string& line : found) {
    text += "\n  " + line;
  }
  return text;
}

}  // namespace

void FakeKube::Undeclare(const ResourceInfo& resource, std::vector<std::string> pointers) {
  const std::lock_guard lock(mutex_);
  undeclared_[resource.kind] = std::move(pointers);
}

KubeResult<Json> FakeKube::Apply(const Context& ctx,
                                 const ResourceInfo& resource,
                                 const ObjectKey& key,
                                 const Json& object,
                                 const kube::ApplyOptions& options) {
  return Guarded<Json>(
      ctx, {"apply", resource, key, options.subresource}, [&]() -> KubeResult<Json> {
        if (const std::string problem = kube::KeyProblem(resource, key); !problem.empty()) {
          return Unexpected{MakeError(400, "BadRequest", problem)};
        }
        if (const std::string gaps = UndeclaredIn(undeclared_[resource.kind], object);
            !gaps.empty()) {
          return Unexpected{MakeError(500, "InternalError",
                                      "failed to create typed patch object (/" + key.name + "; " +
                                          resource.ApiVersion() + ", Kind=" + resource.kind +
                                          "): " + gaps)};
        }
        return ApplyLocked(resource, NormalKey(resource, key), object, options);
      });
}

template KubeResult<std::unique_ptr<kube::WatchStream>> FakeKube::Guarded(
    const Context&, Call, const std::function<KubeResult<std::unique_ptr<kube::WatchStream>>()>&);

}  // namespace breakwater::testing
