#pragma once

/// ScriptedReader: a KubeReader that answers list and watch calls from a script, for the reflector.
/// After the end of the script every call blocks until its context ends, like a silent server.

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "operator/kube/client.h"
#include "operator/kube/watch_event.h"
#include "operator/runtime/test_support.h"

namespace breakwater::runtime {

/// Blocks until `ctx` ends and says how it ended, as every client must.
inline kube::KubeError BlockUntilEnd(const Context& ctx) {
  const SteadyTime far = ctx.clock().SteadyNow() + std::chrono::hours(1000);
  ctx.clock().SleepUntil(ctx.stop(), ctx.deadline().value_or(far));
  using Kind = net::TransportError::Kind;
  return net::TransportError{.kind = ctx.canceled() ? Kind::kCanceled : Kind::kTimeout,
                             .message = "no reply"};
}

struct Page {
  std::vector<api::Json> items{};
  std::string version{};
  std::string next{};  ///< continue token
};

struct End {};  ///< the server closes the stream in order

struct Block {};  ///< nothing comes, until the context ends

/// One step of a stream: an event, a failure, the end, silence.
using StreamStep = std::variant<kube::WatchEvent, kube::KubeError, End, Block>;

struct Stream {
  std::vector<StreamStep> steps{};
};

using Reply = std::variant<Page, Stream, kube::KubeError, Block>;

class ScriptedReader final : public kube::KubeReader {
 public:
  explicit ScriptedReader(std::vector<Reply> script = {})
      : script_(std::make_move_iterator(script.begin()), std::make_move_iterator(script.end())) {}

  kube::KubeResult<api::Json> Get(const Context&,
                                  const api::ResourceInfo&,
                                  const api::ObjectKey&) override {
    return Unexpected{kube::KubeError(kube::Status{.code = 500, .message = "unplanned get"})};
  }

  kube::KubeResult<kube::ListPage> List(const Context& ctx,
                                        const api::ResourceInfo&,
                                        const kube::ListOptions& options) override {
    {
      const std::lock_guard lock(mutex_);
      limits_.push_back(options.limit);
    }
    Reply reply = NextReply("list " + options.resource_version + "/" + options.continue_token);
    if (Page* page = std::get_if<Page>(&reply)) {
      kube::ListPage result;
      result.items = std::move(page->items);
      result.resource_version = page->version;
      result.continue_token = page->next;
      return result;
    }
    return Unexpected{Failure(ctx, reply)};
  }

  kube::KubeResult<std::unique_ptr<kube::WatchStream>> Watch(
      const Context& ctx, const api::ResourceInfo&, const kube::WatchOptions& options) override {
    Reply reply = NextReply("watch " + options.resource_version);
    if (Stream* stream = std::get_if<Stream>(&reply)) {
      return std::unique_ptr<kube::WatchStream>(
          std::make_unique<ScriptedStream>(std::move(*stream)));
    }
    return Unexpected{Failure(ctx, reply)};
  }

  /// Page sizes that were asked for.
  std::vector<int> limits() const {
    const std::lock_guard lock(mutex_);
    return limits_;
  }

  /// All calls so far: "list <version>/<continue>", "watch <version>".
  std::vector<std::string> calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }

 private:
  class ScriptedStream final : public kube::WatchStream {
   public:
    explicit ScriptedStream(Stream stream) : stream_(std::move(stream)) {}

    kube::KubeResult<std::optional<kube::WatchEvent>> Next(const Context& ctx) override {
      if (at_ == stream_.steps.size()) {
        return Unexpected{BlockUntilEnd(ctx)};
      }
      StreamStep& step = stream_.steps[at_++];
      if (kube::WatchEvent* event = std::get_if<kube::WatchEvent>(&step)) {
        return std::optional(std::move(*event));
      }
      if (const kube::KubeError* error = std::get_if<kube::KubeError>(&step)) {
        return Unexpected{*error};
      }
      if (std::holds_alternative<End>(step)) {
        return std::optional<kube::WatchEvent>();
      }
      return Unexpected{BlockUntilEnd(ctx)};
    }

   private:
    Stream stream_;
    std::size_t at_ = 0;
  };

  Reply NextReply(std::string call) {
    const std::lock_guard lock(mutex_);
    calls_.push_back(std::move(call));
    if (script_.empty()) {
      return Block{};
    }
    Reply reply = std::move(script_.front());
    script_.pop_front();
    return reply;
  }

  /// A reply of the wrong kind is a script error and shows as status 599.
  static kube::KubeError Failure(const Context& ctx, const Reply& reply) {
    if (const kube::KubeError* error = std::get_if<kube::KubeError>(&reply)) {
      return *error;
    }
    return std::holds_alternative<Block>(reply)
               ? BlockUntilEnd(ctx)
               : kube::KubeError(kube::Status{.code = 599, .message = "script does not fit"});
  }

  mutable std::mutex mutex_;
  std::deque<Reply> script_;
  std::vector<int> limits_;
  std::vector<std::string> calls_;
};

}  // namespace breakwater::runtime
