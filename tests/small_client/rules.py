"""The rules that the small client keeps. Each can be broken, as a stranger who writes a client might break it."""

from __future__ import annotations

__all__ = ["RULES", "Breakable", "MessageError"]

RULES = {
    # --- Reading values ---
    "int 32": "d2 may hold a number that is positive",
    "int 64": "d3 may hold a number that is positive",
    "float 32": "a float may have 32 bits",
    "str 8": "a text may have a header of two bytes",
    "str 16": "a text may have a header of three bytes",
    "bin 16": "a bin may have a header of three bytes",
    "array 16": "an array may have a header of three bytes",
    "array 32": "an array may have a header of five bytes",
    "maps": "a message has no map",
    "utf-8": "a text is UTF-8",
    "behind": "nothing stands behind a message",
    # --- Reading messages ---
    "later elements": "elements behind those listed are ignored",
    "later ops": "a message of another op is ignored",
    "token": "a token has 16 bytes",
    "within": "an array within a message has exactly the elements listed",
    "bool": "true is no integer",
    "integer": "1.0 is no integer",
    "dilation": "the dilation is 1 to 100",
    "set form": "the first byte of a set is 0 or 1",
    "set odd": "a list of slots has two bytes per slot",
    "set rising": "a list of slots rises",
    "set list": "a list of slots is little-endian",
    "set bitmap": "bit 0 of a bitmap is the lowest",
    "column whole": "a column holds whole values",
    "column length": "a column has one value per slot",
    "records": "a flat array holds whole records",
    "event": "an event has a slot and a sequence, or neither",
    "signed": "velocities are signed",
    "board value": "the board holds integers of 53 bits and texts of 256 bytes",
    "deflated op": "only SNAPSHOT and TICK are deflated",
    "split": "a payload may come in pieces",
    "length 0": "a length of 0 is an error",
    # --- The state ---
    "clamp": "positions stop at the borders",
    "64 bits": "the formula is computed in 64 bits",
    "towards zero": "the division rounds towards zero",
    "product first": "the division comes last",
    "speed_step": "a step of velocity is speed_step units per second",
    "leaves first": "leaves come before joins",
    "shorten": "free slots at the end are dropped",
    "zeros": "the numbers of a free slot are 0",
    "join since": "who joins is there since this tick",
    "first stats": "who joins has the first value of each stat",
    "first stats of the kind": "a thing has the first values of its own kind",
    "stat columns": "stat i of every kind is in column i",
    "event seq": "an event sets the sequence",
    "acted seq": "the sequence of acted counts only if it is the newer one",
    "mod": "a difference of sequences is never negative",
    "position first": "the position is computed with the old velocity",
    "acted since": "who acted moves on since this tick",
    "steered": "steered sets velocities",
    "steered seq": "steered sets no sequence",
    "placed last": "placed comes after acted",
    "placed since": "who was placed is there since this tick",
    "board": "a frame sets the board",
    "in use": "a frame names slots in use, and joins free ones",
    "known kinds": "a thing is of a kind that WELCOME names",
    "counts": "a SNAPSHOT has the stats and the board of WELCOME",
    "no gap": "a frame is that of the next tick",
    # --- The hash ---
    "joined": "no zero byte follows the last slot",
    "things hashed": "the hash covers the names of the kinds of things",
    "byte 01": "a thing begins with the byte 01",
    "board hashed": "the hash covers the board",
    "no seq hashed": "the hash covers no sequence",
    # --- One's own actions ---
    "settled by acted": "an action that is in acted happened",
    "settled by events": "an action that is in an event happened",
    "oldest": "a low byte in a frame is that of the oldest action",
    "one action": "one low byte several times in a frame is one action",
    "superseded": "an older action is superseded",
    "own slot": "only the own slot says something of one's own actions",
    "answered": "ANSWERED settles an action",
    "refused": "REFUSED names the whole sequence",
    "muted": "actions between MUTED and UNMUTED are dropped",
    "muted range": "actions outside of MUTED and UNMUTED are not dropped",
    "muted is no refusal": "MUTED and UNMUTED refuse no action",
    "snapshot": "a SNAPSHOT settles the actions up to the own sequence",
    "sent again": "an action that is sent again after a return is one action",
    "snapshot known": "a SNAPSHOT whose low byte is known says nothing new",
    # --- Names and tickets ---
    "code points": "a name has up to 24 code points",
    "zone length": "the length of the zone's name is signed",
}
"""What a client does right, by the name under which it can be broken."""


class MessageError(ValueError):
    """The server sent what no server sends."""


class Breakable:
    """Keeps every rule but the one that is named `broken`."""

    def __init__(self, broken: str = "") -> None:
        assert not broken or broken in RULES, broken
        self.broken = broken

    def keeps(self, rule: str) -> bool:
        """Whether this client keeps the rule."""
        assert rule in RULES, rule
        return rule != self.broken
