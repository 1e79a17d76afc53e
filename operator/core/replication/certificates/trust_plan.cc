#include "operator/core/replication/certificates/trust_plan.h"

#include <algorithm>

namespace breakwater::replication {
namespace {

void Add(const Authorities& from, Authorities* to) {
  to->insert(from.begin(), from.end());
}

/// Whether the container has what its Secret holds.
bool Follows(const TrustNode& node) {
  return node.mounts && node.container && node.secret && *node.container == *node.secret;
}

/// Whether `node` trusts `leaf`, whatever of its Secret the container has read when this is used.
bool Confirms(const TrustNode& node, const TrustLeaf& leaf) {
  if (node.secret && !leaf.TrustedBy(node.secret->bundle)) {
    return false;
  }
  if (node.fresh) {
    return true;
  }
  // Of a content that lies between the one in the container and that of the Secret nothing is
  // known.
  return node.mounts ? Follows(node) : node.container && leaf.TrustedBy(node.container->bundle);
}

/// Whether `node` may present `leaf` next.
bool MayPresent(const TrustNode& node, const TrustLeaf& leaf, const std::vector<TrustNode>& nodes) {
  // Who trusts what it presents now trusts this one too. Else a node that is down would hold up
  // the renewal of all others until their certificates expire.
  if (node.secret && !node.secret->leaf.anchors.empty() &&
      std::includes(leaf.anchors.begin(), leaf.anchors.end(), node.secret->leaf.anchors.begin(),
                    node.secret->leaf.anchors.end())) {
    return true;
  }
  return std::all_of(nodes.begin(), nodes.end(),
                     [&](const TrustNode& other) { return Confirms(other, leaf); });
}

/// The certificate that `node` is to present; nothing: the one that it has, or none.
std::optional<std::size_t> Choose(const TrustNode& node, const std::vector<TrustNode>& nodes) {
  for (std::size_t i = 0; i < node.options.size(); ++i) {
    if (node.options[i].valid && MayPresent(node, node.options[i], nodes)) {
      const bool has_it = node.secret && node.secret->leaf.id == node.options[i].id;
      return has_it ? std::nullopt : std::optional(i);
    }
  }
  if (node.options.empty() || (node.secret && node.secret->leaf.valid)) {
    return std::nullopt;
  }
  // Nothing good is left: the oldest source is the one that most nodes trust.
  const std::size_t last = node.options.size() - 1;
  return node.secret && node.secret->leaf.id == node.options[last].id ? std::nullopt
                                                                      : std::optional(last);
}

const TrustLeaf* LeafAfter(const TrustNode& node, const std::optional<std::size_t>& choice) {
  return choice ? &node.options[*choice] : node.secret ? &node.secret->leaf : nullptr;
}

/// Whether old authorities may go: nobody presents what needs them, or will read such a thing.
bool MayWithdraw(const TrustNode& node,
                 const std::optional<std::size_t>& choice,
                 const Authorities& wanted) {
  if (node.shares) {
    return node.fresh || (node.container && node.container->leaf.TrustedBy(wanted));
  }
  const TrustLeaf* next = LeafAfter(node, choice);
  return next != nullptr && next->TrustedBy(wanted) &&
         (!node.secret || node.secret->leaf.TrustedBy(wanted)) &&
         (node.fresh || Follows(node) ||
          // What it follows with differs from what it has in trusted authorities only.
          (node.mounts && node.container && node.secret &&
           node.container->leaf.id == node.secret->leaf.id && node.secret->bundle == wanted));
}

/// Whether `node` is where the plan wants it, old authorities aside.
bool Presents(const TrustNode& node) {
  if (node.shares) {
    return true;
  }
  return !node.options.empty() && node.secret && node.secret->leaf.id == node.options.front().id &&
         (node.fresh ||
          (node.mounts && node.container && node.container->leaf.id == node.secret->leaf.id));
}

bool Waits(const TrustNode& node) {
  return !node.shares && (node.options.empty() || (!node.fresh && !Follows(node)));
}

TrustPhase PhaseOf(const std::vector<TrustNode>& nodes,
                   const Authorities& wanted,
                   bool switched,
                   bool complete) {
  if (nodes.empty()) {
    return TrustPhase::kNothing;
  }
  if (!complete) {
    return TrustPhase::kNoSource;
  }
  const auto has = [&](const std::optional<TrustFiles>& files) {
    return files &&
           std::includes(files->bundle.begin(), files->bundle.end(), wanted.begin(), wanted.end());
  };
  // A node that is down changes nothing of that: old authorities were withdrawn with its consent.
  const bool settled = std::all_of(nodes.begin(), nodes.end(), [&](const TrustNode& node) {
    return node.shares || (node.secret && node.secret->bundle == wanted &&
                           node.secret->leaf.id == node.options.front().id &&
                           (node.fresh || !node.container || Follows(node)));
  });
  if (settled) {
    return TrustPhase::kSettled;
  }
  const bool distributed = std::all_of(nodes.begin(), nodes.end(), [&](const TrustNode& node) {
    return node.shares || (has(node.secret) && (node.fresh || has(node.container)));
  });
  if (!distributed) {
    return TrustPhase::kDistributing;
  }
  return switched ? TrustPhase::kWithdrawing : TrustPhase::kSwitching;
}

}  // namespace

bool TrustLeaf::TrustedBy(const Authorities& bundle) const {
  return std::any_of(anchors.begin(), anchors.end(),
                     [&](const std::string& anchor) { return bundle.contains(anchor); });
}

TrustPlan PlanTrust(const std::vector<TrustNode>& nodes) {
  TrustPlan plan;
  Authorities wanted;
  Authorities all;
  bool complete = true;
  for (const TrustNode& node : nodes) {
    Add(node.wanted, &wanted);
    Add(node.others, &all);
    if (node.secret) {
      Add(node.secret->bundle, &all);
    }
    complete = complete && !node.options.empty();
  }
  Add(wanted, &all);
  std::vector<std::optional<std::size_t>> choices;
  choices.reserve(nodes.size());
  for (const TrustNode& node : nodes) {
    choices.push_back(node.shares ? std::nullopt : Choose(node, nodes));
  }
  bool withdraw = complete;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    withdraw = withdraw && MayWithdraw(nodes[i], choices[i], wanted);
  }
  plan.switched = complete && std::all_of(nodes.begin(), nodes.end(), Presents);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const TrustNode& node = nodes[i];
    if (!node.shares && LeafAfter(node, choices[i]) != nullptr) {
      TrustStep step{.node = node.name, .option = choices[i], .bundle = withdraw ? wanted : all};
      if (step.option || !node.secret || node.secret->bundle != step.bundle) {
        plan.steps.push_back(std::move(step));
      }
    }
    if (Waits(node)) {
      plan.waiting.push_back(node.name);
    }
  }
  plan.phase = PhaseOf(nodes, wanted, plan.switched, complete);
  return plan;
}

}  // namespace breakwater::replication
