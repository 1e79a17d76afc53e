// The scripts with a real shell and stand-ins of DRBD's tools. What would break for a user: a heal
// that runs although the state has changed since the operator looked throws away the good copy, or
// the last one; what opens a volume's replication to a stranger travels to where nobody needs it.

#include "operator/core/replication/node/node_scripts.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "operator/core/replication/node/parse.h"
#include "operator/testing/source_dir.h"

namespace breakwater::replication {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class HealScriptTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    std::string pattern = std::filesystem::temp_directory_path() / "heal-script-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    const std::string record = "#!/bin/sh\necho \"${0##*/} $*\" >> " + folder_ + "/log\n";
    Tool("drbdadm", record);
    Tool("drbdsetup", record + "[ \"$1\" != status ] || cat " + folder_ + "/status\n");
    // Recorded: node1 is Primary, connected to the nodes 1 and 2.
    status_ = ReadFile(testing::SourceDir() +
                       "/operator/core/replication/node/testdata/connected-tls.node1/status.json");
    ASSERT_THAT(status_, HasSubstr("\"peer-node-id\": 1"));
  }

  void TearDown() override { std::filesystem::remove_all(folder_); }

  const std::string& Folder() const { return folder_; }

  void Tool(const std::string& name, const std::string& text) {
    std::ofstream(folder_ + "/" + name) << text;
    std::filesystem::permissions(folder_ + "/" + name, std::filesystem::perms::owner_all);
  }

  // The first or a later place of `from`, as in the whole document.
  void Change(const std::string& from, const std::string& to, int place = 0) {
    std::size_t at = status_.find(from);
    for (; place > 0 && at != std::string::npos; --place) {
      at = status_.find(from, at + 1);
    }
    ASSERT_NE(at, std::string::npos) << from;
    status_.replace(at, from.size(), to);
  }

  void PeerIsOutdated() {
    Change(R"("peer-disk-state": "UpToDate")", R"("peer-disk-state": "Outdated")");
  }

  int Run(const std::string& resource = "r0", const std::string& state = "outdated") {
    std::ofstream(folder_ + "/status") << status_;
    std::vector<std::string> argv = {
        "sh", "-c", std::string(kHealScript), "breakwater-heal", resource, "1", "0", state};
    std::vector<char*> pointers;
    for (std::string& argument : argv) {
      pointers.push_back(argument.data());
    }
    pointers.push_back(nullptr);
    const std::string path = folder_ + ":" + std::getenv("PATH");
    const std::string errors = folder_ + "/errors";
    const pid_t child = fork();
    if (child == 0) {
      setenv("PATH", path.c_str(), 1);
      const int sink = open(errors.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      dup2(sink, 1);
      dup2(sink, 2);
      execvp("sh", pointers.data());
      _exit(127);
    }
    int status = 0;
    waitpid(child, &status, 0);
    errors_ = ReadFile(errors);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  std::string Log() { return ReadFile(folder_ + "/log"); }

  std::string folder_;
  std::string status_;
  std::string errors_;
};

TEST_F(HealScriptTest, HealsThePeerThatIsStillOutdated) {
  PeerIsOutdated();
  EXPECT_EQ(Run(), 0) << errors_;
  EXPECT_THAT(Log(), HasSubstr("drbdsetup invalidate-remote r0 1 0 --reset-bitmap=no\n"));
  EXPECT_THAT(Log(), Not(HasSubstr("drbdadm"))) << "it fails with any broken .res file (F33)";
}

TEST_F(HealScriptTest, HealsWhatIsOutOfSyncSeenFromThePrimaryOnly) {
  Change(R"("out-of-sync": 0)", R"("out-of-sync": 12)");
  EXPECT_EQ(Run(), 75) << "asked for another state";
  EXPECT_EQ(Run("r0", "out-of-sync"), 0) << errors_;
  EXPECT_THAT(Log(), HasSubstr("invalidate-remote"));
  Change(R"("role": "Primary")", R"("role": "Secondary")");
  std::filesystem::remove(folder_ + "/log");
  EXPECT_EQ(Run("r0", "out-of-sync"), 75);
  EXPECT_THAT(Log(), Not(HasSubstr("invalidate-remote")));
}

struct Guard {
  const char* name;
  const char* from;
  const char* to;
  int place;
};

// Each one alone is reason enough.
TEST_F(HealScriptTest, ActsOnlyWhileItIsSafe) {
  PeerIsOutdated();
  const std::string good = status_;
  const std::vector<Guard> guards = {
      {"healed meanwhile", R"("peer-disk-state": "Outdated")", R"("peer-disk-state": "UpToDate")",
       0},
      {"suspended", R"("suspended-user": false)", R"("suspended-user": true)", 0},
      {"no data", R"("suspended-no-data": false)", R"("suspended-no-data": true)", 0},
      {"no quorum", R"("quorum": true)", R"("quorum": false)", 0},
      {"own disk", R"("disk-state": "UpToDate")", R"("disk-state": "Inconsistent")", 0},
      {"not connected", R"("connection-state": "Connected")", R"("connection-state": "StandAlone")",
       0},
      {"resyncing", R"("replication-state": "Established")", R"("replication-state": "SyncSource")",
       0},
      {"another resync", R"("replication-state": "Established")",
       R"("replication-state": "SyncSource")", 1},
      {"peer is Primary", R"("peer-role": "Secondary")", R"("peer-role": "Primary")", 0},
      {"peer is diskless", R"("peer-client": false)", R"("peer-client": true)", 0},
  };
  for (const Guard& guard : guards) {
    status_ = good;
    Change(guard.from, guard.to, guard.place);
    EXPECT_EQ(Run(), 75) << guard.name;
    EXPECT_THAT(errors_, HasSubstr("not healed: ")) << guard.name;
  }
  status_ = "";
  EXPECT_EQ(Run(), 75) << "drbdsetup does not answer";
  status_ = good;
  EXPECT_EQ(Run("r1"), 75) << "another resource";
  EXPECT_THAT(Log(), Not(HasSubstr("invalidate-remote")));
}

// Names are arguments: nothing in them is ever run.
TEST_F(HealScriptTest, NamesAreNeverPartOfTheScript) {
  PeerIsOutdated();
  EXPECT_EQ(Run("r0; touch " + folder_ + "/bad"), 75);
  EXPECT_EQ(Run("$(touch " + folder_ + "/bad)"), 75);
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/bad"));
}

// REVIEW-2 M5, T8: DRBD's shared secret stays on its node.
TEST_F(HealScriptTest, AnObservationCarriesNoSharedSecret) {
  std::string show =
      ReadFile(testing::SourceDir() +
               "/operator/core/replication/node/testdata/connected-tls.node1/show.json");
  const std::string member = R"("shared-secret": "")";
  const std::string secret = R"("shared-secret": "s3\"cr\\et,")";
  for (std::size_t at = 0; (at = show.find(member, at)) != std::string::npos; at += secret.size()) {
    show.replace(at, member.size(), secret);
  }
  ASSERT_THAT(show, HasSubstr("s3"));
  std::ofstream(Folder() + "/show") << show;
  Tool("drbdsetup", "#!/bin/sh\n[ \"$1\" != show ] || cat " + Folder() + "/show\n");
  std::ofstream(Folder() + "/observe.sh") << kObserveScript;
  const std::string out = Folder() + "/out";
  const std::string command =
      "PATH=" + Folder() + ":$PATH sh " + Folder() + "/observe.sh >" + out + " 2>/dev/null";
  ASSERT_EQ(std::system(command.c_str()), 0);  // NOLINT(cert-env33-c): a path of this test
  const std::string text = ReadFile(out);
  EXPECT_THAT(text, Not(HasSubstr("s3")));
  EXPECT_THAT(text, Not(HasSubstr("et,")));
  const std::size_t begin = text.find("@@ show\n") + 8;
  const auto parsed = ParseShow(text.substr(begin, text.find("@@ ss") - begin));
  ASSERT_TRUE(parsed) << "still a document";
  EXPECT_FALSE(parsed->empty());
}

}  // namespace
}  // namespace breakwater::replication
