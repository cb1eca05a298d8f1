"""The commands of operators that the zone carries out: its own, such as `kick`, and those of the game.

A command is part of the input of a tick. It happens whole or not at all, as an action does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from zoneserver.protocol.codes import CloseReason, GameReason, RefusalCode
from zoneserver.support.errors import raised_by
from zoneserver.support.parse import parse_said
from zoneserver.zone.bans import read_ban
from zoneserver.zone.frame_builder import FrameBuilder
from zoneserver.zone.game_commands import commands_of
from zoneserver.zone.link import USAGE, Command
from zoneserver.zone.player_registry import PlayerRegistry
from zoneserver.zone.rules import Refused, Rules

__all__ = ["BUILT_IN", "KICKED", "OF_A_REPLAY", "Commands"]

KICKED = "KICKED"
"""The code with which `kick` ends a session."""
# The bound on what a command of a game answers.
_ANSWER_CHARACTERS_MAX = 64 * 1024

BUILT_IN = {
    "kick": ("kick NAME [TEXT]", "end a player's session with KICKED"),
    "ban": ("ban NAME|ADDRESS [--for 1h] [TEXT]", "end sessions with BANNED, and refuse new ones"),
    "unban": ("unban NAME|ADDRESS", "end a ban"),
    "bans": ("bans", "list the bans: how long each lasts, and its text"),
    "say": ("say TEXT", "tell all players something, as an event `say` without a player"),
    "players": ("players [--json]", "list the players: name, slot, address, time, bytes that wait"),
    "save": ("save", "save all players now"),
    "stop": (
        "stop [--drain|--keep|--cancel] [--in 5m] [TEXT]",
        "stop the server; --drain: when all have left, --keep: players stay in over the next start",
    ),
    "restart": ("restart", "check the code as it is now, and start it; the players stay in"),
    "help": ("help", "list the commands"),
}
"""The commands of every server, by name: each with its parameters, and what it does. No game can have these names."""
OF_A_REPLAY = {
    "ban": ("ban ADDRESS [--for 1h] [TEXT]", "end sessions with BANNED, and refuse new ones"),
    "unban": ("unban ADDRESS", "end a ban"),
    "bans": BUILT_IN["bans"],
    "players": ("players [--json]", "list the watchers: address, time, bytes that wait"),
    "stop": ("stop [--drain|--cancel] [--in 5m] [TEXT]", "stop the replay; --drain: when all have left"),
    "help": BUILT_IN["help"],
}
"""The commands of BUILT_IN that a replay takes."""
_OF_THE_ZONE = ("kick", "ban", "unban", "bans", "say", "save", "stop")


class _EndSession(Protocol):
    def __call__(self, ref: int, reason: CloseReason | GameReason, text: str) -> None: ...


class _RuleFailed(Protocol):
    def __call__(self, what: str, error: BaseException, **about: object) -> None: ...


class Commands:
    """Runs the commands of one zone. `end` ends the session of a player, registered or in; `failed` reports a rule that
    raised; `save` saves all players, and is None where nothing can be saved."""

    def __init__(
        self,
        rules: Rules,
        frame: FrameBuilder,
        registry: PlayerRegistry,
        end: _EndSession,
        failed: _RuleFailed,
        save: Callable[[], object] | None,
    ) -> None:
        self._frame = frame
        self._registry = registry
        self._end = end
        self._failed = failed
        self.save_all = save
        self._games = commands_of(rules)
        self._unix_seconds = 0.0
        self.usages = tuple((command.usage, command.text) for command in self._games.values())
        """The commands of the game: each with its parameters, and what it does."""
        self.waiting: list[Command] = []
        """Commands that have not run yet."""
        self.results: list[tuple[int, bool, str]] = []
        """(ref, whether it was done, text) of each command that has run, until they are taken."""

    def run(self, unix_seconds: float) -> None:
        """Runs the commands that wait."""
        self._unix_seconds = unix_seconds
        while self.waiting:
            ref, words = self.waiting.pop(0)
            self.results.append((ref, *self._run(words)))

    def take_results(self) -> list[tuple[int, bool, str]]:
        """The results so far, once."""
        results, self.results = self.results, []
        return results

    def _run(self, words: Sequence[str]) -> tuple[bool, str]:
        name = words[0] if words else ""
        frame = self._frame
        events_before, frame.undo = len(frame.events), []
        try:
            if name in _OF_THE_ZONE:
                return True, getattr(self, f"_{name}")(words[1:])
            command = self._games.get(name)
            if command is None:
                raise _misused(f"there is no command {name!r:.80}")
            try:
                arguments = command.read(words[1:])
            except ValueError as error:
                raise _misused(f"{command.usage}: {error}") from None
            answer = command.handler(*arguments)
            return True, "" if answer is None else str(answer)[:_ANSWER_CHARACTERS_MAX]
        except Refused as refused:
            frame.take_back(events_before)
            return False, _text_of(refused)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            frame.take_back(events_before)
            self._failed(f"the command {' '.join(words)!r:.80}", error, command=name)
            return False, f"the game failed: {raised_by(error)}"
        finally:
            frame.undo = None

    # --- The commands of every zone ---------------------------------------------------------------

    def _kick(self, words: Sequence[str]) -> str:
        if not words:
            raise _misused(f"{BUILT_IN['kick'][0]}: NAME is missing")
        name, text = words[0], _said(words[1:], "kick")
        ref = self._registry.ref_of(name)
        if ref is None:
            raise Refused(RefusalCode.NO_TARGET, f"there is no player {name!r:.80} in the zone")
        self._end(ref, GameReason(KICKED), text or "an operator ended the session")
        return f"{name} is kicked"

    def _ban(self, words: Sequence[str]) -> str:
        try:
            ban = read_ban(words)
        except ValueError as error:
            raise _misused(f"{BUILT_IN['ban'][0]}: {error}") from None
        registry = self._registry
        done = registry.bans.order(ban, self._unix_seconds)
        named = registry.ref_of(ban.banned)
        refs = registry.refs_from(ban.banned) if ban.is_address else [] if named is None else [named]
        for ref in refs:
            self._end(ref, CloseReason.BANNED, ban.text)
        ended = f", {len(refs)} player{'' if len(refs) == 1 else 's'} ended" if ban.is_address else ""
        return f"{done}{ended}; a restart without a journal forgets the ban"

    def _unban(self, words: Sequence[str]) -> str:
        try:
            return self._registry.bans.lift(words, self._unix_seconds)
        except ValueError as error:
            raise _misused(f"{BUILT_IN['unban'][0]}: {error}") from None

    def _bans(self, words: Sequence[str]) -> str:
        _no_more(words, "bans")
        return self._registry.bans.listed(self._unix_seconds)

    def _say(self, words: Sequence[str]) -> str:
        text = _said(words, "say")
        if not text:
            raise _misused(f"{BUILT_IN['say'][0]}: TEXT is missing")
        self._frame.event(None, None, "say", text)
        return ""

    def _save(self, words: Sequence[str]) -> str:
        _no_more(words, "save")
        if self.save_all is None:
            raise Refused("NO_STORE", "this server keeps no players, so there is nothing to save")
        self.save_all()
        return "all players are on their way to the store"

    def _stop(self, words: Sequence[str]) -> str:
        """Lets no new players in (`--drain`), or lets them in again (`--cancel`). The server does the rest."""
        self._registry.is_draining = "--drain" in words
        return ""


def _misused(text: str) -> Refused:
    return Refused(USAGE, text)


def _said(words: Sequence[str], command: str) -> str:
    """What an operator tells players: the words as one text."""
    try:
        return parse_said(words)
    except ValueError as error:
        raise _misused(f"{BUILT_IN[command][0]}: {error}") from None


def _no_more(words: Sequence[str], command: str) -> None:
    if words:
        raise _misused(f"{BUILT_IN[command][0]}: {words[0]!r:.80} is one word too many")


def _text_of(refused: Refused) -> str:
    """Code and text of a refusal. A game may define one of its own, whose text raises."""
    try:
        text = f"{refused.code}: {refused.text}" if refused.text else f"{refused.code}"
        return text[:_ANSWER_CHARACTERS_MAX]
    except Exception:
        return "the refusal cannot be shown"
