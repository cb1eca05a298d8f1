"""Worlds and facts about zones, made from what a test cares for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoneserver.protocol.world import World
from zoneserver.protocol.zone_info import Kind, ZoneInfo, player_kind


def zone_info(
    width: int,
    height: int,
    stats: Mapping[str, int] | None = None,
    *,
    kinds: Mapping[str, Mapping[str, int]] | None = None,
    board: Mapping[str, int | str] | None = None,
    hz: int = 20,
    speed_step: int = 0,
    **more: Any,
) -> ZoneInfo:
    """The facts about a zone; without a `speed_step` one step of velocity is one unit per tick."""
    things = [Kind(name, tuple(first.items())) for name, first in (kinds or {}).items()]
    return ZoneInfo(
        hz=hz,
        width=width,
        height=height,
        speed_step=speed_step or hz,
        kinds=(player_kind(**(stats or {})), *things),
        board=tuple((board or {}).items()),
        **more,
    )


def world_of_size(width: int, height: int, stats: Mapping[str, int] | None = None, **more: Any) -> World:
    """An empty world."""
    return World(zone_info(width, height, stats, **more))
