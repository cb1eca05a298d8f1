"""The workloads and their targets. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """A limit for one metric of a workload, and perhaps a stricter one to aim at."""

    metric: str
    at_most: float
    stretch: float | None = None
    walkers_only: bool = False
    """Whether the target only applies if all players walk and do nothing else."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A crowd and how busy it is.

    >>> WORKLOADS["W1"].players, WORKLOADS["W1"].hz
    (1000, 20)
    """

    name: str
    players: int
    hz: int
    rate: float
    """Actions per second and player."""
    ramp: float = 2_000.0
    """Connections per second."""
    processes: int = 1
    """The number of swarm processes."""
    targets: tuple[Target, ...] = ()

    @property
    def open_files_per_process(self) -> int:
        """The open-file limit that the server needs; no other process needs more."""
        return self.players + self.players // 10 + 256

    def targets_for(self, mix: Mapping[str, int]) -> list[Target]:
        """The targets that apply to this mix of players."""
        walkers_only = {role for role, share in mix.items() if share} == {"walker"}
        return [target for target in self.targets if walkers_only or not target.walkers_only]


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload(
            "W1",
            players=1_000,
            hz=20,
            rate=5,
            targets=(
                Target("ratio", 1.5, stretch=1.3),
                Target("latency_p99_ms", 65),
                Target("bytes_per_delivered_action", 3.7, walkers_only=True),
                Target("join_seconds", 2.0),
            ),
        ),
        Workload("W2", players=4_000, hz=20, rate=2, processes=2, targets=(Target("latency_p99_ms", 75),)),
        Workload(
            "W3",
            players=9_900,
            hz=10,
            rate=1,
            processes=2,
            targets=(
                Target("ratio", 1.25, stretch=1.15),
                Target("latency_p99_ms", 150),
                Target("memory_bytes_per_session", 10_240),
            ),
        ),
    )
}
