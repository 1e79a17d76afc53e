// A worker that does what its script says, for the tests of the supervisor. The script is the file
// "script" of the directory FAKE_WORKER_DIR: words separated by blanks, one list per start of the
// worker, a line each; the last line is used again.
//
//   guard:ID:MINOR:MS  guards until MS milliseconds from now, notes the time in "until"
//   again              guards what "until" says, as a worker does that finds it in its journal
//   keep:LIST release:ID
//   child              starts "sleep 1000" and notes it in "child"
//   deaf               ignores SIGTERM      crash  exits with 1 at once
//   silent             says nothing any more, but lives
//
// Notes its process id as a line of "begun", and of "starts" when it has done all; then waits for
// SIGTERM.
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include <unistd.h>

#include "operator/agent/process/child.h"
#include "operator/agent/process/guard_client.h"
#include "operator/agent/process/loop.h"
#include "operator/agent/testing/test_support.h"

namespace breakwater::agent::testing {
namespace {

std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) {
    parts.push_back(part);
  }
  return parts;
}

class FakeWorker {
 public:
  explicit FakeWorker(std::string directory) : directory_(std::move(directory)) {}

  int Run(int fd) {
    const std::vector<std::string> script = LinesOf(directory_ + "/script");
    const std::size_t start = LinesOf(directory_ + "/begun").size();
    std::ofstream(directory_ + "/begun", std::ios::app) << getpid() << std::endl;
    loop_.OnSignal(SIGTERM, [this] {
      if (!deaf_) {
        loop_.Stop();
      }
    });
    guard_ = std::make_unique<GuardClient>(&loop_, UniqueFd(fd), [this] { loop_.Stop(); });
    for (const std::string& word : Split(script.at(std::min(start, script.size() - 1)), ' ')) {
      Do(Split(word, ':'));
    }
    std::ofstream(directory_ + "/starts", std::ios::app)
        << getpid() << ' ' << loop_.Now().time_since_epoch().count() << std::endl;
    if (crash_) {
      return 1;
    }
    loop_.Run();
    return 0;
  }

 private:
  void Do(const std::vector<std::string>& words) {
    if (words[0] == "guard") {
      const SteadyTime until = loop_.Now() + std::chrono::milliseconds(std::stoi(words[3]));
      WriteText(directory_ + "/until", std::to_string(until.time_since_epoch().count()));
      Check(guard_->Guard(words[1], {std::stoi(words[2])}, until));
    } else if (words[0] == "again") {
      const SteadyTime until{SteadyTime::duration(std::stoll(ReadText(directory_ + "/until")))};
      Check(guard_->Guard("t1", {1000}, until));
    } else if (words[0] == "keep") {
      guard_->Keep(words[1] == "-" ? std::vector<std::string>{} : Split(words[1], ','));
    } else if (words[0] == "release") {
      guard_->Release(words[1]);
    } else if (words[0] == "child") {
      WriteText(directory_ + "/child", std::to_string(Spawn({"sleep", "1000"}, -1, -1)));
    } else if (words[0] == "silent") {
      guard_.reset();
      while (true) {
        pause();
      }
    }
    deaf_ = deaf_ || words[0] == "deaf";
    crash_ = crash_ || words[0] == "crash";
  }

  static void Check(bool guarded) {
    if (!guarded) {
      std::abort();
    }
  }

  const std::string directory_;
  Loop loop_{};
  std::unique_ptr<GuardClient> guard_{};
  bool deaf_ = false;
  bool crash_ = false;
};

}  // namespace
}  // namespace breakwater::agent::testing

int main(int argc, char** argv) {
  if (argc != 3) {
    return 2;
  }
  return breakwater::agent::testing::FakeWorker(std::getenv("FAKE_WORKER_DIR"))
      .Run(std::atoi(argv[2]));
}
