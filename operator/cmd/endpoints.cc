#include "operator/cmd/endpoints.h"

namespace breakwater::cmd {

struct Endpoints::Impl {};

Endpoints::Endpoints(const Options& /*options*/, const runtime::Health& /*health*/,
                     const runtime::Metrics& /*metrics*/, const Logger& /*log*/) {}

Endpoints::~Endpoints() = default;

Result<void, Error> Endpoints::Start() const { return {}; }

}  // namespace breakwater::cmd
