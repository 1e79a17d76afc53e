#include "operator/core/replication/certificates/trust_plan.h"

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>

namespace breakwater::replication {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TrustLeaf Leaf(const std::string& id, const std::string& authority) {
  return {.id = id, .anchors = {authority}};
}

/// A node that presents `leaf` and whose container has what its Secret has.
TrustNode Settled(const std::string& name, TrustLeaf leaf, Authorities bundle) {
  const TrustFiles files{.leaf = leaf, .bundle = bundle, .generation = 1};
  return {.name = name,
          .secret = files,
          .container = files,
          .mounts = true,
          .options = {std::move(leaf)},
          .wanted = std::move(bundle)};
}

// Nothing is written while all is as wanted: each write makes every kubelet fetch a Secret.
TEST(TrustPlan, SettledWritesNothing) {
  const TrustPlan plan =
      PlanTrust({Settled("a", Leaf("a1", "CA"), {"CA"}), Settled("b", Leaf("b1", "CA"), {"CA"})});
  EXPECT_THAT(plan.steps, IsEmpty());
  EXPECT_EQ(plan.phase, TrustPhase::kSettled);
  EXPECT_TRUE(plan.switched);
  EXPECT_EQ(PlanTrust({}).phase, TrustPhase::kNothing);
}

// A new cluster has nobody to wait for, or its first pods would never start.
TEST(TrustPlan, FreshNodesGetTheirCertificateAtOnce) {
  TrustNode node{.name = "a", .fresh = true, .options = {Leaf("new", "CA")}, .wanted = {"CA"}};
  const TrustPlan plan = PlanTrust({node});
  EXPECT_THAT(plan.steps, ElementsAre(TrustStep{.node = "a", .option = 0, .bundle = {"CA"}}));
}

// A node that is down must not let the certificates of all others expire.
TEST(TrustPlan, RenewalByTheSameAuthorityWaitsForNobody) {
  TrustNode due = Settled("a", Leaf("a1", "CA"), {"CA"});
  due.options = {Leaf("new", "CA")};
  TrustNode down = Settled("b", Leaf("b1", "CA"), {"CA"});
  down.container.reset();
  const TrustPlan plan = PlanTrust({due, down});
  EXPECT_THAT(plan.steps, ElementsAre(TrustStep{.node = "a", .option = 0, .bundle = {"CA"}}));
  EXPECT_THAT(plan.waiting, ElementsAre("b"));
  due.options = {Leaf("a1", "CA")};
  EXPECT_EQ(PlanTrust({due, down}).phase, TrustPhase::kSettled)
      << "a node that is down is no rotation";
}

// The same for a node of another authority: it would be refused by the one that is down (F6: its
// peers stay StandAlone).
TEST(TrustPlan, AnotherAuthorityWaitsForTheNodeThatIsDown) {
  TrustNode a = Settled("a", Leaf("a1", "old"), {"old", "new"});
  a.options = {Leaf("a2", "new"), Leaf("a1", "old")};
  a.wanted = {"new"};
  TrustNode b = a;
  b.name = "b";
  b.container.reset();
  EXPECT_THAT(PlanTrust({a, b}).steps, IsEmpty());
  b.container = TrustFiles{.leaf = Leaf("a1", "old"), .bundle = {"old"}};
  EXPECT_THAT(PlanTrust({a, b}).steps, IsEmpty()) << "its container does not trust the new one yet";
  b.container = b.secret;
  EXPECT_EQ(PlanTrust({a, b}).steps.size(), 2U);
}

// T3: an expired certificate is worth nothing, whoever does not trust the next one yet.
TEST(TrustPlan, ExpiredCertificateIsReplacedAtOnce) {
  TrustNode a = Settled("a", Leaf("a1", "old"), {"old"});
  a.secret->leaf.valid = a.container->leaf.valid = false;
  a.options = {Leaf("a2", "new")};
  a.wanted = {"new"};
  EXPECT_THAT(PlanTrust({a}).steps,
              ElementsAre(TrustStep{.node = "a", .option = 0, .bundle = {"new", "old"}}));
}

// REVIEW-2 S2: one node must not make the others trust an authority of its own.
TEST(TrustPlan, ContainersBringNoAuthority) {
  TrustNode a = Settled("a", Leaf("a1", "CA"), {"CA"});
  a.container->bundle.insert("mallory");
  TrustNode b = Settled("b", Leaf("b1", "CA"), {"CA"});
  b.options = {Leaf("new", "next")};
  b.wanted = {"next"};
  for (const TrustStep& step : PlanTrust({a, b}).steps) {
    EXPECT_FALSE(step.bundle.contains("mallory"));
  }
}

// The source lacks one node: nobody loses what works today.
TEST(TrustPlan, SourceThatLacksANodeWithdrawsNothing) {
  TrustNode a = Settled("a", Leaf("a1", "old"), {"old"});
  a.options = {};
  a.wanted = {};
  const TrustPlan plan = PlanTrust({a});
  EXPECT_THAT(plan.steps, IsEmpty());
  EXPECT_EQ(plan.phase, TrustPhase::kNoSource);
  EXPECT_THAT(plan.waiting, ElementsAre("a"));
}

/// Nodes with kubelets that lag, a source that changes at any time and an authority that rotates
/// at any time. The planner is killed after any write and sees containers as they once were.
class Walk {
 public:
  explicit Walk(unsigned seed) : random_(seed) {
    for (const char* name : {"a", "b", "c"}) {
      nodes_[name];
    }
  }

