// breakwater-walks: seeded walks, see walk.h.
//
//   breakwater-walks [--walks N] [--first SEED] [--jobs N] [--without guardian|stale|force]
//   [--trace]
//
// Prints the walks in which a limit did not hold and one closing line. Exit code 0: all limits
// held.

#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/walks/walk.h"

namespace breakwater::walks {
namespace {

struct Total {
  int walks = 0;
  long kills = 0;
  Millis freeze{0};
  Millis cut{0};
  unsigned long lost = 0;
  unsigned long diverged = 0;
  unsigned long errors = 0;
  unsigned long violations = 0;
  int broken = 0;
};

void Add(const WalkResult& result, std::uint64_t seed, Total* total) {
  ++total->walks;
  total->kills += result.kills;
  total->freeze = std::max(total->freeze, result.longest_freeze);
  total->cut = std::max(total->cut, result.longest_cut);
  total->lost += result.lost;
  total->diverged += result.diverged;
  total->errors += result.errors;
  total->violations += result.violations;
  if (!result.broken.empty()) {
    ++total->broken;
    if (total->broken <= 20) {
      std::printf("seed %llu (%s): %s\n", static_cast<unsigned long long>(seed),
                  result.shape.c_str(), result.broken.c_str());
    }
  }
}

int Run(int walks, std::uint64_t first, int jobs, WalkOptions options) {
  Total total;
  std::mutex mutex;
  std::uint64_t next = 0;
  const auto work = [&] {
    for (;;) {
      std::uint64_t seed = 0;
      {
        const std::lock_guard lock(mutex);
        if (next >= static_cast<std::uint64_t>(walks)) {
          return;
        }
        seed = first + next++;
      }
      WalkOptions one = options;
      one.seed = seed;
      const WalkResult result = RunWalk(one);
      const std::lock_guard lock(mutex);
      Add(result, seed, &total);
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < jobs; ++i) {
    threads.emplace_back(work);
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  std::printf(
      "walks: %d, kills: %ld, longest freeze: %lld ms, longest cut: %lld ms, lost: %lu, diverged: "
      "%lu, errors: %lu, violations: %lu\n",
      total.walks, total.kills, static_cast<long long>(total.freeze.count()),
      static_cast<long long>(total.cut.count()), total.lost, total.diverged, total.errors,
      total.violations);
  if (total.broken > 0) {
    std::printf("%d walks broke a limit; one of them again: --walks 1 --first SEED --trace\n",
                total.broken);
  }
  return total.broken > 0 ? 1 : 0;
}

int Main(const std::vector<std::string>& arguments) {
  int walks = 500;
  int jobs = static_cast<int>(std::thread::hardware_concurrency());
  std::uint64_t first = 1;
  WalkOptions options;
  const std::map<std::string, WithoutGuard> controls = {{"guardian", WithoutGuard::kGuardian},
                                                        {"force", WithoutGuard::kForce},
                                                        {"stale", WithoutGuard::kStale}};
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& name = arguments[i];
    if (name == "--trace") {
      options.trace = true;
      continue;
    }
    if (i + 1 == arguments.size()) {
      std::fprintf(stderr, "%s needs a value\n", name.c_str());
      return 2;
    }
    const std::string& value = arguments[++i];
    if (name == "--walks") {
      walks = std::atoi(value.c_str());
    } else if (name == "--first") {
      first = std::strtoull(value.c_str(), nullptr, 10);
    } else if (name == "--jobs") {
      jobs = std::atoi(value.c_str());
    } else if (name == "--without" && controls.contains(value)) {
      options.without = controls.at(value);
    } else {
      std::fprintf(stderr, "unknown: %s %s\n", name.c_str(), value.c_str());
      return 2;
    }
  }
  return Run(walks, first, std::max(1, jobs), options);
}

}  // namespace
}  // namespace breakwater::walks

int main(int argc, char** argv) {
  return breakwater::walks::Main({argv + 1, argv + argc});
}
