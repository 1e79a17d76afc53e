#pragma once

/// Admit: whether one of our custom resources may be stored as a user wrote it.

#include "operator/webhook/admission_review.h"

namespace breakwater::webhook {

/// Pure. The rules are those of core/admission/validate.h, which the reconcilers apply, too: the
/// webhook only says the same earlier. Besides:
///   - Kinds that are not ours, deletions, and objects that are being deleted are always allowed:
///     a finalizer must go even from an object that is wrong.
///   - What was wrong before the change is a warning, not an error: an object from before the
///     webhook can be changed elsewhere. Kubernetes does the same for its own rules ("ratcheting").
///     An object that had more mistakes than are listed is not refused at all.
///   - Warnings for what is allowed but rarely meant.
Verdict Admit(const AdmissionRequest& request);

}  // namespace breakwater::webhook
