"""What the words on the screen mean. Everything here is pure."""

from __future__ import annotations

from rich.text import Text

from zonetools.dashboard.data.monitor import ServerState
from zonetools.dashboard.screen import processes, replay

_HELP = """\
players      in the zone, and the most that it admits
tick p99     99 % of ticks in 10 s took less. Fine is below
             50 % of the budget, busy below 90 %, then over
rules, ...   mean time of each part of a tick
ingest*      CPU time between ticks; not a part of the tick
deliveries   records in the frames, times the receivers
amplified    deliveries out per action in
encodes/tick 1.00: each tick is encoded once for everybody
behind       sessions that skip frames: their send waits
skipped      frames that those sessions did not get
dilation     below 100 %: time runs slower to bear the load
the map      where players are; colour: players in one cell
sessions     tab shows them; < > sort by another column;
             arrows select one, enter shows its details,
             k kicks its player, on the server's machine
  rtt        round trip, as the server's kernel measures it
  actions    actions in since the player joined
closes       sessions that ended, and why
reset        forgets the past; totals start at zero"""
_LABEL = 13


def help_lines(server: ServerState) -> list[Text]:
    """A line for each word, then what the words of the panels mean that only some servers have."""
    lines = _HELP.splitlines()
    if server.samples and server.samples[-1].stats.replay:
        # These take the place of what players and ticks are.
        lines[:3] = replay.HELP.splitlines()
    if processes.rows_of(server):
        lines += processes.HELP.splitlines()
    if server.ports:
        lines += processes.PORTS_HELP.splitlines()
    return [Text(line[:_LABEL], "bold").append(line[_LABEL:], "not bold") for line in lines]