  /// Chance in 100.
  bool Chance(int percent) { return std::uniform_int_distribution<int>(0, 99)(random_) < percent; }

  void Step() {
    if (Chance(4)) {
      source_ = std::uniform_int_distribution<int>(0, 2)(random_);
    }
    if (Chance(5) && previous_.empty()) {
      previous_ = managed_;
      managed_ = "managed" + std::to_string(++count_);
    }
    if (Chance(2)) {
      ++internal_;  // its certificates are renewed, of the same authority
    }
    for (auto& [name, node] : nodes_) {
      Live(&node);
    }
    Plan(false);
    Check();
  }

  /// Everything works and nobody changes anything: the last wish must come true.
  void Finish() {
    for (int round = 0; round < 40; ++round) {
      for (auto& [name, node] : nodes_) {
        Roll(&node);
        node.read = node.history.size();
        node.seen = Actual(node);
      }
      Plan(true);
      Check();
    }
    for (const auto& [name, node] : nodes_) {
      EXPECT_EQ(node.mounts, source_ != 0) << name;
    }
    EXPECT_EQ(last_.phase, TrustPhase::kSettled);
    EXPECT_THAT(last_.steps, IsEmpty());
    EXPECT_EQ(previous_, "");
  }

 private:
  struct Node {
    std::vector<TrustFiles> history{};  // of its Secret; the last one is what it holds
    bool has_secret = false;
    bool released = false;
    bool mounts = false;
    std::size_t read = 0;  // how much of the history the kubelet has brought
    std::optional<TrustFiles> seen{};
  };

  TrustLeaf Internal(const std::string& name) const {
    return Leaf("internal-" + name + std::to_string(internal_), "internal");
  }

  TrustFiles Actual(const Node& node) const {
    const std::string name = NameOf(node);
    return node.mounts ? node.history[node.read - 1]
                       : TrustFiles{.leaf = Internal(name), .bundle = {"internal"}};
  }

  std::string NameOf(const Node& wanted) const {
    for (const auto& [name, node] : nodes_) {
      if (&node == &wanted) {
        return name;
      }
    }
    return "";
  }

  /// The pod is started again with other mounts, when it is to have them.
  void Roll(Node* node) const {
    const bool wants = source_ != 0 ? node->has_secret || node->mounts
                                    : node->mounts && !(node->has_secret && node->released);
    if (wants != node->mounts) {
      node->mounts = wants;
      node->read = node->history.size();
      node->seen.reset();
    }
  }

