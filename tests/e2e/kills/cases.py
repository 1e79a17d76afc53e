"""Which kills there are: what dies, at which step of which strategy, and when it comes back."""

from __future__ import annotations

import dataclasses
import random
from typing import Optional

# Commands of the near end's agent, in the order of a switch.
STEPS = {"PairByPair": ("disconnect", "net-options", "connect"),
         "SuspendIO": ("suspend-io", "disconnect", "net-options", "connect", "resume-io")}
AT_ONCE, LATE, NEVER = "at once", "after 30 s", "never"
BACK = (AT_ONCE, LATE, NEVER)
LATE_SECONDS = 30

OPERATOR = "operator"  # kill -9
AGENT = "agent"  # kill -9 of the near end's worker, and of each that its supervisor starts until it may be back
BOTH = "both"  # the two
POD = "pod"  # the near end's satellite is deleted: SIGTERM
FAR_AGENT = "far agent"  # as AGENT, at the other end of the connection
CONTAINER = "container"  # kill -9 of all processes of the near end's agent: nobody there is left to keep a promise

# spec.replicationTLS.migration.suspendTimeout, and one second.
FREEZE_MS = 11_000
# The deadline of a Lead or SuspendedSwitch, and 30 s to be connected again.
CUT_MS = 40_000


@dataclasses.dataclass(frozen=True)
class Case:
    strategy: str
    victim: str
    step: str
    back: str

    def __str__(self) -> str:
        return f"{self.strategy}/{self.victim}/{self.step}/{self.back}".replace(" ", "-")

    @property
    def bounded(self) -> bool:
        """Whether we promise how long I/O is frozen (docs: "The one gap that is left")."""
        return self.victim != CONTAINER

    @property
    def near_agent_is_away(self) -> bool:
        """Whether nobody is there who could connect the near end again until we let the agent come back."""
        return self.victim in (AGENT, BOTH, CONTAINER) and self.back != AT_ONCE

    @property
    def seconds(self) -> int:
        """About, to deal the cases out evenly."""
        if self.back == LATE:
            return 8 + LATE_SECONDS
        return 50 if self.back == NEVER and self.near_agent_is_away else 12


def all_cases() -> list[Case]:
    cases = [Case(strategy, victim, step, back) for strategy, steps in STEPS.items()
             for victim in (OPERATOR, AGENT, BOTH, POD) for step in steps for back in BACK]
    # A follower cuts nothing and suspends nothing.
    cases += [Case(strategy, FAR_AGENT, step, back) for strategy in STEPS for step in ("disconnect", "net-options")
              for back in BACK]
    cases += [Case(strategy, CONTAINER, step, back) for strategy, steps in
              (("PairByPair", ("disconnect",)), ("SuspendIO", ("suspend-io", "connect"))) for step in steps
              for back in BACK]
    return cases


def sample(cases: list[Case], count: int, seed: int) -> list[Case]:
    """`count` of them (0: all) in their order; the same seed gives the same."""
    if not count or count >= len(cases):
        return cases
    chosen = set(random.Random(seed).sample(range(len(cases)), count))
    return [case for i, case in enumerate(cases) if i in chosen]


def deal(cases: list[Case], hands: int) -> list[list[Case]]:
    """For so many test beds at once, each about equally long."""
    result: list[list[Case]] = [[] for _ in range(hands)]
    for case in sorted(cases, key=lambda case: -case.seconds):
        min(result, key=lambda hand: sum(c.seconds for c in hand)).append(case)
    return [hand for hand in result if hand]


@dataclasses.dataclass
class Row:
    """What became of the volume of one case. `missed`: the limits that did not hold, one sentence each."""
    case: str
    bounded: bool
    freeze_ms: int = 0
    stall_ms: int = 0
    cut_ms: int = 0
    cut_limit_ms: int = CUT_MS
    errors: int = 0
    differing: int = 0
    encrypted: str = ""  # connections at the end of the case
    seconds: float = 0
    missed: list[str] = dataclasses.field(default_factory=list)

    def judge(self, violations: list[str], trouble: Optional[str]) -> None:
        if self.bounded:
            if self.freeze_ms > FREEZE_MS:
                self.missed.append(f"frozen for {self.freeze_ms} ms, at most {FREEZE_MS} are promised")
            if self.stall_ms > FREEZE_MS:
                self.missed.append(f"a write took {self.stall_ms} ms, at most {FREEZE_MS} are promised")
        if self.cut_ms > self.cut_limit_ms:
            self.missed.append(f"cut for {self.cut_ms} ms, at most {self.cut_limit_ms} are promised")
        if self.errors:
            self.missed.append(f"{self.errors} writes failed")
        if self.differing:
            self.missed.append(f"{self.differing} blocks differ or are lost")
        self.missed += violations + ([trouble] if trouble else [])
