#pragma once

/// Small tools for status and pods that several controllers use. Pure.

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "operator/api/condition.h"
#include "operator/api/object.h"
#include "operator/core/status/conditions.h"

namespace breakwater::controllers {

/// The conditions of `object` with one of these types. With server-side apply every field manager
/// must send its own conditions only: sending those of others would take them over.
std::vector<api::Condition> ConditionsOf(const api::Object& object,
                                         const std::vector<std::string_view>& types);

/// The conditions that the controllers of LinstorCluster and LinstorSatellite own.
const std::vector<std::string_view>& StandardConditions();

/// Names of those whose condition `type` has this reason, sorted.
std::vector<std::string> WithReason(const std::vector<api::ObjectPtr>& objects,
                                    std::string_view type,
                                    std::string_view reason);

/// Whether the condition Ready of a Pod or Node is True.
bool IsReady(const api::Object& object);

/// Whether LINSTOR's satellite in a pod answers: its container is ready. The pod as a whole is not
/// while another container cannot start (tlshd on a kernel without a handshake service), and the
/// satellite is as good as before.
bool IsSatelliteReady(const api::Object& pod);

/// Available=False and Configured=Unknown, because LINSTOR cannot be asked. `detail` "" where the
/// text must be the same on every object and in every pass: else each change of it is a write.
void ReportUnreachable(core::ConditionSet& conditions, const std::string& detail = "");

/// Volumes of a LinstorCluster with a transaction of the node agents: a connection of theirs may be
/// cut. While there is one, the pods of its nodes stay, and LINSTOR is told nothing about them.
std::vector<std::string> SwitchingVolumes(const api::Object& cluster);

/// Those of them whose I/O is suspended for their migration, or will be at once. While there is
/// one, no change in LINSTOR may make it adjust: it resumes what is suspended (L24).
std::vector<std::string> FrozenVolumes(const api::Object& cluster);

/// Name of the LINSTOR resource that a PersistentVolume stands for; "" when it is another driver's.
std::string LinstorVolumeOf(const api::Object& persistent_volume);

/// Lines joined by "; ", cut after `limit` characters: conditions are shown in tables.
std::string JoinBounded(const std::vector<std::string>& lines, std::size_t limit = 2000);

/// The names in an annotation's value, "a, b": apart by commas, without spaces around them.
std::set<std::string> NamesIn(std::string_view list);

/// The integer at a path of member names, or `fallback`.
std::int64_t IntegerAt(const api::Object& object,
                       std::initializer_list<std::string_view> path,
                       std::int64_t fallback);

}  // namespace breakwater::controllers
