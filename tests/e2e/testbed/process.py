"""Child processes that never outlive the test."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable, Mapping, Optional, Sequence

# The kernel sends the parent-death signal when the *thread* that forked ends. All children are therefore forked by
# one thread that lives as long as the process.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="testbed-spawner")

POLL_SECONDS = 0.02


class StartError(RuntimeError):
    """A component did not come up; the message carries the end of its log."""


class Component:
    """One process of the test bed: how to start it, how to know that it serves, where it logs."""

    def __init__(self, name: str, argv: Sequence[str], log: Path, *, env: Optional[Mapping[str, str]] = None,
                 ready: Optional[Callable[["Component"], bool]] = None, start_timeout: float = 60,
                 graceful: bool = False):
        self.name = name
        self.argv = [str(a) for a in argv]
        self.log = log
        self.env = dict(env or {})
        self.ready = ready
        self.start_timeout = start_timeout
        self.graceful = graceful  # whether it has something to clean up itself when the bed ends
        self.process: Optional[subprocess.Popen] = None
        self.log_offset = 0  # where the log of the current run begins

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> Optional[int]:
        return self.process.pid if self.process else None

    def spawn(self) -> None:
        """Starts the process without waiting for it to be ready."""
        if self.alive:
            raise StartError(f"{self.name} is already running")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        death_signal = "TERM" if self.graceful else "KILL"
        # Own session: Ctrl-C in the terminal reaches only us, we then stop the children in order.
        command = ["setpriv", f"--pdeathsig={death_signal}", "--", *self.argv]
        with open(self.log, "ab") as out:
            self.log_offset = out.tell()
            self.process = _spawner.submit(
                subprocess.Popen, command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                env={**os.environ, **self.env}, start_new_session=True).result()

    def wait_ready(self) -> None:
        if self.ready is None:
            return
        deadline = time.monotonic() + self.start_timeout
        while True:
            if not self.alive:
                code = self.process.returncode if self.process else None
                raise StartError(f"{self.name} ended with {code} while starting\n{self.tail()}")
            if self.ready(self):
                return
            if time.monotonic() > deadline:
                raise StartError(f"{self.name} is not ready after {self.start_timeout:.0f} s\n{self.tail()}")
            time.sleep(POLL_SECONDS)

    def start(self) -> None:
        self.spawn()
        self.wait_ready()

    def send_signal(self, number: int) -> None:
        """Signals the process; no error when it is gone."""
        if self.alive:
            self.process.send_signal(number)

    def kill(self, number: int = signal.SIGKILL, timeout: float = 30) -> int:
        """Ends the process with a signal and returns its exit code."""
        if self.process is None:
            return 0
        self.send_signal(number)
        if number == signal.SIGKILL:
            return self.process.wait(timeout)
        self.send_signal(signal.SIGCONT)  # a paused process does not see SIGTERM
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout)
            raise TimeoutError(f"{self.name} did not end within {timeout} s after signal {number}\n{self.tail()}")

    def pause(self) -> None:
        self.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.send_signal(signal.SIGCONT)

    def tail(self, lines: int = 30) -> str:
        try:
            text = self.log.read_text(errors="replace")
        except OSError:
            return f"(no log {self.log})"
        return f"--- end of {self.log}\n" + "\n".join(text.splitlines()[-lines:])

    def printed(self, word: str) -> bool:
        """Whether the current run has printed a line that is this word or begins with it and a space."""
        try:
            with open(self.log, "rb") as f:
                f.seek(self.log_offset)
                return any(line.split(b" ", 1)[0] == word.encode() for line in f.read().splitlines())
        except OSError:
            return False


def prints_ready(component: Component) -> bool:
    return component.printed("ready")
