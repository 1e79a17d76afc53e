#include "operator/runtime/reflector.h"

#include <atomic>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "operator/runtime/scripted_reader.h"
#include "operator/runtime/test_support.h"

namespace breakwater::runtime {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Calls = std::vector<std::string>;
using Type = kube::WatchEvent::Type;

kube::WatchEvent Event(Type type, const std::string& name, const std::string& version) {
  return {.type = type, .object = Item(name, version), .resource_version = version};
}

class ReflectorTest : public ::testing::Test {
 protected:
  void Run(std::vector<Reply> script) {
    reader_ = std::make_unique<ScriptedReader>(std::move(script));
    reflector_ = std::make_unique<Reflector>(services_, *reader_, store_, options_);
    reflector_->Start();
  }

  /// Moves the clock (for backoffs) until so many calls were made.
  bool WaitForCalls(std::size_t count) {
    return AdvanceUntil(services_.clock, milliseconds(100),
                        [&] { return reader_->calls().size() >= count; });
  }

  double Restarts(const std::string& why) {
    return services_.metrics
        .Counter("breakwater_watch_restarts_total", "", {{"kind", "ConfigMap"}, {"why", why}})
        .Value();
  }

  TestServices services_;
  Store store_{ConfigMaps(), services_.clock};
  ReflectorOptions options_{.random = [] { return 0.0; }};
  std::unique_ptr<ScriptedReader> reader_;
  std::unique_ptr<Reflector> reflector_;
};

// Breaks: on a large cluster only the first 500 objects exist for the operator.
TEST_F(ReflectorTest, ListsAllPagesConsistentlyThenWatchesFromThere) {
  Run({Page{{Item("a", "1")}, "", "more"}, Page{{Item("b", "2")}, "10", ""}});
  EXPECT_TRUE(WaitForCalls(3));
  EXPECT_EQ(reader_->calls(), (Calls{"list /", "list /more", "watch 10"}));
  EXPECT_EQ(store_.size(), 2U);
  EXPECT_TRUE(store_.Synced());
}

// Breaks: the operator does not see changes.
TEST_F(ReflectorTest, PutsEventsIntoTheStore) {
  Run({Page{{Item("a", "1"), Item("b", "1")}, "10", ""},
       Stream{{Event(Type::kModified, "a", "11"), Event(Type::kDeleted, "b", "12"),
               Event(Type::kAdded, "c", "13"), End{}}}});
  EXPECT_TRUE(WaitForCalls(3));
  EXPECT_EQ(reader_->calls().back(), "watch 13");
  EXPECT_EQ(store_.Get(Key("a"))->resource_version(), "11");
  EXPECT_EQ(store_.Get(Key("b")), nullptr);
  EXPECT_NE(store_.Get(Key("c")), nullptr);
}

// Breaks: a quiet kind has to be listed again after each compaction of etcd.
TEST_F(ReflectorTest, ResumesAtTheLastBookmark) {
  Run({Page{{}, "10", ""},
       Stream{{kube::WatchEvent{.type = Type::kBookmark, .resource_version = "500"}, End{}}}});
  EXPECT_TRUE(WaitForCalls(3));
  EXPECT_EQ(reader_->calls(), (Calls{"list /", "watch 10", "watch 500"}));
  EXPECT_EQ(store_.resource_version(), "500");
}

// Breaks: after etcd compaction objects that were deleted meanwhile stay for ever.
TEST_F(ReflectorTest, ListsAgainAfter410InStream) {
  kube::WatchEvent gone{.type = Type::kError, .object = {{"kind", "Status"}, {"code", 410}}};
  Run({Page{{Item("a", "1")}, "10", ""}, Stream{{gone}}, Page{{Item("b", "2")}, "20", ""}});
  EXPECT_TRUE(WaitForCalls(4));
  EXPECT_EQ(reader_->calls(), (Calls{"list /", "watch 10", "list /", "watch 20"}));
  EXPECT_EQ(store_.Get(Key("a")), nullptr);
  EXPECT_EQ(Restarts("gone"), 1);
}

// Breaks: after a restart of the API server the operator works with old knowledge for seconds more.
TEST_F(ReflectorTest, ListsAtOnceAfterA410OfAnOldListButPausesAfterAFreshOne) {
  const kube::KubeError gone(kube::Status{.code = 410});
  Run({Page{{}, "10", ""}, Stream{{Event(Type::kAdded, "a", "11"), Block{}}}, gone,
       Page{{}, "20", ""}, gone, Page{{}, "30", ""}});
  ASSERT_TRUE(Eventually([&] { return store_.size() == 1; }));
  services_.clock.WaitForSleepers(1);
  services_.clock.Advance(seconds(295));  // the watch is given up: one pause
  ASSERT_TRUE(Eventually([&] { return Restarts("idle") == 1; }));
  services_.clock.WaitForSleepers(1);
  services_.clock.Advance(milliseconds(800));
  EXPECT_TRUE(Eventually([&] { return reader_->calls().size() == 5; })) << "no second pause";
  services_.clock.WaitForSleepers(1);
  EXPECT_EQ(reader_->calls().size(), 5U) << "a pause: the list was fresh";
  EXPECT_TRUE(WaitForCalls(7));
  EXPECT_EQ(reader_->calls(),
            (Calls{"list /", "watch 10", "watch 11", "list /", "watch 20", "list /", "watch 30"}));
}

TEST_F(ReflectorTest, ListsAgainAfter410OfTheWatchRequest) {
  Run({Page{{}, "10", ""}, kube::KubeError(kube::Status{.code = 410}), Page{{}, "20", ""}});
  EXPECT_TRUE(WaitForCalls(4));
  EXPECT_EQ(reader_->calls(), (Calls{"list /", "watch 10", "list /", "watch 20"}));
}

// Breaks: a continue token that expired between two pages ends the first list for ever.
TEST_F(ReflectorTest, StartsTheListAnewAfter410InIt) {
  Run({Page{{Item("a", "1")}, "", "more"}, kube::KubeError(kube::Status{.code = 410}),
       Page{{Item("b", "2")}, "20", ""}});
  EXPECT_TRUE(WaitForCalls(4));
  EXPECT_EQ(reader_->calls(), (Calls{"list /", "list /more", "list /", "watch 20"}));
  EXPECT_EQ(store_.size(), 1U) << "pages of the broken list must not count";
}

// Breaks: one namespace with huge Secrets keeps the operator from ever becoming ready.
TEST_F(ReflectorTest, APageThatIsTooLargeIsAskedForInSmallerOnes) {
  Run({Page{{Item("a", "1")}, "", "more"},
       kube::KubeError(net::TransportError{.kind = net::TransportError::Kind::kTooLarge}),
       Page{{Item("b", "2")}, "20", ""}});
  EXPECT_TRUE(WaitForCalls(4));
  EXPECT_EQ(reader_->calls(), (Calls{"list /", "list /more", "list /more", "watch 20"}));
  EXPECT_EQ(store_.size(), 2U);
}

// Breaks: through a slow network the operator asks for the same large page for ever.
TEST_F(ReflectorTest, APageThatTakesTooLongIsSmallerNextTime) {
  const auto timeout =
      kube::KubeError(net::TransportError{.kind = net::TransportError::Kind::kTimeout});
  Run({timeout, timeout, Page{{}, "10", ""}, kube::KubeError(kube::Status{.code = 410}),
       Page{{}, "20", ""}});
  EXPECT_TRUE(WaitForCalls(6));
  EXPECT_EQ(reader_->limits(), (std::vector<int>{500, 250, 125, 500}));
}

// Breaks: a list that failed looks like "everything was deleted".
TEST_F(ReflectorTest, KeepsTheOldObjectsUntilANewListIsComplete) {
  Run({Page{{Item("a", "1")}, "10", ""}, kube::KubeError(kube::Status{.code = 410}),
       Page{{}, "", "more"}, kube::KubeError(kube::Status{.code = 500}), Block{}});
  EXPECT_TRUE(WaitForCalls(5));
  EXPECT_EQ(store_.size(), 1U);
}

// Breaks: a connection that dies in the middle of an event loses the event.
TEST_F(ReflectorTest, ResumesBeforeAHalfEvent) {
  Run({Page{{}, "10", ""},
       Stream{{Event(Type::kAdded, "a", "11"), kube::KubeError(kube::DecodeError{"half a line"})}},
       Stream{{Event(Type::kAdded, "b", "12"), End{}}}});
  EXPECT_TRUE(WaitForCalls(4));
  EXPECT_EQ(reader_->calls(), (Calls{"list /", "watch 10", "watch 11", "watch 12"}));
  EXPECT_EQ(store_.size(), 2U);
}

// Breaks: one event that cannot be read wedges the watch of a whole kind.
TEST_F(ReflectorTest, ListsAgainWhenTheSameEventIsUnreadableEachTime) {
  const Stream poisoned{{kube::KubeError(kube::DecodeError{"poison"})}};
  Run({Page{{}, "10", ""}, poisoned, poisoned, poisoned, Page{{}, "20", ""}});
  EXPECT_TRUE(WaitForCalls(6));
  EXPECT_EQ(reader_->calls(),
            (Calls{"list /", "watch 10", "watch 10", "watch 10", "list /", "watch 20"}));
}

// Breaks: one object without a name stops the events of all others.
TEST_F(ReflectorTest, ABadObjectIsReportedAndPassed) {
  kube::WatchEvent bad{.type = Type::kAdded, .object = {{"metadata", "?"}}, .resource_version = ""};
  Run({Page{{}, "10", ""}, Stream{{bad, Event(Type::kAdded, "a", "12"), End{}}}});
  EXPECT_TRUE(WaitForCalls(3));
  EXPECT_EQ(store_.size(), 1U);
  EXPECT_EQ(store_.Invalid().size(), 1U);
  EXPECT_EQ(reader_->calls().back(), "watch 12");
}

// Breaks: a load balancer that forgets the connection without a word freezes the operator's view.
TEST_F(ReflectorTest, LeavesABlackHoleWhenTheServerShouldHaveEndedTheStream) {
  Run({Page{{}, "10", ""}, Stream{{Event(Type::kAdded, "a", "11"), Block{}}}});
  ASSERT_TRUE(Eventually([&] { return store_.size() == 1; }));
  services_.clock.WaitForSleepers(1);
  services_.clock.Advance(seconds(294));
  EXPECT_EQ(reader_->calls().size(), 2U) << "290 s for the server, 5 s margin";
  services_.clock.Advance(seconds(1));
  EXPECT_TRUE(WaitForCalls(3));
  EXPECT_EQ(reader_->calls().back(), "watch 11");
  EXPECT_EQ(Restarts("idle"), 1);
}

// Breaks: an API server that is down is hammered by every kind of every replica.
TEST_F(ReflectorTest, BacksOffAfterFailuresAndRecovers) {
  const kube::KubeError down(net::TransportError{.message = "refused"});
  Run({down, down, Page{{}, "10", ""}});
  services_.clock.WaitForSleepers(1);
  EXPECT_EQ(reader_->calls().size(), 1U);
  services_.clock.Advance(milliseconds(799));
  EXPECT_EQ(reader_->calls().size(), 1U);
  services_.clock.Advance(milliseconds(1));
  EXPECT_TRUE(Eventually([&] { return reader_->calls().size() == 2; }));
  EXPECT_TRUE(WaitForCalls(4));
  EXPECT_EQ(Restarts("error"), 2);
}

// Breaks: a proxy that accepts and closes at once makes a busy loop.
TEST_F(ReflectorTest, BacksOffWhenStreamsEndAtOnce) {
  Run({Page{{}, "10", ""}, Stream{{End{}}}, Stream{{End{}}}});
  ASSERT_TRUE(Eventually([&] { return reader_->calls().size() == 2; }));
  services_.clock.WaitForSleepers(1);
  EXPECT_EQ(reader_->calls().size(), 2U);
  EXPECT_TRUE(WaitForCalls(4));
}

// Breaks: a missing right floods the log, or nobody is told which right it is.
TEST_F(ReflectorTest, TellsAMissingRightOnceAMinute) {
  std::atomic<int> lines{0};
  std::string line;
  services_.log = Logger(
      [&](std::string_view text) {
        if (lines++ == 0) {
          line = text;
        }
      },
      LogLevel::kWarn, services_.clock);
  std::vector<Reply> script;
  for (int i = 0; i < 4; ++i) {
    script.push_back(kube::KubeError(kube::Status{.code = 403, .message = "no"}));
  }
  Run(std::move(script));
  EXPECT_TRUE(WaitForCalls(5));
  reflector_->Stop();
  EXPECT_EQ(lines, 1);
  EXPECT_NE(line.find(R"("verb":"list")"), std::string::npos) << line;
  EXPECT_NE(line.find(R"("resource":"configmaps")"), std::string::npos) << line;
  EXPECT_EQ(Restarts("forbidden"), 4);
}

// Breaks: the operator hangs at stop until it is killed, with its lease held.
TEST_F(ReflectorTest, StopsPromptlyAtEveryAwaitPoint) {
  const std::vector<std::vector<Reply>> scripts = {
      {Block{}},                                                     // list
      {Page{{}, "", "more"}, Block{}},                               // second page
      {Page{{}, "10", ""}, Block{}},                                 // opening the watch
      {Page{{}, "10", ""}, Stream{{Block{}}}},                       // waiting for an event
      {kube::KubeError(net::TransportError{.message = "refused"})},  // backoff
      {Page{{}, "10", ""}, Stream{{Event(Type::kAdded, "a", "11"), Block{}}}},
  };
  for (const std::vector<Reply>& script : scripts) {
    Run(script);
    services_.clock.WaitForSleepers(1);
    EXPECT_LT(Took([&] { reflector_->Stop(); }), kPromptly);
    reflector_.reset();
  }
}

// Breaks: /livez stays green although the thread that feeds a store is stuck for ever.
TEST_F(ReflectorTest, AHangingClientFailsLiveness) {
  class HangingReader final : public kube::KubeReader {
   public:
    kube::KubeResult<api::Json> Get(const Context& ctx,
                                    const api::ResourceInfo&,
                                    const api::ObjectKey&) override {
      return Unexpected{Hang(ctx)};
    }

    kube::KubeResult<kube::ListPage> List(const Context& ctx,
                                          const api::ResourceInfo&,
                                          const kube::ListOptions&) override {
      return Unexpected{Hang(ctx)};
    }

    kube::KubeResult<std::unique_ptr<kube::WatchStream>> Watch(const Context& ctx,
                                                               const api::ResourceInfo&,
                                                               const kube::WatchOptions&) override {
      return Unexpected{Hang(ctx)};
    }

   private:
    /// Ignores the deadline, which no client may do.
    static kube::KubeError Hang(const Context& ctx) {
      return BlockUntilEnd(Context(ctx.stop(), ctx.clock()));
    }
  };

  HangingReader reader;
  Reflector reflector(services_, reader, store_, options_);
  reflector.Start();
  services_.clock.WaitForSleepers(1);
  EXPECT_TRUE(services_.health.Live().ok);
  services_.clock.Advance(seconds(601));
  EXPECT_FALSE(services_.health.Live().ok);
}

}  // namespace
}  // namespace breakwater::runtime
