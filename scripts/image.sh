#!/usr/bin/env bash
# image.sh IMAGE [AGENT_IMAGE]: builds the container images of the operator and of the node agent with docker, podman or
# buildah, whichever works here, and says how to push them. The agent has a version of its own (operator/agent/VERSION),
# because a new one restarts the satellites; by default its image is beside the operator's.
set -euo pipefail
cd "$(dirname "$0")/.."
image=${1:-}
if [ -z "$image" ]; then
  echo "image: name it: make image IMAGE=registry.example.com/breakwater-operator:0.1.0" >&2
  exit 2
fi
agent_version=$(<operator/agent/VERSION)
case "$image" in
  */*) default_agent_image=${image%/*}/breakwater-agent:$agent_version ;;
  *) default_agent_image=breakwater-agent:$agent_version ;;
esac
agent_image=${2:-$default_agent_image}
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
  echo "image: apt-get install buildah is enough; or, after make build, build on another machine:" >&2
  echo "image:   docker build -f images/operator/Dockerfile -t $image build/release/bin" >&2
  echo "image:   docker build -f images/breakwater-agent/Dockerfile -t $agent_image build/release/bin" >&2
  exit 1
fi
scripts/build.sh release breakwater-operator breakwater-agent
# The satellite's image has another C library, or none that fits.
if LC_ALL=C ldd build/release/bin/breakwater-agent 2>/dev/null | grep -q '=>'; then
  echo "image: build/release/bin/breakwater-agent is not static:" >&2
  ldd build/release/bin/breakwater-agent >&2
  exit 1
fi
for program in breakwater-operator breakwater-agent; do
  scripts/sbom.py "build/release/bin/$program" >"build/release/$program.cdx.json"
done
echo "image: building $image with $tool"
"$tool" build -f images/operator/Dockerfile -t "$image" build/release/bin
echo "image: building $agent_image with $tool"
"$tool" build -f images/breakwater-agent/Dockerfile -t "$agent_image" build/release/bin
echo "image: now: $tool push $image && $tool push $agent_image"
echo "image: what the programs are made of (CycloneDX): build/release/*.cdx.json; publish it beside the images"
echo "image: and before you apply: the operator's image is named in deploy/default/kustomization.yaml (images:),"
echo "image: the agent's in deploy/default/agent-image.yaml (base:, image, tag). A satellite does not start without it."
