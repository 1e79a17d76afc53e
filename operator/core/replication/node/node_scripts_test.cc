// kActScript with a real shell and recording stand-ins of DRBD's tools. What would break for a
// user: a forced cut under load loses writes (F2.8); a watchdog that does not reconnect leaves the
// volume frozen by quorum although it "resumed" (F2.6); one that outlives its run spoils snapshots.

#include "operator/core/replication/node/node_scripts.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace breakwater::replication {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ActScriptTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = std::filesystem::temp_directory_path() / "act-script-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    // Processes are recognised by their command line: other tests on this machine may run too.
    resource_ = "r" + std::to_string(getpid());
    const std::string record = "#!/bin/sh\necho \"${0##*/} $*\" >> " + folder_ + "/log\n";
    Tool("drbdadm", record);
    Tool("drbdsetup", record + "[ \"$1\" != status ] || cat " + folder_ + "/status\n");
    // A sleep lasts until the test opens its pipe; the short ones between tries take no time.
    Tool("sleep", "#!/bin/sh\n[ ! -p " + folder_ + "/sleep.$1 ] || cat " + folder_ +
                      "/sleep.$1 >/dev/null\n");
    for (const char* seconds : {"2", "7", "9"}) {
      ASSERT_EQ(mkfifo((folder_ + "/sleep." + seconds).c_str(), 0600), 0);
    }
    SetSuspended(true);
  }

  void TearDown() override {
    EXPECT_EQ(Run({"disarm", resource_, "-", "-"}), 0);
    std::filesystem::remove_all(folder_);
  }

  void Tool(const std::string& name, const std::string& text) {
    std::ofstream(folder_ + "/" + name) << text;
    std::filesystem::permissions(folder_ + "/" + name, std::filesystem::perms::owner_all);
  }

  // As drbdsetup prints it (samples suspended-user.*).
  void SetSuspended(bool suspended) {
    std::ofstream(folder_ + "/status")
        << "[\n{\n  \"name\": \"r0\",\n  \"suspended\": true,\n  \"suspended-user\": "
        << (suspended ? "true" : "false") << ",\n  \"suspended-quorum\": true\n} ]\n";
  }

  int Run(const std::vector<std::string>& operations) {
    std::vector<std::string> argv = {"sh", "-c", std::string(kActScript), "breakwater-act"};
    argv.insert(argv.end(), operations.begin(), operations.end());
    std::vector<char*> pointers;
    for (std::string& argument : argv) {
      pointers.push_back(argument.data());
    }
    pointers.push_back(nullptr);
    const std::string path = folder_ + ":" + std::getenv("PATH");
    const pid_t child = fork();
    if (child == 0) {
      setenv("PATH", path.c_str(), 1);
      const int sink = open("/dev/null", O_WRONLY);
      dup2(sink, 1);
      dup2(sink, 2);
      execvp("sh", pointers.data());
      _exit(127);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  int Force() { return Run({"force-disconnect", resource_, "-", "-"}); }

  // Waits until somebody sleeps that long.
  int Sleeper(const std::string& seconds) {
    return open((folder_ + "/sleep." + seconds).c_str(), O_WRONLY);
  }

  bool AnySleeper(const std::string& seconds) {
    const int pipe = open((folder_ + "/sleep." + seconds).c_str(), O_WRONLY | O_NONBLOCK);
    if (pipe >= 0) {
      close(pipe);
    }
    return pipe >= 0;
  }

  std::string Log() {
    std::ifstream file(folder_ + "/log");
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  void ClearLog() { std::filesystem::remove(folder_ + "/log"); }

  std::string folder_;
  std::string resource_;
};

TEST_F(ActScriptTest, CutsByForceOnlyWhileSuspendedWithAWatchdogThatHasTime) {
  EXPECT_EQ(Force(), 75) << "no watchdog";
  ASSERT_EQ(Run({"arm", resource_, "9", "1,2", "suspend", resource_, "-", "-"}), 0);
  EXPECT_EQ(Force(), 0);
  EXPECT_THAT(Log(), HasSubstr("drbdadm disconnect --force " + resource_));
  ClearLog();
  SetSuspended(false);  // LINSTOR resumed it
  EXPECT_EQ(Force(), 75);
  SetSuspended(true);
  close(Sleeper("7"));  // two seconds before the watchdog
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (Run({"force-disconnect", resource_, "-", "-"}) != 75) {  // until the process has ended
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
  }
  ClearLog();
  EXPECT_EQ(Force(), 75);
  EXPECT_THAT(Log(), Not(HasSubstr("--force")));
}

TEST_F(ActScriptTest, TheWatchdogResumesAndReconnectsUntilItIsDisarmed) {
  ASSERT_EQ(Run({"arm", resource_, "9", "1,2"}), 0);
  close(Sleeper("9"));
  int pause = Sleeper("2");  // the first turn is over
  const std::string turn = "drbdadm resume-io " + resource_ + "\ndrbdsetup connect " + resource_ +
                           " 1\ndrbdsetup connect " + resource_ + " 2\n";
  EXPECT_EQ(Log(), turn);
  close(pause);
  // Its next pause may be the end of the same one: count turns.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (Log().size() < 2 * turn.size() && std::chrono::steady_clock::now() < deadline) {
    close(Sleeper("2"));
  }
  EXPECT_THAT(Log(), HasSubstr(turn + turn));
  pause = Sleeper("2");
  ASSERT_EQ(Run({"disarm", resource_, "-", "-"}), 0);
  close(pause);
  ClearLog();
  EXPECT_EQ(Force(), 75) << "its time for cuts ended with it";
  EXPECT_THAT(Log(), Not(HasSubstr("resume-io")));
}

TEST_F(ActScriptTest, DisarmEndsOnlyTheResourcesOwnWatchdog) {
  const std::string other = resource_ + "b";
  ASSERT_EQ(Run({"arm", resource_, "9", "1", "arm", other, "9", "1"}), 0);
  ASSERT_EQ(Run({"disarm", resource_, "-", "-"}), 0);
  EXPECT_EQ(Force(), 75);
  EXPECT_EQ(Run({"force-disconnect", other, "-", "-"}), 0);
  EXPECT_EQ(Run({"disarm", other, "-", "-"}), 0);
}

}  // namespace
}  // namespace breakwater::replication