  void Live(Node* node) {
    if (Chance(20)) {
      Roll(node);
    }
    if (node->mounts && Chance(30)) {
      node->read =
          std::uniform_int_distribution<std::size_t>(node->read, node->history.size())(random_);
    }
    if (Chance(40)) {
      node->seen = Chance(90) ? std::optional(Actual(*node)) : std::nullopt;
    }
  }

  TrustNode Gather(const std::string& name, const Node& node) const {
    TrustNode result{.name = name,
                     .container = node.seen,
                     .mounts = node.mounts,
                     .shares = source_ == 0 && !node.mounts};
    if (node.has_secret) {
      result.secret = node.history.back();
    }
    const std::string held = node.has_secret ? result.secret->leaf.id : "";
    const auto managed = [&](const std::string& authority) {
      const bool keeps = node.has_secret && result.secret->leaf.anchors.contains(authority);
      return keeps ? result.secret->leaf : Leaf("new-" + name, authority);
    };
    if (source_ == 0) {
      result.options = {Internal(name)};
      result.wanted = {"internal"};
    } else if (source_ == 1) {
      result.options = {managed(managed_)};
      result.wanted = {managed_};
      if (!previous_.empty()) {
        result.options.push_back(managed(previous_));
        result.others.insert(previous_);
      }
    } else {
      result.options = {Leaf("foreign-" + name, "foreign")};
      result.wanted = {"foreign"};
    }
    if (source_ != 0 && (!node.has_secret || held.starts_with("internal"))) {
      result.options.push_back(Internal(name));
      result.others.insert("internal");
    }
    return result;
  }

  void Plan(bool whole) {
    std::vector<TrustNode> input;
    for (const auto& [name, node] : nodes_) {
      input.push_back(Gather(name, node));
    }
    last_ = PlanTrust(input);
    for (const TrustStep& step : last_.steps) {
      if (!whole && Chance(25)) {
        return;  // killed
      }
      Write(step, input);
    }
    bool used = false;
    for (auto& [name, node] : nodes_) {
      node.released = source_ == 0 && (node.released || last_.switched);
      used = used || (node.has_secret && node.history.back().bundle.contains(previous_));
      if (source_ == 0 && node.has_secret && !node.mounts) {
        node.has_secret = false;
        node.released = false;
      }
    }
    if (!used) {
      previous_.clear();
    }
  }

  void Write(const TrustStep& step, const std::vector<TrustNode>& input) {
    const auto from = std::find_if(input.begin(), input.end(),
                                   [&](const TrustNode& node) { return node.name == step.node; });
    Node& node = nodes_.at(step.node);
    TrustFiles next{.leaf = step.option ? from->options[*step.option] : from->secret->leaf,
                    .bundle = step.bundle,
                    .generation = static_cast<std::int64_t>(node.history.size()) + 1};
    if (next.leaf.id.starts_with("new-")) {
      next.leaf.id = "issued" + std::to_string(++count_);
    }
    node.history.push_back(std::move(next));
    node.has_secret = true;
  }

  void Check() const {
    for (const auto& [name, node] : nodes_) {
      for (const auto& [peer, other] : nodes_) {
        ASSERT_TRUE(Actual(node).leaf.TrustedBy(Actual(other).bundle))
            << peer << " does not trust " << Actual(node).leaf.id;
      }
    }
  }

  std::mt19937 random_;
  std::map<std::string, Node> nodes_;
  int source_ = 0;  // 0 the satellites' Secrets, 1 managed, 2 foreign
  std::string managed_ = "managed0";
  std::string previous_;
  int internal_ = 0;
  int count_ = 0;
  TrustPlan last_;
};

// T3, T5: whatever changes at whatever moment, whoever is killed at whatever step, and however late
// the kubelets are: no two nodes ever refuse each other, and what was wanted last comes true.
TEST(TrustPlanProperty, NobodyIsEverRefused) {
  for (unsigned seed = 0; seed < 300 && !HasFatalFailure(); ++seed) {
    SCOPED_TRACE(seed);
    Walk walk(seed);
    for (int step = 0; step < 250 && !HasFatalFailure(); ++step) {
      walk.Step();
    }
    walk.Finish();
  }
}

}  // namespace
}  // namespace breakwater::replication
