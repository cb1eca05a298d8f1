"""What a zone is made with besides its game: with equal parameters, rules and inputs, equal bytes come out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from zoneserver.config import Config, Limits, resume_ticks

__all__ = ["ZoneParameters"]


@dataclass(frozen=True, slots=True)
class ZoneParameters:
    """The arguments of `Zone` that its frames depend on. They can be written down.

    >>> ZoneParameters.from_plain(ZoneParameters(hz=20, seed=1, settings={"coins": 30}).to_plain()).settings
    {'coins': 30}
    """

    hz: int
    seed: int
    limits: Limits = field(default_factory=Limits)
    players_max: int = 10_000
    watchers_max: int = 100
    ticket_zone: str = ""
    needs_ticket: bool = False
    """Whether the zone has a secret. The secret itself is not written down."""
    resume_ticks: int = 0
    save_ticks: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Config) -> Self:
        """The parameters of the zone of a server."""
        return cls(
            hz=config.hz,
            seed=config.seed,
            limits=config.limits,
            players_max=config.max_players,
            watchers_max=config.max_watchers,
            ticket_zone=config.zone_name,
            needs_ticket=bool(config.secret),
            resume_ticks=resume_ticks(config),
            save_ticks=max(1, round(config.store_interval_seconds * config.hz)) if config.store != "" else 0,
            settings=config.game,
        )

    def to_plain(self) -> dict[str, Any]:
        """The parameters as plain values."""
        plain = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        return plain | {"limits": dataclasses.asdict(self.limits), "settings": dict(self.settings)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """The parameters that another version may have written: those that this one does not know are left out."""
        known = _known(cls, plain)
        return cls(**known | {"limits": Limits(**_known(Limits, known["limits"]))})

    def for_zone(self) -> dict[str, Any]:
        """The arguments of `Zone` but for the secret."""
        return {each.name: getattr(self, each.name) for each in dataclasses.fields(self) if each.name != "needs_ticket"}


def _known(kind: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    names = {each.name for each in dataclasses.fields(kind)}
    return {name: value for name, value in values.items() if name in names}
