// The journal as files. What would break for a user: an entry that is lost or misread leaves a
// volume cut or frozen after a crash of the agent.

#include "operator/agent/process/journal_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include <sys/stat.h>

#include "operator/agent/testing/test_support.h"

namespace breakwater::agent {
namespace {

using replication::TransactionState;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::ReadText;
using ::testing::UnorderedElementsAre;
using testing::WriteText;

std::string Entry(const std::string& id) {
  replication::TransactionRequest request;
  request.id = id;
  request.kind = replication::TransactionKind::kLead;
  request.resource = "r1";
  request.peers = {"node2"};
  request.within = std::chrono::milliseconds(10000);
  return replication::EncodeJournal(replication::StartTransaction(request, SteadyTime{}));
}

std::string ResultLine(const std::string& id) {
  replication::ResultMessage result;
  result.id = id;
  result.resource = "r1";
  result.peers = {"node2"};
  return replication::Encode(replication::AgentMessage(result));
}

class JournalFilesTest : public ::testing::Test {
 protected:
  std::string File(const std::string& name) const { return dir_.Path("run/journal/" + name); }

  StoredJournal Load() {
    JournalFiles fresh(dir_.Path("run/journal"));
    const Result<StoredJournal, Error> stored = fresh.LoadAll();
    EXPECT_TRUE(stored);
    problem_ = fresh.Problem();
    ids_ = fresh.Ids();
    return stored ? *stored : StoredJournal{};
  }

