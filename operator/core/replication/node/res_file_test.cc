// .res files of LINSTOR. What would break for a user: a value that is read wrongly lets the
// operator believe that a node has its pin, and the cluster value then cuts a volume (REVIEW-1 R2).

#include "operator/core/replication/node/res_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "operator/testing/source_dir.h"

namespace breakwater::replication {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

std::string Sample() {
  std::ifstream file(testing::SourceDir() +
                     "/operator/core/replication/node/testdata/linstor-res/pinned.node1.res");
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_FALSE(text.str().empty());
  return text.str();
}

std::map<std::string, bool> TlsOf(std::string_view text,
                                  const std::set<std::string>& own = {"node1"}) {
  const ResFile file = ParseResFile(text, own);
  EXPECT_TRUE(file.well_formed);
  EXPECT_EQ(file.resources.size(), 1U);
  return file.resources.empty() ? std::map<std::string, bool>{}
                                : file.resources.begin()->second.tls;
}

TEST(ResFileTest, ReadsWhatLinstorWrote) {
  const ResFile file = ParseResFile(Sample(), {"node1"});
  EXPECT_TRUE(file.well_formed);
  ASSERT_EQ(file.resources.size(), 3U);
  EXPECT_THAT(file.resources.at("r1").tls, ElementsAre(Pair("node2", false), Pair("node3", false)));
  // r2: the connection overrides the resource.
  EXPECT_THAT(file.resources.at("r2").tls, ElementsAre(Pair("node2", true), Pair("node3", true)));
}

TEST(ResFileTest, ConnectionsOfOthersAreNotOurs) {
  EXPECT_THAT(ParseResFile(Sample(), {"node2"}).resources.at("r1").tls,
              ElementsAre(Pair("node1", false)));
  EXPECT_THAT(ParseResFile(Sample(), {"elsewhere"}).resources.at("r1").tls, IsEmpty());
}

TEST(ResFileTest, TheResourceCountsWhereAConnectionSaysNothing) {
  const std::string text = R"(
    resource r1 {
      net { tls yes; shared-secret "a;b}{#"; }
      connection { host node1 address ipv4 10.0.0.1:7000; host "node2" address ipv4 10.0.0.2:7000; }
      connection { net { tls no; } path { host node1 address ipv4 1:1; host node3 address ipv4 1:2; }
                   path { host node1 address ipv4 2:1; host node3 address ipv4 2:2; } }
      connection { net { tls; } host node4 { address ipv4 1:3; } host node1 { address ipv4 1:1; } }
    })";
  EXPECT_THAT(TlsOf(text),
              ElementsAre(Pair("node2", true), Pair("node3", false), Pair("node4", true)));
}

TEST(ResFileTest, TheOrderOfNetAndConnectionsDoesNotMatter) {
  EXPECT_THAT(TlsOf("resource r1 { connection { host node1; host node2; } net { tls yes; } }"),
              ElementsAre(Pair("node2", true)));
}

TEST(ResFileTest, NothingSaidIsPlaintext) {
  EXPECT_THAT(TlsOf("resource r1 { connection { host node1; host node2; } }"),
              ElementsAre(Pair("node2", false)));
}

TEST(ResFileTest, MeshAndTwoHostsWithoutConnections) {
  EXPECT_THAT(
      TlsOf("resource r1 { connection-mesh { hosts node1 node2 node3; net { tls yes; } } }"),
      ElementsAre(Pair("node2", true), Pair("node3", true)));
  EXPECT_THAT(
      TlsOf("resource r1 { net { tls yes; } on node1 { node-id 0; } on node2 { node-id 1; } }"),
      ElementsAre(Pair("node2", true)));
}

TEST(ResFileTest, OtherSectionsAndOtherTlsWordsAreIgnored) {
  EXPECT_THAT(TlsOf("global { tls yes; } common { net { tls yes; } } include \"x.res\";"
                    "resource r1 { options { tls yes; } disk { net { tls yes; } }"
                    " connection { host node1; host node2; disk { tls yes; } } }"),
              ElementsAre(Pair("node2", false)));
  EXPECT_THAT(ParseResFile("skip resource r1 { net { tls yes; } }", {"node1"}).resources,
              IsEmpty());
}

TEST(ResFileTest, ACutOffFileHasNoSuchResource) {
  const std::string whole =
      "resource r1 { net { tls yes; } connection { host node1; host node2; } }";
  for (std::size_t size = 1; size < whole.size(); ++size) {
    const ResFile file = ParseResFile(whole.substr(0, size), {"node1"});
    EXPECT_FALSE(file.well_formed) << size;
    EXPECT_THAT(file.resources, IsEmpty()) << size;
  }
  EXPECT_FALSE(ParseResFile(whole + " }", {"node1"}).well_formed);
  EXPECT_FALSE(ParseResFile("resource \"r1", {"node1"}).well_formed);
  EXPECT_EQ(ParseResFile(whole + " resource r2 {", {"node1"}).resources.size(), 1U);
}

TEST(ResFileTest, DeepNestingEnds) {
  EXPECT_FALSE(ParseResFile(std::string(100000, '{'), {"node1"}).well_formed);
}

TEST(ResFileTest, SeveralNamesOfThisNode) {
  EXPECT_THAT(TlsOf("resource r1 { connection { host short; host node2; } }", {"node1", "short"}),
              ElementsAre(Pair("node2", false)));
}

}  // namespace
}  // namespace breakwater::replication
