"""Command line: `python3 -m testbed up --nodes 3 --hold`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from . import StartError, TestBed, WaitTimeout


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="testbed", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start a test bed")
    up.add_argument("--nodes", default="3", help="how many nodes, or their names with commas between")
    up.add_argument("--hold", action="store_true", help="keep it running until Ctrl-C (without: start, check, stop)")
    up.add_argument("--no-simulators", action="store_true", help="control plane and nodes only")
    up.add_argument("--drbd-sim", type=Path)
    up.add_argument("--linstor-sim", type=Path)
    up.add_argument("--agent", type=Path, help="the program breakwater-agent")
    up.add_argument("--seed", type=int, help="of the DRBD simulator")
    up.add_argument("--keep", action="store_true", help="leave the work dir with all logs behind")
    return parser.parse_args(argv)


def describe(bed: TestBed) -> None:
    print(f"export KUBECONFIG={bed.kubeconfig}")
    print(f"export PATH={bed.tools}:$PATH")
    if bed.simulators:
        print(f"export LS_CONTROLLERS={bed.linstor_url}")
        print(f"export DRBD_SIM_SOCKET={bed.drbd_socket}")
    print(f"# logs: {bed.work}/logs; stop with Ctrl-C here, or: kill {os.getpid()}", flush=True)


def main() -> int:
    options = parse(sys.argv[1:])
    nodes = int(options.nodes) if options.nodes.isdigit() else options.nodes.split(",")
    end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins with it ignored
    try:
        with TestBed(nodes, simulators=not options.no_simulators, drbd_sim=options.drbd_sim,
                     linstor_sim=options.linstor_sim, agent_binary=options.agent, seed=options.seed, keep=options.keep) as bed:
            if options.hold:
                describe(bed)
                end.wait()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
    except (StartError, WaitTimeout) as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