  testing::TempDir dir_{};
  JournalFiles journal_{dir_.Path("run/journal")};
  std::string problem_{};
  std::vector<std::string> ids_{};
};

TEST_F(JournalFilesTest, GivesBackWhatWasWritten) {
  ASSERT_TRUE(journal_.LoadAll());
  ASSERT_TRUE(journal_.Clear("boot-1"));
  ASSERT_TRUE(journal_.Write("t1", Entry("t1")));
  ASSERT_TRUE(journal_.Write("t2", Entry("t2")));
  ASSERT_TRUE(journal_.WriteEpoch(17));
  ASSERT_TRUE(journal_.WriteResult("t0", ResultLine("t0")));
  journal_.Remove("t2");
  const StoredJournal stored = Load();
  EXPECT_EQ(stored.boot, "boot-1");
  EXPECT_EQ(stored.epoch, 17);
  EXPECT_THAT(stored.entries, ElementsAre(::testing::Pair("t1", Entry("t1"))));
  EXPECT_THAT(stored.results, ElementsAre(ResultLine("t0")));
  EXPECT_EQ(problem_, "");
  EXPECT_THAT(ids_, ElementsAre("t1"));
}

TEST_F(JournalFilesTest, NothingIsForOthersToRead) {
  ASSERT_TRUE(journal_.LoadAll());
  ASSERT_TRUE(journal_.Write("t1", Entry("t1")));

  struct stat status {};

  ASSERT_EQ(stat(File("t1.json").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  ASSERT_EQ(stat(File("").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0700U);
}

TEST_F(JournalFilesTest, WhatIsNotUnderstoodIsPutAsideAndReported) {
  ASSERT_TRUE(journal_.LoadAll());
  const std::string good = Entry("t1");
  ASSERT_TRUE(journal_.Write("t1", good));
  WriteText(File("cut-off.json"), good.substr(0, good.size() / 2));
  WriteText(File("other-id.json"), good);
  WriteText(File("empty.json"), "");
  WriteText(File("huge.json"), std::string(300000, ' '));
  std::filesystem::create_symlink("/etc/passwd", File("link.json"));
  ASSERT_EQ(mkfifo(File("pipe.json").c_str(), 0600), 0) << "must not be waited for";
  WriteText(File("results/00000000000000000007.json"), "nonsense");
  WriteText(File("epoch"), "nonsense");
  const StoredJournal stored = Load();
  EXPECT_THAT(stored.entries, ElementsAre(::testing::Pair("t1", good)));
  EXPECT_THAT(stored.results, IsEmpty());
  EXPECT_EQ(stored.epoch, 0);
  EXPECT_NE(problem_.find("7 files"), std::string::npos) << problem_;
  EXPECT_TRUE(testing::FileExists(File("cut-off.json.rejected")));
  // Their suspensions may still stand: the supervisor is told to go on guarding them.
  EXPECT_THAT(ids_,
              UnorderedElementsAre("t1", "cut-off", "other-id", "empty", "huge", "link", "pipe"));
  // And once more: what is aside stays aside.
  EXPECT_EQ(Load().entries.size(), 1U);
  EXPECT_NE(problem_, "");
}

TEST_F(JournalFilesTest, AWriteThatWasCutOffLeavesTheOldEntry) {
  ASSERT_TRUE(journal_.LoadAll());
  ASSERT_TRUE(journal_.Write("t1", Entry("t1")));
  WriteText(File("t1.json.new"), "{\"half");
  EXPECT_THAT(Load().entries, ElementsAre(::testing::Pair("t1", Entry("t1"))));
  EXPECT_FALSE(testing::FileExists(File("t1.json.new")));
}

TEST_F(JournalFilesTest, ResultsKeepTheirOrderAndAreBounded) {
  ASSERT_TRUE(journal_.LoadAll());
  for (std::size_t i = 0; i < kMaxResults + 3; ++i) {
    ASSERT_TRUE(journal_.WriteResult("x", ResultLine("t" + std::to_string(i))));
  }
  std::vector<std::string> results = Load().results;
  ASSERT_EQ(results.size(), kMaxResults);
  EXPECT_EQ(results.front(), ResultLine("t3"));
  EXPECT_EQ(results.back(), ResultLine("t" + std::to_string(kMaxResults + 2)));
  // A process that comes later goes on where this one ended.
  JournalFiles later(dir_.Path("run/journal"));
  ASSERT_TRUE(later.LoadAll());
  ASSERT_TRUE(later.WriteResult("x", ResultLine("last")));
  results = Load().results;
  ASSERT_EQ(results.size(), kMaxResults);
  EXPECT_EQ(results.front(), ResultLine("t4"));
  EXPECT_EQ(results.back(), ResultLine("last"));
}

TEST_F(JournalFilesTest, AnotherBootForgetsEverything) {
  ASSERT_TRUE(journal_.LoadAll());
  ASSERT_TRUE(journal_.Write("t1", Entry("t1")));
  ASSERT_TRUE(journal_.WriteResult("t0", ResultLine("t0")));
  WriteText(File("bad.json"), "x");
  ASSERT_TRUE(journal_.LoadAll());
  ASSERT_TRUE(journal_.Clear("boot-2"));
  const StoredJournal stored = Load();
  EXPECT_EQ(stored.boot, "boot-2");
  EXPECT_THAT(stored.entries, IsEmpty());
  EXPECT_THAT(stored.results, IsEmpty());
  EXPECT_EQ(problem_, "");
}

// REVIEW-2, agent: what the operator says names no file.
TEST_F(JournalFilesTest, AnIdIsNoPath) {
  ASSERT_TRUE(journal_.LoadAll());
  WriteText(dir_.Path("run/victim.json"), "x");
  EXPECT_FALSE(journal_.Write("../victim", "y"));
  journal_.Remove("../victim");
  EXPECT_EQ(ReadText(dir_.Path("run/victim.json")), "x");
}

TEST_F(JournalFilesTest, ADirectoryThatCannotBeMadeIsAnError) {
  WriteText(dir_.Path("file"), "x");
  JournalFiles blocked(dir_.Path("file/journal"));
  EXPECT_FALSE(blocked.LoadAll());
  EXPECT_FALSE(blocked.Write("t1", Entry("t1")));
}

}  // namespace
}  // namespace breakwater::agent
