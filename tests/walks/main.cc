// breakwater-walks: seeded walks, see walk.h.
//
//   breakwater-walks [--walks N] [--first SEED] [--jobs N] [--trace]
//                    [--without guardian|stale|force] [--until-broken]
//
// Prints the walks in which a limit did not hold and one closing line. Exit code 0: all limits
// held.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/walks/walk.h"

namespace breakwater::walks {
namespace {

struct Arguments {
  int walks = 500;
  std::uint64_t first = 1;
  int jobs = static_cast<int>(std::thread::hardware_concurrency());
  bool until_broken = false;  ///< one is enough: for the negative controls
  WalkOptions options{};
};

/// The sum of all walks; its members lock.
class Total {
 public:
  /// The seed of the next walk, or nothing to do any more.
  std::optional<std::uint64_t> Next(const Arguments& arguments) {
    const std::lock_guard lock(mutex_);
    if (begun_ >= arguments.walks || (arguments.until_broken && broken_ > 0)) {
      return std::nullopt;
    }
    return arguments.first + static_cast<std::uint64_t>(begun_++);
  }

  void Add(const WalkResult& result, std::uint64_t seed) {
    const std::lock_guard lock(mutex_);
    ++walks_;
    kills_ += result.kills;
    freeze_ = std::max(freeze_, result.longest_freeze);
    cut_ = std::max(cut_, result.longest_cut);
    lost_ += result.lost;
    diverged_ += result.diverged;
    errors_ += result.errors;
    violations_ += result.violations;
    if (!result.broken.empty() && ++broken_ <= kShown) {
      std::printf("seed %llu (%s): %s\n", static_cast<unsigned long long>(seed),
                  result.shape.c_str(), result.broken.c_str());
      std::fflush(stdout);
    }
  }

  /// Prints what became of all; whether all limits held.
  bool Close() {
    const std::lock_guard lock(mutex_);
    if (broken_ > 0) {
      std::printf("%d walks broke a limit; one of them again: --walks 1 --first SEED --trace\n",
                  broken_);
    }
    std::printf(
        "walks: %d, kills: %ld, longest freeze: %lld ms, longest cut: %lld ms, lost: %llu, "
        "diverged: %llu, errors: %llu, violations: %llu\n",
        walks_, kills_, static_cast<long long>(freeze_.count()),
        static_cast<long long>(cut_.count()), lost_, diverged_, errors_, violations_);
    return broken_ == 0;
  }

 private:
  static constexpr int kShown = 20;

  std::mutex mutex_;
  int begun_ = 0;
  int walks_ = 0;
  int broken_ = 0;
  long kills_ = 0;
  Millis freeze_{0};
  Millis cut_{0};
  unsigned long long lost_ = 0;
  unsigned long long diverged_ = 0;
  unsigned long long errors_ = 0;
  unsigned long long violations_ = 0;
};

int Run(const Arguments& arguments) {
  Total total;
  const auto work = [&] {
    while (const std::optional<std::uint64_t> seed = total.Next(arguments)) {
      WalkOptions options = arguments.options;
      options.seed = *seed;
      total.Add(RunWalk(options), *seed);
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < std::max(1, arguments.jobs); ++i) {
    threads.emplace_back(work);
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  return total.Close() ? 0 : 1;
}

bool Take(const std::string& name, const std::string& value, Arguments* arguments) {
  static const std::map<std::string, WithoutGuard> kControls = {
      {"guardian", WithoutGuard::kGuardian},
      {"stale", WithoutGuard::kStale},
      {"force", WithoutGuard::kForce}};
  if (name == "--walks") {
    arguments->walks = std::atoi(value.c_str());
  } else if (name == "--first") {
    arguments->first = std::strtoull(value.c_str(), nullptr, 10);
  } else if (name == "--jobs") {
    arguments->jobs = std::atoi(value.c_str());
  } else if (name == "--without" && kControls.contains(value)) {
    arguments->options.without = kControls.at(value);
  } else {
    return false;
  }
  return true;
}

int Main(const std::vector<std::string>& words) {
  Arguments arguments;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--trace") {
      arguments.options.trace = true;
    } else if (words[i] == "--until-broken") {
      arguments.until_broken = true;
    } else if (i + 1 == words.size() || !Take(words[i], words[i + 1], &arguments)) {
      std::fprintf(stderr, "unknown, or without a value: %s\n", words[i].c_str());
      return 2;
    } else {
      ++i;
    }
  }
  return Run(arguments);
}

}  // namespace
}  // namespace breakwater::walks

int main(int argc, char** argv) {
  return breakwater::walks::Main({argv + 1, argv + argc});
}
