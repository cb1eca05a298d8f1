"""What a player types at the console client and sees there, in any game."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections import Counter

from zoneclient.connection import ZoneConnection
from zoneclient.errors import ActionRefusedError, ZoneError
from zoneclient.game_schema import SCHEMA_ACTION, GameSchema
from zoneclient.update import Event, Update
from zoneserver.protocol.messages import Bye, Refusal
from zoneserver.support.format import printable

__all__ = ["Console"]

# How many players are listed by name.
_NAMES_MAX = 10
_FORM = "write arguments as numbers, True, False, None, 'texts', b'bytes' or [lists], separated by spaces: /move 5 -3"
_HELP = {"/who": "the players and things that are here, the nearest first", "/board": "the board of the game"}
# How long the first line waits for the schema.
_SCHEMA_SECONDS = 3.0


class Console:
    """A console in a zone: `enter` takes what is typed, `update_lines` shows what happens."""

    def __init__(self, zone: ZoneConnection) -> None:
        self._zone = zone
        self.tick = 0
        """The tick of the last update that was printed."""
        self._schema = GameSchema()
        # The sequence of the question for the schema, which the player did not type.
        self._schema_seq = 0
        # The lines that were typed while the connection was lost, by sequence.
        self._typed_away: dict[int, str] = {}
        # When the connection was lost, until the first update after the return.
        self._lost_at: float | None = None
        zone._line.on_drop = self._dropped
        self._learning: asyncio.Task[None] | None = None
        if zone.slot is not None:
            self._learning = asyncio.create_task(self._learn())

    async def _learn(self) -> None:
        """Ask the game for its schema."""
        self._schema_seq = self._zone._receiver.next_seq
        try:
            (text,) = await self._zone.ask(SCHEMA_ACTION, timeout=_SCHEMA_SECONDS)
            self._schema = GameSchema(text)
        except (ActionRefusedError, TimeoutError, TypeError, ValueError, ZoneError):
            pass  # /help says so.

    async def close(self) -> None:
        """Ask no longer."""
        if self._learning is not None:
            self._learning.cancel()
            await asyncio.gather(self._learning, return_exceptions=True)

    async def print_updates(self) -> None:
        """Print what happens until the session ends."""
        async for update in self._zone:
            if update.resumed and self._lost_at is not None:
                seconds, self._lost_at = time.monotonic() - self._lost_at, None
                ticks = f"{update.missed:,} tick{'' if update.missed == 1 else 's'}"
                print(f"back after {seconds:.1f} s, {ticks} missed", file=sys.stderr)
            for line in self.update_lines(update):
                print(line, flush=True)
            self.tick = update.tick
            if update.resumed and self._zone.slot is not None:
                # The server may have been started again with another game.
                await self.close()
                self._learning = asyncio.create_task(self._learn())

    def _dropped(self, bye: Bye) -> None:
        if self._lost_at is None:
            self._typed_away.clear()
            self._lost_at = time.monotonic()
            print(f"connection lost ({printable(bye.code)}), coming back ...", file=sys.stderr)

    async def enter(self, line: str) -> list[str]:
        """Do what a line says; return the lines to print. Raises TypeError or ValueError for a line that is wrong."""
        line = line.strip()
        if not line:
            return []
        if self._learning is not None:
            await asyncio.wait({self._learning})
        kind, _, text = line[1:].partition(" ") if line.startswith("/") else ("say", "", line)
        if kind not in self._schema.actions:
            commands = {"who": self._who, "help": self._help, "board": self._board}
            if kind in commands:
                return list(map(printable, commands[kind]()))
        if self._zone.slot is None:
            raise ValueError("you only watch: only /who, /board and /help do something")
        try:
            arguments = self._schema.read(kind, text, self._zone.replica.slot) if line.startswith("/") else [line]
        except ValueError as error:
            raise ValueError(f"{error}; {_FORM}") from None
        is_away = self._zone.is_away
        seq = self._zone.act(kind, *arguments)
        if is_away:
            self._typed_away[seq] = line
        return []

    def _help(self) -> list[str]:
        width = max(map(len, _HELP))
        lines = [f"{command:<{width}}    {text}" for command, text in _HELP.items()]
        if self._schema.actions:
            return ["a line without / is the action say", *self._schema.help_lines(), *lines]
        if self._zone.slot is None:
            return ["you only watch, and have no player to act with", *lines]
        return ["a line without / is the action say; this game does not tell its actions", *lines]

    def _who(self) -> list[str]:
        replica, own = self._zone.replica, self._zone.slot
        here = None if own is None or not replica.world.has(own) else replica.position(own)
        players = replica.players
        away = {slot: 0.0 if here is None else math.dist(here, replica.position(slot)) for slot in players}
        shown = []
        for slot in sorted(players, key=lambda slot: (away[slot], slot))[:_NAMES_MAX]:
            distance = "" if here is None else " (you)" if slot == own else f" ({away[slot]:,.0f} away)"
            shown.append(players[slot] + distance)
        more = f", and {len(players) - _NAMES_MAX:,} more" if len(players) > _NAMES_MAX else ""
        lines = [f"* players: {len(players):,}{': ' if shown else ''}{', '.join(shown)}{more}"]
        things = Counter(replica.things().values())
        return lines + [f"* {kind}: {count:,}" for kind, count in sorted(things.items())]

    def _board(self) -> list[str]:
        board = self._zone.replica.board
        return [f"* {name}: {value!r}" for name, value in board.items()] or ["* this game has no board"]

    def update_lines(self, update: Update) -> list[str]:
        """Return the lines to print for one tick."""
        names = list(update.joined.values())
        if update.resynced and len(names) > _NAMES_MAX:
            names = [*names[:_NAMES_MAX], f"and {len(names) - _NAMES_MAX:,} more"]
        is_list = update.resynced and names
        lines = [f"* here: {', '.join(names)}"] if is_list else [f"* {name} is here" for name in names]
        lines += [self._refusal_line(refusal) for refusal in update.refused if refusal.seq != self._schema_seq]
        lines += [f"[{told.kind}] {self._values(told.kind, told.values, update)}".rstrip() for told in update.told]
        lines += [
            f"= {self._values('', answer.values, update) or 'done'}"
            for answer in update.answered
            if answer.seq != self._schema_seq
        ]
        lines += [self._event_line(event, update) for event in update.events]
        lines += [f"* {name} has left" for name in update.left.values()]
        # Texts from the server may contain control sequences for the terminal.
        return list(map(printable, lines))

    def _refusal_line(self, refusal: Refusal) -> str:
        # What was typed long before names its line.
        typed = self._typed_away.pop(refusal.seq, "")
        return f"! {refusal.code}: {refusal.text}{f': {typed}' if typed else ''}"

    def _event_line(self, event: Event, update: Update) -> str:
        is_said = event.kind == "say" and len(event.values) == 1
        text = str(event.values[0]) if is_said else f"{event.kind} {self._values(event.kind, event.values, update)}"
        return f"{event.name or '*'}: {text.rstrip()}"

    def _values(self, kind: str, values: object, update: Update) -> str:
        def name_of(slot: int) -> str | None:
            return self._zone.replica.name(slot) or update.left.get(slot)

        return self._schema.named(kind, tuple(values), name_of)  # type: ignore[arg-type]
