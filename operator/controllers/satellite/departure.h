#pragma once

/// Departure: what becomes of the volumes of a node that leaves. Pure: judges what LINSTOR lists.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "operator/linstor/types.h"

namespace breakwater::controllers {

/// Names of the resources on `node`, with data there, of which no other node has a copy that is up
/// to date, as LINSTOR's satellites report it now. With the node their data would go.
/// @param doomed nodes that LINSTOR is to forget too: each would rely on the copy of the other
std::vector<std::string> OnlyCopies(const std::vector<linstor::Resource>& all,
                                    const std::string& node,
                                    const std::set<std::string>& doomed);

/// Names of the resources that are opened on `node`, as its satellite reports it now; of one that
/// is not connected nothing is known.
std::vector<std::string> OpenedOn(const std::vector<linstor::Resource>& all,
                                  const std::string& node);

/// The resources that are left on a node that is being evacuated, by what they wait for; each is in
/// one list.
struct Departure {
  std::vector<std::string> in_use{};    ///< opened on the node: LINSTOR does not take those away
  std::vector<std::string> moving{};    ///< a copy is not in sync, or on its way out
  std::vector<std::string> unplaced{};  ///< nothing moves, and too few copies are elsewhere
  std::vector<std::string> placed{};    ///< nothing moves, and there are enough elsewhere

  bool empty() const {
    return in_use.empty() && moving.empty() && unplaced.empty() && placed.empty();
  }

  /// LINSTOR has dropped the evacuation, as it does when it is restarted meanwhile, and asking for
  /// it again cannot make extra copies: that is what a repetition does while replicas are under way
  /// or opened (facts PIRAEUS 2.12).
  bool Dropped() const { return !unplaced.empty() && moving.empty() && in_use.empty(); }

  /// "3 resources left on the node: a, b are in use there ..." with the next step.
  std::string ToString() const;

  bool operator==(const Departure&) const = default;
};

/// `copies`: how many copies each resource is to have, by name (its group's place count).
/// `leaving`: nodes that are being evacuated; copies there do not count.
Departure DescribeDeparture(const std::vector<linstor::Resource>& all,
                            const std::string& node,
                            const std::map<std::string, std::int64_t>& copies,
                            const std::vector<linstor::Node>& nodes);

}  // namespace breakwater::controllers
