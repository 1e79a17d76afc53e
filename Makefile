# Two commands do all: `make demo` and `make test`. Each installs what is missing with apt-get, builds,
# and runs; each reuses what is there. `make help` lists the rest.
SHELL := /bin/bash
STRATEGY ?= Auto
LATENCY_MS ?= 0
NODES ?= 3
CASES ?= 0
WALKS ?= 10000
FIRST ?= 1
BEDS ?= 3
SIZES ?= 10,100,1000
PYTHON := /usr/bin/python3

.PHONY: help demo test tools build image deps testbed fmt lint tidy unit e2e faults kills walks fuzz bench bench-migration clean

help:
	@echo "make demo [STRATEGY=Auto|PairByPair|SuspendIO] [LATENCY_MS=0]  a local cluster moves six claimed volumes to TLS under load"
	@echo "make test      everything that CI runs: lint, unit tests with sanitizers, end-to-end tests"
	@echo "make build     release binaries in build/release/bin"
	@echo "make image IMAGE=registry/name:tag [AGENT_IMAGE=…]  container images of operator and node agent (docker, podman or buildah)"
	@echo "make tools     etcd, kube-apiserver, kwok, kubectl … into a cache outside the tree"
	@echo "make testbed   leaves a local control plane with the simulators running, for playing"
	@echo "make unit      unit tests only (debug build)"
	@echo "make e2e       end-to-end tests only"
	@echo "make faults    faults of the API server, two replicas, cost of an idle operator (20 min, a quiet machine)"
	@echo "make kills     kill -9 and SIGTERM at each step of a switch [CASES=n: a sample] [BEDS=3] (20 min, table, build/kills.json)"
	@echo "make walks [WALKS=10000] [FIRST=1]  agents, leaders, LINSTOR and nodes die and hang at every step, on simulated DRBD in virtual time (20 min)"
	@echo "make fuzz      libFuzzer targets [FUZZ_SECONDS=60]"
	@echo "make bench     roll-outs of 3 to 300 nodes, churn of 10000 objects (table, build/bench.json)"
	@echo "make bench-migration  what 10 to 1000 volumes cost on their way to TLS, and idle [SIZES=10,100] (build/bench-migration.json)"
	@echo "make fmt lint  formats the sources; checks formatting and layers"
	@echo "make tidy      clang-tidy over what changed [DEEP=1: with the static analyzer]"

deps:
	@scripts/deps.sh

tools: deps
	@scripts/tools.sh

build: deps
	@scripts/build.sh release

image: deps
	@scripts/image.sh "$(IMAGE)" "$(AGENT_IMAGE)"

demo: deps tools build
	@PYTHONPATH=tests/e2e $(PYTHON) -u -m demo --strategy $(STRATEGY) --nodes $(NODES) --latency-ms $(LATENCY_MS)

testbed: deps tools build
	@PYTHONPATH=tests/e2e $(PYTHON) -u -m testbed up --nodes $(NODES) --hold

test:
	@scripts/test.sh

unit: deps
	@scripts/build.sh dev
	@ctest --test-dir build/dev --output-on-failure -L unit

e2e: deps build
	@scripts/tools.sh --all
	@PYTHONPATH=tests/e2e $(PYTHON) -u -m pytest -q tests/e2e/suite

# The idle operator is measured for ten minutes: watches end after five, and what follows must not be a list.
faults: deps tools build
	@BREAKWATER_IDLE_SECONDS=$${BREAKWATER_IDLE_SECONDS:-600} PYTHONPATH=tests/e2e $(PYTHON) -u -m pytest -q -s -p no:cacheprovider tests/e2e/faultproxy/selftest.py tests/e2e/runtime

kills: deps tools build
	@PYTHONPATH=tests/e2e $(PYTHON) -u -m kills --cases $(CASES) --beds $(BEDS) --json build/kills.json

walks: deps
	@scripts/build.sh release breakwater-walks
	@scripts/walks.py --walks $(WALKS) --first $(FIRST)

fuzz: deps
	@scripts/build.sh asan fuzz_admission fuzz_admission_review fuzz_agent_message fuzz_exec_protocol fuzz_kubeconfig fuzz_node_report fuzz_tlshd_files fuzz_watch_decoder
	@scripts/fuzz.py

bench: deps tools build
	@PYTHONPATH=tests/e2e $(PYTHON) -u -m bench --json build/bench.json

bench-migration: deps tools build
	@PYTHONPATH=tests/e2e $(PYTHON) -u -m bench.migration --sizes $(SIZES) --json build/bench-migration.json

fmt:
	@FIX=1 scripts/lint.sh

lint: deps
	@scripts/lint.sh

tidy: deps
	@scripts/tidy.sh

clean:
	@rm -rf build
