#pragma once

/// Operator: the composition root. The only place where concrete classes of all layers meet.

#include <memory>
#include <stop_token>

#include "operator/base/log.h"
#include "operator/base/result.h"
#include "operator/cmd/options.h"

namespace breakwater::cmd {

/// Builds everything and runs until `stop` is requested. Errors: the cluster's configuration cannot
/// be read, an address cannot be bound, or leadership was lost; the process should then end
/// non-zero.
Result<void, Error> RunOperator(const Options& options,
                                const Logger& log,
                                const std::stop_token& stop);

}  // namespace breakwater::cmd
