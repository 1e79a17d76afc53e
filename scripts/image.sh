#!/usr/bin/env bash
# image.sh IMAGE: builds the operator and its container image with docker, podman or buildah,
# whichever works here, and says how to push it.
set -euo pipefail
cd "$(dirname "$0")/.."
image=${1:-}
if [ -z "$image" ]; then
  echo "image: name it: make image IMAGE=registry.example.com/breakwater-operator:0.1.0" >&2
  exit 2
fi
tool=""
for candidate in docker podman buildah; do
  # A docker client without its daemon is of no use.
  if command -v "$candidate" >/dev/null && timeout 20 "$candidate" info >/dev/null 2>&1; then
    tool=$candidate
    break
  fi
done
if [ -z "$tool" ]; then
  echo "image: none of docker, podman and buildah works here (docker: is the daemon running?)." >&2
  echo "image: apt-get install buildah is enough; or build on another machine:" >&2
  echo "image:   docker build -f images/operator/Dockerfile -t $image build/release/bin" >&2
  exit 1
fi
scripts/build.sh release breakwater-operator
echo "image: building $image with $tool"
"$tool" build -f images/operator/Dockerfile -t "$image" build/release/bin
echo "image: now: $tool push $image"
