"""The demo game: a crowded square where people walk, talk, wave, and fight a little.

One unit is a centimetre. All numbers of the game are at the top of the class.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from zoneserver.protocol.world import VELOCITY_MAX
from zoneserver.zone.rules import Between, Player, Refused, Rules, Speed, Text, action

__all__ = ["Plaza"]

EMOTES = ("wave", "bow", "laugh", "cheer", "dance", "sit")


class Plaza(Rules):
    """Walk, strike, throw bolts, heal, talk and wave on a square of 100 by 100 metres."""

    name = "plaza"
    width, height = 10_000, 10_000
    stats: ClassVar = {"hp": 100, "kills": 0}

    SPEED_CM_PER_S = 500
    HP_MAX = 100
    RESPAWN_S = 3.0
    STRIKE_RANGE, STRIKE_DAMAGE, STRIKE_COOLDOWN_S = 250, 15, 0.5
    BOLT_RANGE, BOLT_DAMAGE, BOLT_COOLDOWN_S = 2_000, 20, 1.5
    BOLT_CM_PER_S = 2_000
    HEAL_RANGE, HEAL_AMOUNT, HEAL_COOLDOWN_S = 1_000, 25, 3.0

    def on_start(self) -> None:
        # Rounded up, so that the tick rate makes no player slower than SPEED_CM_PER_S.
        self.speed_max = min(VELOCITY_MAX, -(-self.SPEED_CM_PER_S // self.hz))
        # The tick from which on a player may use a skill again.
        self.ready: dict[tuple[Player, str], int] = {}

    def on_join(self, player: Player) -> None:
        self.appear(player)

    def on_leave(self, player: Player) -> None:
        for skill in ("strike", "bolt", "heal"):
            self.ready.pop((player, skill), None)

    # --- Checkpoints ------------------------------------------------------------------------------

    def save(self) -> Any:
        return [[player.slot, skill, tick] for (player, skill), tick in self.ready.items() if tick > self.tick]

    def load(self, value: Any) -> None:
        self.ready = {(self.players[slot], skill): tick for slot, skill, tick in value}

    def on_restore(self) -> None:
        for player in self.players.values():
            if player["hp"] == 0:
                self.respawn(player)

    # --- Actions ----------------------------------------------------------------------------------

    @action
    def move(self, player: Player, vx: Speed, vy: Speed) -> None:
        """Sets the velocity, in centimetres per tick; (0, 0) stands still."""
        self.require_alive(player)
        if vx * vx + vy * vy > self.speed_max * self.speed_max:
            raise Refused("TOO_FAST", f"at most {self.speed_max} cm per tick", violation=True)
        player.move(vx, vy)

    @action
    def strike(self, player: Player, target: Player) -> tuple[int]:
        """Hits a player within arm's reach."""
        self.require_another(player, target)
        self.use_skill(player, "strike", target, self.STRIKE_RANGE, self.STRIKE_COOLDOWN_S)
        self.hurt(target, self.STRIKE_DAMAGE, by=player)
        return (target.slot,)

    @action
    def bolt(self, player: Player, target: Player) -> tuple[int, int]:
        """Throws a bolt, which follows its target. Returns the target's slot and the ticks of flight."""
        self.require_another(player, target)
        self.use_skill(player, "bolt", target, self.BOLT_RANGE, self.BOLT_COOLDOWN_S)
        flight = max(1, round(player.distance_to(target) / self.BOLT_CM_PER_S * self.hz))
        self.after(flight, self.land, player, target)
        return target.slot, flight

    @action
    def heal(self, player: Player, target: Player) -> tuple[int]:
        """Heals a near player, or the player themselves."""
        self.use_skill(player, "heal", target, self.HEAL_RANGE, self.HEAL_COOLDOWN_S)
        target["hp"] = min(self.HP_MAX, target["hp"] + self.HEAL_AMOUNT)
        return (target.slot,)

    @action
    def say(self, player: Player, text: Annotated[str, Text(200)]) -> None:
        """Says a line to all players: the event of this action carries the text."""

    @action
    def emote(self, player: Player, which: Annotated[int, Between(0, len(EMOTES) - 1)]) -> None:
        """Shows an emote to all players; `which` is an index in EMOTES."""

    # --- Effects ----------------------------------------------------------------------------------

    def appear(self, player: Player) -> None:
        player.place(self.random.randrange(self.width + 1), self.random.randrange(self.height + 1))

    def require_alive(self, player: Player) -> None:
        if player["hp"] <= 0:
            raise Refused("DEAD", "wait for the respawn")

    def require_another(self, player: Player, target: Player) -> None:
        if target is player:
            raise Refused("SELF", "choose another player", violation=True)

    def use_skill(self, player: Player, skill: str, target: Player, reach: int, cooldown_s: float) -> None:
        """Starts the cooldown of a skill. Raises Refused if the player may not use it on this target now."""
        self.require_alive(player)
        ready = self.ready.get((player, skill), 0)
        if self.tick < ready:
            raise Refused("COOLDOWN", f"ready again in {ready - self.tick} ticks")
        if target["hp"] <= 0:
            raise Refused("TARGET_DEAD")
        if player.distance_to(target) > reach:
            raise Refused("OUT_OF_RANGE", f"{skill} reaches {reach} cm")
        self.ready[player, skill] = self.tick + round(cooldown_s * self.hz)

    def hurt(self, target: Player, damage: int, by: Player) -> None:
        target["hp"] = max(0, target["hp"] - damage)
        # The attacker may have left meanwhile, and another player may have the slot.
        self.emit("hit", by.slot if by.present else None, target.slot, damage)
        if target["hp"] == 0:
            self.die(target, by)

    def die(self, target: Player, by: Player) -> None:
        if by.present:
            by["kills"] += 1
        self.emit("death", target.slot, by.slot if by.present else None)
        target.place(*target.position)
        self.after(round(self.RESPAWN_S * self.hz), self.respawn, target)

    # --- Timers -----------------------------------------------------------------------------------

    def land(self, player: Player, target: Player) -> None:
        """A bolt reaches its target."""
        if target.present and target["hp"] > 0:
            self.hurt(target, self.BOLT_DAMAGE, by=player)

    def respawn(self, target: Player) -> None:
        if target.present:
            self.appear(target)
            target["hp"] = self.HP_MAX
            self.emit("respawn", target.slot)
