"""`zoneserver journal info|check|cut`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.journals import HEADER, checkpoint_of, journal_of, places, read, tick_of

from zoneserver.cli.main import main
from zoneserver.journal.writer import Journal


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A journal of two segments, which begin at the ticks 0 and 3 and end at tick 8."""
    journal_of(tmp_path, HEADER, checkpoint_of(0), *map(tick_of, (1, 2, 3)))
    second = HEADER._replace(epoch=2, unix_seconds=1001.0)
    journal_of(tmp_path, second, checkpoint_of(3), *map(tick_of, (4, 5)), checkpoint_of(5), *map(tick_of, (6, 7, 8)))
    return tmp_path


def last_segment(directory: Path) -> Path:
    return directory / "000000000003.zlog"


def damage(path: Path, record: int) -> int:
    """Changes a byte of a record; returns the place of the record."""
    content = bytearray(path.read_bytes())
    place = places(content)[record]
    content[place + 15] ^= 1
    path.write_bytes(content)
    return place


def test_info_tells_what_the_journal_holds(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with last_segment(directory).open("ab") as file:
        file.write(b"torn")
    size = sum(path.stat().st_size for path in directory.glob("*.zlog"))
    an_hour = size * 1800 / 1024**2
    assert main(["journal", "info", str(directory)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "game         yard (yard:Yard, code c0de)",
        "written by   zoneserver 1, Python 3",
        "ticks        0 to 8: 2s at 4 Hz",
        "time         1970-01-01 00:16:40 UTC to 1970-01-01 00:16:42 UTC",
        f"size         {size / 1024:.2f} KiB in 2 segments, {an_hour:.2f} MiB an hour; 4 bytes at the end are torn",
        "checkpoints  3, the newest of them at tick 5",
        "epochs       1 to 2, one for each start of the server",
    ]
    assert main(["journal", "info", str(directory), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["schema"] == "zone-journal/1"
    assert (facts["first_tick"], facts["last_tick"], facts["checkpoints"], facts["torn_bytes"]) == (0, 8, 3, 4)
    assert [segment["epoch"] for segment in facts["segments"]] == [1, 2]


def test_check_of_a_whole_journal_succeeds_with_a_torn_end_too(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["journal", "check", str(directory)]) == 0
    whole = capsys.readouterr().out
    assert whole.startswith("8 ticks in 2 segments, ")
    assert whole.endswith(": nothing is broken\n")
    path = last_segment(directory)
    path.write_bytes(path.read_bytes()[:-1])
    (directory / "000000000008.zlog").write_bytes(b"ZONE")
    assert main(["journal", "check", str(directory)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("7 ticks in 2 segments, ")
    assert first.endswith(": nothing is broken")
    assert second == "73 bytes at the end are torn, as when a server is killed in a write: the next start cuts them off"


def test_check_names_each_broken_place(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, last = directory / "000000000000.zlog", last_segment(directory)
    one, two, three = damage(first, 5), damage(last, 4), damage(last, 10)
    assert main(["journal", "check", str(directory)]) == 1
    lines = capsys.readouterr().out.splitlines()
    broken = f"{first}:{one}", f"{last}:{two}", f"{last}:{three}"
    assert lines[:3] == [f"{place}: the checksum of the record is wrong" for place in broken]
    assert lines[3].startswith("5 ticks in 2 segments, ")
    assert lines[3].endswith(": 3 places are broken")
    assert lines[4].endswith(f"zoneserver journal cut {directory} --at 000000000000.zlog:{one}")


def test_check_tells_a_broken_place_from_a_torn_end(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = last_segment(directory)
    place = damage(path, 4)
    path.write_bytes(path.read_bytes()[:-1])
    assert main(["journal", "check", str(directory)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{path}:{place}: the checksum of the record is wrong"
    assert lines[1].endswith(": 1 place is broken")
    assert lines[3].startswith("69 bytes at the end are torn")


def test_check_finds_a_missing_segment(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal_of(directory, HEADER, checkpoint_of(8), tick_of(9))
    last_segment(directory).unlink()
    assert main(["journal", "check", str(directory)]) == 1
    assert "000000000008.zlog:0: the segment before it ends at tick 3" in capsys.readouterr().out


def test_cut_takes_a_torn_end_off(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = last_segment(directory)
    path.write_bytes(path.read_bytes()[:-1])
    assert main(["journal", "cut", str(directory)]) == 0
    assert capsys.readouterr().out == f"cut 69 bytes off the end of {path}\nthe journal ends at tick 7\n"
    assert main(["journal", "cut", str(directory)]) == 0
    whole = "there was nothing to cut off: the journal ends with a whole tick, and nothing in it is broken"
    assert capsys.readouterr().out == f"{whole}\nthe journal ends at tick 7\n"


def test_cut_of_a_journal_that_is_broken_elsewhere_says_so(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = damage(directory / "000000000000.zlog", 4)
    assert main(["journal", "cut", str(directory)]) == 1
    err = capsys.readouterr().err
    assert "no end is torn, but the journal is broken elsewhere" in err
    assert f"zoneserver journal cut {directory} --at 000000000000.zlog:{place}" in err


@pytest.mark.parametrize(
    ("file", "record", "last_tick", "lost"),
    [
        ("000000000003.zlog", 11, 5, 2),  # The output of tick 6.
        ("000000000003.zlog", 2, 3, 5),  # The state at the start: nothing is left of the segment
        ("000000000000.zlog", 6, 1, 6),
    ],
)
def test_cut_at_a_broken_place_drops_everything_behind_it_once_it_is_confirmed(
    directory: Path, capsys: pytest.CaptureFixture[str], file: str, record: int, last_tick: int, lost: int
) -> None:
    place = damage(directory / file, record)
    command = ["journal", "cut", str(directory), "--at", f"{file}:{place}"]
    assert main(command) == 1
    dropped = f"{lost} whole ticks behind tick {last_tick}"
    assert f"the cut would drop {dropped}: say --yes" in capsys.readouterr().err
    assert main([*command, "--yes"]) == 0
    assert capsys.readouterr().out == f"dropped {dropped}: the journal ends there\n"
    assert main(["journal", "check", str(directory)]) == 0
    assert read(directory)[-1].tick == last_tick  # type: ignore[union-attr]
    assert len(list(directory.glob("*.zlog"))) == (2 if last_tick > 3 else 1)
    Journal.open(directory).close()


def test_cut_that_makes_no_sense_is_refused(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = damage(last_segment(directory), 4)
    for arguments, code, text in (
        (["cut", str(directory), "--at", "000000000000.zlog"], 2, "is no place in"),
        (["cut", str(directory), "--at", "000000000009.zlog:5"], 2, "is no place in"),
        (["check", str(directory), "--at", "x:1"], 2, "--at is for `zoneserver journal cut`"),
        (["cut", str(directory), "--at", "000000000000.zlog:0", "--yes"], 3, "nothing would be left of the journal"),
        (["cut", str(directory), "--at", f"000000000003.zlog:{place - 1}", "--yes"], 3, "no record begins at offset"),
        (["cut", str(directory), "--at", "000000000003.zlog:999999", "--yes"], 3, f"wrong (offset {place})"),
        (["cut", str(directory)], 3, f"the checksum of the record is wrong (offset {place})"),
        (["cut", str(directory)], 3, f"broken there; `zoneserver journal check {directory}` says what can be done"),
        (["cut", str(directory / "none")], 3, "No such file or directory"),
    ):
        assert main(["journal", *arguments]) == code
        assert text in capsys.readouterr().err
    assert len(list(directory.glob("*.zlog"))) == 2


def test_cut_of_a_journal_that_a_server_has_is_refused(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = Journal.open(directory)
    assert main(["journal", "cut", str(directory)]) == 3
    assert "another process has this journal (pid " in capsys.readouterr().err
    assert main(["journal", "check", str(directory)]) == 0
    journal.close()


@pytest.mark.parametrize("what", ["info", "check", "cut"])
def test_directory_without_a_journal_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    assert main(["journal", what, str(tmp_path)]) == 3
    assert f"there is no journal in {tmp_path}" in capsys.readouterr().err
