"""A scripted player: a behaviour decides what it does, a tracker accounts for each of its actions."""

from __future__ import annotations

import random
import socket
import struct
import time
from typing import Any, Protocol

from zoneclient.bots.action_tracker import ActionCounts, ActionTracker
from zoneclient.protocol import ClientProtocol
from zoneclient.replica import Replica
from zoneserver.protocol.messages import Answered, Refusal, Welcome, encode_act
from zoneserver.protocol.values import Value

__all__ = ["Behaviour", "Bot", "Decision"]

Decision = tuple[str, tuple[Value, ...]]
"""What a behaviour decides to do: the kind of an action and its arguments."""

_RESET_ON_CLOSE = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Behaviour(Protocol):
    """Decides what a bot does when its next action is due. Each bot has a behaviour object of its own.

    >>> class Greeter(Behaviour):
    ...     def decide(self, bot: Bot, replica: Replica) -> Decision | None:
    ...         return "say", (f"hello from {bot.name}",)

    `zone-swarm --bot mybots:Greeter` runs a thousand bots of the class Greeter in `mybots.py`.

    A class may also have these methods; what a class does not have costs nothing.

    | method | called |
    |---|---|
    | `on_event(bot, event)` | for each `Event` of each frame, also for those of the bot itself |
    | `on_told(bot, told)` | for what the game tells this bot alone: it has `told.kind` and `told.values` |
    | `on_refused(bot, refusal)` | for a refused action, and for a warning: it has `refusal.code` and `refusal.text` |

    The bots of a class with `resumes = True` come back after a lost connection, also without `zone-swarm --resume`.
    """

    def decide(self, bot: Bot, replica: Replica) -> Decision | None:
        """Return the next action, or None to do nothing this time."""


class Bot(ClientProtocol):
    """A player that acts when it is told that an action is due.

    A subclass reads the frames, keeps `replica`, and reports the actions of this bot that frames contain to `tracker`.
    A behaviour may use `bot.slot`, `bot.name`, `bot.welcome`, `bot.random`, `bot.replica`, `bot.act` and `bot.drop`.
    `settings` are those of `ClientProtocol`.

    >>> def move_anywhere(bot: Bot) -> Decision:
    ...     return "move", (bot.random.randint(-9, 9), bot.random.randint(-9, 9))
    """

    def __init__(
        self,
        name: str,
        behaviour: Behaviour,
        counts: ActionCounts,
        seed: int,
        **settings: Any,
    ) -> None:
        super().__init__(name, **settings)
        self.behaviour = behaviour
        self.tracker = ActionTracker(counts)
        self.random = random.Random(seed)
        self.slot = -1
        """The slot of this bot in the frames; -1 before the welcome."""
        self.replica: Replica
        """The state of the zone, set by the welcome. Bots may share it: it may be a tick ahead of this bot."""

    def on_welcome(self, welcome: Welcome) -> None:
        assert welcome.slot is not None, "a bot does not watch"
        self.slot = welcome.slot

    def perform(self, due: float, replica: Replica) -> None:
        """Do what the behaviour decides, in one packet. Its latency counts from `due`."""
        decision = self.behaviour.decide(self, replica)
        if decision is None or self.bye is not None:
            return
        kind, arguments = decision
        self._act(due, kind, arguments)

    def act(self, kind: str, *arguments: Value) -> int:
        """Do an action now, beside those that the behaviour decides; return its sequence."""
        return self._act(time.monotonic(), kind, arguments)

    def _act(self, due: float, kind: str, arguments: tuple[Value, ...]) -> int:
        # A packet of its own, without the timer that `send_action` sets for the end of the client frame.
        action, seq = self.encoded(kind, *arguments), self.next_seq
        self.next_seq += 1
        self.tracker.record_sent(seq, kind, due, time.monotonic(), action)
        self.send(encode_act(seq, [action]))
        return seq

    def drop(self, deaf_seconds: float = 0.0) -> None:
        """Reset the connection, as a failing network does.

        Before that the bot hears nothing for `deaf_seconds`, while what it does still arrives.
        """
        if self.is_lost:
            return
        if deaf_seconds:
            self.transport.pause_reading()
            self.loop.call_later(deaf_seconds, self.drop)
            return
        self.transport.get_extra_info("socket").setsockopt(*_RESET_ON_CLOSE)
        self.abort()

    def on_refused(self, refusal: Refusal) -> None:
        self.tracker.record_refused(refusal)

    def on_answered(self, answered: Answered) -> None:
        self.on_latency(self.tracker.record_answered(answered.seq, time.monotonic()))

    def on_latency(self, microseconds: int | None) -> None:
        """An action of this bot was seen or answered after so long; None if its time does not count."""
