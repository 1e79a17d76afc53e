#include "operator/controllers/replication/exec_heal.h"

#include "operator/core/replication/node/text.h"

namespace breakwater::controllers {

// events2 prints one object per line with all its fields, which a shell can judge; --now ends it
// after the present state, so that it cannot go deaf (F34).
const std::string_view kHealScript = R"sh(
res=$1; peer=$2; id=$3; vol=$4
seen=$(drbdsetup events2 --now --statistics "$res") || exit 75
refuse() { echo "$1" >&2; exit 75; }
line() { echo "$seen" | grep -E "^exists $1 name:$res "; }
line resource | grep -q ' suspended:no' || refuse 'I/O is suspended'
line device | grep " volume:$vol " | grep ' disk:UpToDate' | grep -q ' quorum:yes' ||
  refuse 'no quorum or no good disk of its own'
others=$(line connection | grep -v " conn-name:$peer ")
[ -z "$others" ] || echo "$others" | grep -q ' connection:Connected' ||
  refuse 'no other peer is connected, and the quorum needs one while this one heals'
behind=$(line peer-device | grep " conn-name:$peer " | grep " volume:$vol " |
  grep ' replication:Established')
if ! echo "$behind" | grep -q ' peer-disk:Outdated'; then
  echo "$behind" | grep ' peer-disk:UpToDate' | grep -v ' out-of-sync:0\( \|$\)' |
    grep -q ' out-of-sync:' || refuse 'the peer is not behind'
fi
exec drbdsetup invalidate-remote "$res" "$id" "$vol" --reset-bitmap=no
)sh";

Result<void, Error> HealByExec(const Context& ctx,
                               NodeShell& shell,
                               const std::string& container,
                               const std::string& resource,
                               const replication::StalePeer& stale,
                               int peer_id) {
  if (!replication::IsSafeName(resource) || !replication::IsSafeName(stale.peer) || peer_id < 0) {
    return Unexpected{Error{ErrorClass::kInvalid, "not a resource or a peer"}};
  }
  BREAKWATER_ASSIGN_OR_RETURN(
      const kube::ExecResult result,
      shell.Run(ctx, stale.primary, container,
                {"sh", "-c", std::string(kHealScript), "breakwater-heal", resource, stale.peer,
                 std::to_string(peer_id), std::to_string(stale.volume)}));
  if (result.exit_code != 0) {
    return Unexpected{Error{ErrorClass::kTransient,
                            stale.primary + " did not heal it (exit code " +
                                std::to_string(result.exit_code) +
                                "): " + std::string(replication::Trim(result.err)).substr(0, 300)}};
  }
  return {};
}

}  // namespace breakwater::controllers
