#pragma once

/// WriteSecret: a Secret that the operator keeps itself, by a merge patch on the version that it
/// was planned on, so that two leaders cannot write over each other.

#include "operator/api/object.h"
#include "operator/base/context.h"
#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/kube/client.h"

namespace breakwater::controllers {

/// Creates the Secret (type Opaque) when `live` is null, else patches that version of it: null in
/// `content` removes a member. kConflict when somebody was faster.
Result<void, Error> WriteSecret(const Context& ctx,
                                kube::KubeClient& client,
                                const api::ObjectKey& key,
                                const api::ObjectPtr& live,
                                api::Json content);

}  // namespace breakwater::controllers
