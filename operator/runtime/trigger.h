#pragma once

/// Triggers: which change of which object makes which key due. All functions are pure.

#include <functional>
#include <vector>

#include "operator/api/resource_info.h"
#include "operator/runtime/store.h"

namespace breakwater::runtime {

/// Whether a change is of interest. An empty Predicate lets everything through.
using Predicate = std::function<bool(const ChangeEvent&)>;
/// Which keys a change makes due.
using Mapper = std::function<std::vector<api::ObjectKey>(const ChangeEvent&)>;

/// For custom resources: everything but a change of only the status (which the operator writes
/// itself and must not answer): additions, deletions, new generation, labels, annotations,
/// finalizers, owners, deletionTimestamp.
bool SpecOrMetadataChanged(const ChangeEvent& change);

/// For Nodes: labels, annotations, taints, addresses and readiness, not the heartbeat every 5
/// minutes.
bool IgnoringHeartbeats(const ChangeEvent& change);

/// Keys of the controller-owners of both states of the object, as far as `owners` knows them.
std::vector<api::ObjectKey> ControllerOwners(const ChangeEvent& change, const Store& owners);

/// Keys of all objects of a store: "everything depends on this".
std::vector<api::ObjectKey> AllKeys(const Store& store);

}  // namespace breakwater::runtime
