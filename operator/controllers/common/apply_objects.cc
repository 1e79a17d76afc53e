#include "operator/controllers/common/apply_objects.h"

#include "operator/api/resources.h"
#include "operator/core/status/ownership.h"

namespace breakwater::controllers {
namespace {

/// Which of two errors decides about the retry: the one that a retry may cure comes first, because
/// a slow retry for the sake of the other would delay the cure.
int Urgency(ErrorClass error_class) {
  switch (error_class) {
    case ErrorClass::kCanceled:
      return 6;
    case ErrorClass::kConflict:
      return 5;
    case ErrorClass::kThrottled:
      return 4;
    case ErrorClass::kTransient:
    case ErrorClass::kNotFound:
      return 3;
    case ErrorClass::kForbidden:
      return 2;
    case ErrorClass::kInvalid:
      return 1;
    case ErrorClass::kTerminal:
      return 0;
  }
  return 0;
}

bool IsLeaving(const Writers& writers, const runtime::ObjectId& id) {
  if (id.kind != api::kLinstorSatellite.kind) {
    return false;
  }
  const runtime::Store* store = writers.stores.Find(id.group, id.kind);
  const api::ObjectPtr live = store == nullptr ? nullptr : store->Get(id.key);
  return live && live->deleting();
}

Result<void, Error> ApplyOne(const Context& ctx,
                             const Writers& writers,
                             const api::Object& owner,
                             api::Json object,
                             const runtime::ObjectId& id,
                             ApplyReport& report) {
  const runtime::Store* store = writers.stores.Find(id.group, id.kind);
  if (store == nullptr) {
    return Unexpected{Error{ErrorClass::kInvalid, "the kind " + id.kind +
                                                      (id.group.empty() ? "" : "." + id.group) +
                                                      " is not known to this cluster"}};
  }
  const api::ObjectPtr live = store->Get(id.key);
  if (live && !live->controller_uid().empty() && live->controller_uid() != owner.uid()) {
    return Unexpected{Error{ErrorClass::kInvalid, "belongs to another owner"}};
  }
  BREAKWATER_RETURN_IF_ERROR(core::SetControllerOwner(&object, owner));
  BREAKWATER_ASSIGN_OR_RETURN(const runtime::ApplyOutcome outcome,
                              writers.applier.Apply(ctx, *store, object));
  if (outcome.action != runtime::ApplyOutcome::Action::kUnchanged) {
    ++report.written;
    if (report.why.empty()) {
      report.why = id.kind + " " + id.key.name + ": " + outcome.why;
    }
    if (outcome.live) {
      report.generations[id] = outcome.live->generation();
    }
  }
  return {};
}

}  // namespace

void ApplyReport::AddError(const std::string& what, const Error& failure) {
  if (failure.error_class != ErrorClass::kCanceled) {
    errors.push_back(what + ": " + failure.message);
  }
  if (!error || Urgency(failure.error_class) > Urgency(error->error_class)) {
    error = failure.WithContext(what);
  }
}

runtime::ObjectId IdOf(const api::Json& object) {
  const std::string api_version = api::StringAt(object, "apiVersion");
  const auto slash = api_version.find('/');
  const api::Object view(object);
  return {slash == std::string::npos ? "" : api_version.substr(0, slash),
          api::StringAt(object, "kind"), view.key()};
}

ApplyReport ApplyObjects(const Context& ctx,
                         const Writers& writers,
                         const api::Object& owner,
                         std::vector<api::Json> objects) {
  ApplyReport report;
  for (const api::Json& object : objects) {
    report.wanted.insert(IdOf(object));
  }
  for (api::Json& object : objects) {
    const runtime::ObjectId id = IdOf(object);
    const std::string what = id.kind + " " + id.key.ToString();
    if (ctx.canceled() || ctx.expired()) {
      report.AddError(what, Error{ErrorClass::kCanceled, "no time left"});
      return report;
    }
    if (IsLeaving(writers, id)) {
      report.pending.push_back(what + ": is being deleted, will be made again then");
      continue;
    }
    const Result<void, Error> applied =
        ApplyOne(ctx, writers, owner, std::move(object), id, report);
    if (!applied) {
      report.AddError(what, applied.error());
    }
  }
  return report;
}

void PruneObjects(const Context& ctx,
                  const Writers& writers,
                  const api::Object& owner,
                  const std::vector<api::ResourceInfo>& kinds,
                  ApplyReport& report) {
  if (!report.ok()) {
    return;
  }
  const Result<std::vector<runtime::ObjectId>, Error> pruned =
      runtime::Prune(ctx, writers.client,
                     {.owner_uid = owner.uid(),
                      .stores = writers.stores.Select(kinds),
                      .keep = report.wanted,
                      .operator_namespace = writers.operator_namespace});
  if (!pruned) {
    report.AddError("prune", pruned.error());
  } else {
    report.written += static_cast<int>(pruned->size());
  }
}

}  // namespace breakwater::controllers
