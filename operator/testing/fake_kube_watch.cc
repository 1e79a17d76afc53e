// Watches of FakeKube.

#include <deque>
#include <utility>

#include "operator/api/object.h"
#include "operator/testing/fake_kube.h"
#include "operator/testing/fake_kube_rules.h"
#include "operator/testing/label_selector.h"

namespace breakwater::testing {

using kube::WatchEvent;

/// One running watch. Reads the table's log from where it stands.
class FakeKube::Stream final : public kube::WatchStream {
 public:
  /// The fake's mutex is held.
  Stream(FakeKube& kube,
         const ResourceInfo& resource,
         kube::WatchOptions options,
         std::int64_t version)
      : kube_(kube),
        table_name_(TableName(resource)),
        resource_(resource),
        options_(std::move(options)),
        version_(version),
        expire_(kube.expire_),
        close_(kube.close_),
        bookmarks_(kube.bookmarks_) {
    ++kube_.open_watches_;
    if (version_ == 0) {  // "get state and start": everything there is comes as ADDED
      for (const auto& [key, stored] : kube_.TableOf(resource_).objects) {
        if (Selected(key, stored.object)) {
          ready_.push_back(Event(WatchEvent::Type::kAdded, stored.object));
        }
      }
      version_ = kube_.version_;
    }
  }

  ~Stream() override {
    const std::lock_guard lock(kube_.mutex_);
    --kube_.open_watches_;
  }

  KubeResult<std::optional<WatchEvent>> Next(const Context& ctx) override {
    std::unique_lock lock(kube_.mutex_);
    const auto something = [&] { return !ready_.empty() || Fill(); };
    // Real time on purpose: a test with a fake clock that forgets to end its watch must not hang.
    const bool woke = ctx.deadline()
                          ? kube_.changed_.wait_for(
                                lock, ctx.stop(), ctx.Remaining(std::chrono::minutes(5)), something)
                          : kube_.changed_.wait(lock, ctx.stop(), something);
    if (!woke) {
      using Kind = net::TransportError::Kind;
      return Unexpected{KubeError(
          net::TransportError{ctx.canceled() ? Kind::kCanceled : Kind::kTimeout, "no event"})};
    }
    if (ready_.empty()) {
      return std::optional<WatchEvent>();
    }
    std::optional<WatchEvent> event(std::move(ready_.front()));
    ready_.pop_front();
    return event;
  }

 private:
  static WatchEvent Event(WatchEvent::Type type, Json object) {
    const std::string version = api::Object(object).resource_version();
    return {type, std::move(object), version};
  }

  bool Selected(const ObjectKey& key, const Json& object) const {
    return !object.is_null() &&
           (options_.ns.empty() || !resource_.namespaced || key.ns == options_.ns) &&
           MatchesLabels(options_.label_selector, object).value_or(false) &&
           MatchesFields(options_.field_selector, object).value_or(false);
  }

  /// Moves news into ready_; true when there is something to say, the end included.
  bool Fill() {
    const std::vector<Logged>& log = kube_.tables_.at(table_name_).log;
    for (; position_ < log.size(); ++position_) {
      if (log[position_].version > version_) {
        Deliver(log[position_]);
      }
    }
    if (bookmarks_ != kube_.bookmarks_) {
      bookmarks_ = kube_.bookmarks_;
      ready_.push_back(
          Event(WatchEvent::Type::kBookmark,
                {{"apiVersion", resource_.ApiVersion()},
                 {"kind", resource_.kind},
                 {"metadata", {{"resourceVersion", std::to_string(kube_.version_)}}}}));
    }
    if (expire_ != kube_.expire_) {
      expire_ = kube_.expire_;
      ended_ = true;
      ready_.push_back({WatchEvent::Type::kError,
                        {{"kind", "Status"}, {"code", 410}, {"reason", "Expired"}},
                        ""});
    }
    ended_ = ended_ || close_ != kube_.close_;
    return ended_ || !ready_.empty();
  }

  /// An object that enters or leaves the selection is added or deleted as far as this watch can
  /// see.
  void Deliver(const Logged& change) {
    const bool was = Selected(change.key, change.before);
    const bool is = change.type != "DELETED" && Selected(change.key, change.object);
    if (is) {
      ready_.push_back(
          Event(was ? WatchEvent::Type::kModified : WatchEvent::Type::kAdded, change.object));
    } else if (was) {
      ready_.push_back(Event(WatchEvent::Type::kDeleted, change.object));
    }
  }

  FakeKube& kube_;
  const std::string table_name_;
  const ResourceInfo resource_;
  const kube::WatchOptions options_;
  std::int64_t version_;
  std::size_t position_ = 0;
  int expire_;
  int close_;
  int bookmarks_;
  bool ended_ = false;
  std::deque<WatchEvent> ready_;
};

KubeResult<std::unique_ptr<kube::WatchStream>> FakeKube::Watch(const Context& ctx,
                                                               const ResourceInfo& resource,
                                                               const kube::WatchOptions& options) {
  using Reply = std::unique_ptr<kube::WatchStream>;
  return Guarded<Reply>(ctx, {"watch", resource, {options.ns, ""}}, [&]() -> KubeResult<Reply> {
    TableOf(resource);
    const std::int64_t version = std::strtoll(options.resource_version.c_str(), nullptr, 10);
    if (version != 0 && version < compacted_) {
      return Unexpected{MakeError(410, "Expired", "too old resource version")};
    }
    return Reply(std::make_unique<Stream>(*this, resource, options, version));
  });
}

void FakeKube::Compact() {
  const std::lock_guard lock(mutex_);
  compacted_ = ++version_;  // older versions are gone, the present one is not
}

void FakeKube::ExpireWatches() {
  const std::lock_guard lock(mutex_);
  ++expire_;
  changed_.notify_all();
}

void FakeKube::CloseWatches() {
  const std::lock_guard lock(mutex_);
  ++close_;
  changed_.notify_all();
}

void FakeKube::SendBookmarks() {
  const std::lock_guard lock(mutex_);
  ++bookmarks_;
  changed_.notify_all();
}

int FakeKube::open_watches() const {
  const std::lock_guard lock(mutex_);
  return open_watches_;
}

}  // namespace breakwater::testing
