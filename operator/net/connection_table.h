#pragma once

/// ConnectionTable: the open connections of a server, and which of them has to go when there are
/// too many. Clients that connect and do nothing must not shut out those that have a question, so
/// not the newest goes, but the one that has waited longest without being answered.

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <list>
#include <mutex>
#include <optional>

namespace breakwater::net {

/// Thread safety: all methods may be called from any thread.
class ConnectionTable {
 private:
  struct Connection {
    std::function<void()> close;
    bool in_work = false;
    bool evicted = false;
  };

 public:
  /// Stays valid until it is given to Remove.
  using Entry = std::list<Connection>::iterator;

  explicit ConnectionTable(std::size_t limit) : limit_(limit) {}

  /// When the table is full, the connection whose last answer (or beginning) is longest ago is
  /// taken out and its `close` called, on this thread. Nothing when all of them are in work.
  std::optional<Entry> Add(std::function<void()> close);

  /// A whole request was read. False: the connection was taken out; it must not be answered.
  bool Begin(Entry entry);
  /// The reply was written, or cannot be.
  void End(Entry entry);
  void Remove(Entry entry);

  /// Waits until no connection is in work, or for `time`.
  void AwaitIdle(std::chrono::milliseconds time);

 private:
  const std::size_t limit_;
  std::mutex mutex_;
  std::condition_variable idle_;
  std::list<Connection> open_;     // guarded by mutex_; longest without an answer first
  std::list<Connection> evicted_;  // guarded by mutex_; still closing
  int in_work_ = 0;                // guarded by mutex_
};

}  // namespace breakwater::net
