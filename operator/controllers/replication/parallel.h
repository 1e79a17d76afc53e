#pragma once

/// ForEachParallel: calls a function for several keys with a few threads and waits for all of them.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <vector>

#include "operator/base/thread.h"

namespace breakwater::controllers {

/// `fn(item)` must be safe to call from several threads and must not throw. Returns when all are
/// done.
template <typename T, typename Fn>
void ForEachParallel(const std::vector<T>& items, int threads, Fn fn) {
  if (items.size() <= 1) {
    for (const T& item : items) {
      fn(item);
    }
    return;
  }
  std::atomic<std::size_t> next{0};
  std::vector<Thread> pool;
  const std::size_t count = std::min(items.size(), static_cast<std::size_t>(std::max(threads, 1)));
  for (std::size_t i = 0; i < count; ++i) {
    pool.emplace_back("rtls-node", [&](const std::stop_token&) {
      for (std::size_t at = next++; at < items.size(); at = next++) {
        fn(items[at]);
      }
    });
  }
  for (Thread& thread : pool) {
    thread.Join();
  }
}

}  // namespace breakwater::controllers
