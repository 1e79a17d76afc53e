#pragma once

/// How much memory a report takes once it is decoded: a hostile line of empty objects takes seventy
/// times its own length (REVIEW-2 M2). Pure.

#include <cstddef>

#include "operator/core/replication/protocol/messages.h"

namespace breakwater::controllers {

std::size_t MemoryOf(const replication::ResourceReport& report);
std::size_t MemoryOf(const replication::NodeFactsMessage& facts);
std::size_t MemoryOf(const replication::ProgressMessage& progress);

}  // namespace breakwater::controllers
