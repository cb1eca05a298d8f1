"""An index of places: it finds the slots near a point without a look at every slot.

The zone is divided into square cells, and each slot is filed in its cell. Motion is a function of time, so
the tick in which a mover enters another cell is known when its motion is set: it is filed again in that tick, or when
its motion changes, and costs nothing in between.
"""

from __future__ import annotations

import math

from zoneserver.protocol.world import World

__all__ = ["CellIndex"]

# Cells along the longer side of the zone. With more cells, a search looks at fewer slots, but movers are filed more
# often.
_CELLS = 48

# The motion of a slot as its cell keeps it: x, y, vx, vy, since.
_Motion = tuple[int, int, int, int, int]


class CellIndex:
    """The slots of a world by place. The world tells it in `World.touched` what has changed.

    >>> from zoneserver.protocol.zone_info import ZoneInfo
    >>> world = World(ZoneInfo(width=1000, height=1000))
    >>> index = CellIndex(world)
    >>> for slot, x in enumerate((100, 160, 900)):
    ...     world.join(slot, f"player {slot}")
    ...     world.place(slot, x, 100)
    >>> index.near(120, 100, 50)
    [0, 1]
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._side = max(1, -(-max(world.width, world.height) // _CELLS))
        self._columns = world.width // self._side + 1
        self._rows = world.height // self._side + 1
        # The slots in each cell that is not empty, by row * columns + column.
        self._cells: dict[int, dict[int, _Motion]] = {}
        # The cell of each slot.
        self._filed: dict[int, int] = {}
        # The slots that enter another cell in a tick, unless their motion changes before.
        self._crossings: dict[int, list[int]] = {}
        self._tick = world.tick
        self._touched = world.touched = set(world.slots())

    def near(self, x: int, y: int, radius: float) -> list[int]:
        """The slots within `radius` of (x, y), its end included, in rising order."""
        self._refresh()
        side, cells, reach = self._side, self._cells, radius * radius
        step, ticks, tick = self._world.step, self._world.step_ticks, self._world.tick
        width, height = self._world.width, self._world.height
        left, right = max(0, int((x - radius) // side)), min(self._columns - 1, int((x + radius) // side))
        top, bottom = max(0, int((y - radius) // side)), min(self._rows - 1, int((y + radius) // side))
        if (right - left + 1) * (bottom - top + 1) > len(cells):
            numbers = list(cells)
        else:
            columns = self._columns
            numbers = [row * columns + column for row in range(top, bottom + 1) for column in range(left, right + 1)]
        found = []
        for number in numbers:
            cell = cells.get(number)
            if cell is None:
                continue
            for slot, (start_x, start_y, vx, vy, since) in cell.items():
                at_x, at_y = start_x, start_y
                if vx or vy:
                    # As in World.position, which a call for each slot would make three times as slow.
                    steps = (tick - since) * step
                    dx, dy = vx * steps, vy * steps
                    if ticks != 1:
                        dx = dx // ticks if dx >= 0 else -(-dx // ticks)
                        dy = dy // ticks if dy >= 0 else -(-dy // ticks)
                    at_x += dx
                    at_y += dy
                    at_x = 0 if at_x < 0 else width if at_x > width else at_x
                    at_y = 0 if at_y < 0 else height if at_y > height else at_y
                at_x -= x
                at_y -= y
                if at_x * at_x + at_y * at_y <= reach:
                    found.append(slot)
        found.sort()
        return found

    def _refresh(self) -> None:
        """Files again each slot that has entered another cell or changed its motion since the last call."""
        world, touched = self._world, self._touched
        if self._tick != world.tick:
            for tick in range(self._tick + 1, world.tick + 1):
                touched.update(self._crossings.pop(tick, ()))
            self._tick = world.tick
        for slot in touched:
            self._file(slot)
        touched.clear()

    def _file(self, slot: int) -> None:
        world, cells = self._world, self._cells
        before = self._filed.pop(slot, None)
        if before is not None:
            cell = cells[before]
            del cell[slot]
            if not cell:
                del cells[before]
        if not world.has(slot):
            return
        x, y = world.position(slot)
        column, row = x // self._side, y // self._side
        number = self._filed[slot] = row * self._columns + column
        motion = start_x, start_y, vx, vy, since = world.motion(slot)
        if number in cells:
            cells[number][slot] = motion
        else:
            cells[number] = {slot: motion}
        ticks = min(
            self._ticks_to_leave(start_x, vx, column, self._columns) if vx else math.inf,
            self._ticks_to_leave(start_y, vy, row, self._rows) if vy else math.inf,
        )
        if ticks != math.inf:
            self._crossings.setdefault(since + int(ticks), []).append(slot)

    def _ticks_to_leave(self, start: int, velocity: int, cell: int, cells: int) -> float:
        """After how many ticks a motion along one axis leaves its cell; infinite if it ends at the zone's border."""
        if velocity > 0:
            distance = (cell + 1) * self._side - start
            if cell == cells - 1:
                return math.inf
        else:
            velocity = -velocity
            distance = start - cell * self._side + 1
            if cell == 0:
                return math.inf
        # The first tick in which the distance, rounded towards zero, has been covered.
        return -(-distance * self._world.step_ticks // (velocity * self._world.step))
