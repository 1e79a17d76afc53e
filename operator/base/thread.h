#pragma once

/// Thread: a thread with a name, asked to stop and joined by its destructor.
/// LinkedStopSource: a stop source that also fires when its parent's token does.

#include <pthread.h>

#include <functional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

namespace breakwater {

/// Thread safety: one owner. The body must not throw: an exception that leaves it ends the process,
/// because nobody could act on it.
class Thread {
 public:
  using Body = std::function<void(std::stop_token)>;

  Thread() = default;

  /// `name` is what `top -H` and a core dump show; Linux keeps 15 characters of it.
  Thread(std::string name, Body body)
      : thread_([name = std::move(name), body = std::move(body)](std::stop_token stop) {
          pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
          body(std::move(stop));
        }) {}

  /// Does not wait; the destructor or Join() does.
  void RequestStop() { thread_.request_stop(); }

  void Join() {
    if (thread_.joinable()) {
      thread_.join();
    }
  }

  bool joinable() const { return thread_.joinable(); }

 private:
  std::jthread thread_;
};

/// Lives on the stack around the work that it may cancel.
class LinkedStopSource {
 public:
  explicit LinkedStopSource(std::stop_token parent)
      : on_parent_(std::move(parent), Relay{&source_}) {}

  LinkedStopSource(const LinkedStopSource&) = delete;
  LinkedStopSource& operator=(const LinkedStopSource&) = delete;

  std::stop_token token() const { return source_.get_token(); }

  void RequestStop() { source_.request_stop(); }

 private:
  struct Relay {
    std::stop_source* source;

    void operator()() const { source->request_stop(); }
  };

  std::stop_source source_;
  std::stop_callback<Relay> on_parent_;
};

}  // namespace breakwater
