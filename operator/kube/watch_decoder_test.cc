#include "operator/kube/watch_decoder.h"

#include <gtest/gtest.h>

namespace breakwater::kube {
namespace {

const std::string kStream =
    R"({"type":"ADDED","object":{"metadata":{"name":"ü","resourceVersion":"1"}}})"
    "\n"
    R"({"type":"MODIFIED","object":{"metadata":{"name":"ü","resourceVersion":"2"},"s":"a\nb"}})"
    "\r\n\n"
    R"({"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"3"}}})"
    "\n"
    R"({"type":"ERROR","object":{"kind":"Status","code":410}})"
    "\n";

std::vector<WatchEvent> Feed(WatchDecoder& decoder, std::string_view bytes) {
  auto events = decoder.Feed(bytes);
  EXPECT_TRUE(events);
  return events ? std::move(*events) : std::vector<WatchEvent>();
}

// TCP cuts where it likes, also inside a character: a lost event is a change that nobody reacts to.
TEST(WatchDecoderTest, GivesTheSameEventsForEveryCut) {
  for (std::size_t cut = 0; cut <= kStream.size(); ++cut) {
    WatchDecoder decoder;
    std::vector<WatchEvent> events = Feed(decoder, std::string_view(kStream).substr(0, cut));
    for (WatchEvent& event : Feed(decoder, std::string_view(kStream).substr(cut))) {
      events.push_back(std::move(event));
    }
    ASSERT_EQ(events.size(), 4U) << cut;
    EXPECT_EQ(events[0].type, WatchEvent::Type::kAdded);
    EXPECT_EQ(events[0].object["metadata"]["name"], "ü");
    EXPECT_EQ(events[1].type, WatchEvent::Type::kModified);
    EXPECT_EQ(events[1].resource_version, "2");
    EXPECT_EQ(events[2].type, WatchEvent::Type::kBookmark);
    EXPECT_EQ(events[2].resource_version, "3");
    EXPECT_EQ(events[3].type, WatchEvent::Type::kError);
    EXPECT_EQ(events[3].object["code"], 410);
    EXPECT_FALSE(decoder.mid_event());
  }
}

TEST(WatchDecoderTest, WorksByteByByte) {
  WatchDecoder decoder;
  std::size_t count = 0;
  for (const char c : kStream) {
    count += Feed(decoder, std::string_view(&c, 1)).size();
  }
  EXPECT_EQ(count, 4U);
}

// A stream that ends inside an event must be resumed, not taken as complete.
TEST(WatchDecoderTest, KnowsThatAnEventIsIncomplete) {
  WatchDecoder decoder;
  Feed(decoder, kStream.substr(0, 10));
  EXPECT_TRUE(decoder.mid_event());
}

// One odd object must not stop a watch: the reader sees it without a version.
TEST(WatchDecoderTest, KeepsOddObjects) {
  WatchDecoder decoder;
  const auto events = Feed(decoder, "{\"type\":\"ADDED\",\"object\":[1]}\n{\"type\":\"ADDED\"}\n");
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].resource_version, "");
}

TEST(WatchDecoderTest, RefusesWhatIsNoEvent) {
  for (const char* line : {"rubbish\n", "[]\n", "{}\n", "{\"type\":\"NEW\"}\n", "{\"type\":1}\n"}) {
    WatchDecoder decoder;
    EXPECT_FALSE(decoder.Feed(line)) << line;
  }
}

// An endless line must not eat the memory limit.
TEST(WatchDecoderTest, CapsALine) {
  WatchDecoder decoder(10);
  EXPECT_TRUE(decoder.Feed("0123456789"));
  EXPECT_FALSE(decoder.Feed("0"));
}

}  // namespace
}  // namespace breakwater::kube
