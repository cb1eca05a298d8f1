"""The plan of a run: its mix, its shares, its target."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zonetools.swarm.hostile.roles import HOSTILE_ROLES
from zonetools.swarm.plan import DEFAULT_MIX, Plan, check_target, parse_mix, parse_web

MIXES = st.dictionaries(
    st.sampled_from(["walker", "fighter", "chatty"]), st.integers(0, 12), min_size=1, max_size=3
).filter(lambda mix: any(mix.values()))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("dancer=3", "no role 'dancer'; the roles are walker, fighter, chatty"),
        ("walker", "'walker' is not of the form role=share"),
        ("walker=", "not of the form"),
        ("walker=-1", "not of the form"),
        ("walker=1.5", "not of the form"),
        ("walker=²", "not of the form"),
        ("walker=0", "at least one share above zero"),
        ("walker=0,chatty=0", "at least one share above zero"),
        ("", "no role ''"),
        ("walker=1,", "no role ''"),
        ("stuck=1", "needs an honest role"),
        ("walker=0,stuck=1,flood=2", "needs an honest role"),
        ("walker=1,chatty=2,walker=3", "the role 'walker' appears twice"),
    ],
)
def test_parse_mix_explains_an_invalid_mix(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_mix(text)


@given(mix=MIXES, mixes=st.integers(1, 4), start=st.integers(0, 100))
def test_whole_repetitions_of_the_mix_have_exact_shares(mix: dict[str, int], mixes: int, start: int) -> None:
    plan, whole = Plan(mix=mix), sum(mix.values())
    roles = Counter(plan.role(number) for number in range(start, start + mixes * whole))
    assert roles == Counter({role: share * mixes for role, share in mix.items() if share})


@given(mix=MIXES)
def test_roles_are_spread_evenly(mix: dict[str, int]) -> None:
    plan, whole = Plan(mix=mix), sum(mix.values())
    counts: Counter[str] = Counter()
    for number in range(2 * whole):
        counts[plan.role(number)] += 1
        for role, share in mix.items():
            # With three roles a role is never a whole bot ahead of its share, or more than one and a half bots behind.
            assert -1.5 <= counts[role] - share * (number + 1) / whole <= 1


@given(seed=st.integers(0, 2**31), rate=st.floats(0.01, 1000), number=st.integers(0, 10**6))
def test_phase_is_within_the_period_and_repeatable(seed: int, rate: float, number: int) -> None:
    phase = Plan(seed=seed, rate=rate).phase(number)
    assert 0 <= phase < 1 / rate
    assert phase == Plan(seed=seed, rate=rate).phase(number)


def test_phases_are_spread_over_the_period() -> None:
    plan = Plan(rate=2.0)
    tenths = Counter(int(plan.phase(number) * 20) for number in range(1000))
    assert sorted(tenths) == list(range(10))
    assert min(tenths.values()) > 50


@given(bots=st.integers(1, 200), processes=st.integers(1, 9))
def test_each_bot_belongs_to_one_process(bots: int, processes: int) -> None:
    plan = Plan(bots=bots, processes=processes)
    shares = [list(plan.numbers(process)) for process in range(processes)]
    assert sorted(itertools.chain(*shares)) == list(range(bots))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_plan_without_a_mix_has_the_default_mix() -> None:
    assert Plan().mix == parse_mix(DEFAULT_MIX)


def test_names_are_unique_and_fit_the_protocol() -> None:
    plan = Plan(bots=20_000)
    names = {plan.name(number) for number in range(0, 20_000, 7)}
    assert len(names) == len(range(0, 20_000, 7))
    assert max(map(len, names)) <= 24
    assert Plan(bots=65_000, mix={"mybots:" + "Walker" * 9: 1}).name(64_999) == "WalkerWalkerWalker-64999"


ANY_ROLE = ["walker", "fighter", "chatty", *HOSTILE_ROLES]


def test_mix_may_contain_hostile_roles() -> None:
    plan = Plan(bots=1000, mix=parse_mix("walker=90,stuck=5,flood=5"))
    assert plan.hostile == {"stuck": 50, "flood": 50}
    assert plan.honest == Plan(bots=900, mix={"walker": 90})
    names = (
        "stuck slow flood private tiny garbage oversize slowloris spoof misfit teleport watcher outdated options "
        "reset churn slowupgrade unmasked text fragments pings badclose"
    )
    assert " ".join(HOSTILE_ROLES) == names
    assert parse_mix(",".join(f"{role}=1" for role in ANY_ROLE)) == dict.fromkeys(ANY_ROLE, 1)


@given(mix=st.dictionaries(st.sampled_from(ANY_ROLE), st.integers(0, 9), max_size=5), bots=st.integers(1, 120))
def test_every_bot_is_either_honest_or_hostile(mix: dict[str, int], bots: int) -> None:
    plan = Plan(bots=bots, mix={"walker": 1} | mix | {"chatty": 1})
    roles = Counter(plan.role(number) for number in range(bots))
    assert plan.hostile == {role: count for role, count in roles.items() if role in HOSTILE_ROLES}
    assert plan.honest.bots + sum(plan.hostile.values()) == bots
    assert not plan.honest.hostile
    assert plan.honest.honest == plan.honest
    assert {role for role in roles if role not in HOSTILE_ROLES} <= set(plan.honest.mix)


def test_default_mix_is_honest() -> None:
    assert not Plan().hostile
    assert Plan().honest == Plan()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.255.0.1", "::1"])
def test_this_machine_needs_no_confirmation(host: str) -> None:
    check_target(Plan(host=host), yes_remote=False)
    check_target(Plan(host=host, mix=parse_mix("walker=1,flood=1")), yes_remote=False)


@pytest.mark.parametrize(
    "host",
    [
        "192.0.2.1",
        "0.0.0.0",
        "::",
        "2001:db8::1",
        "zone.example",
        "localhost.example",
        "127.0.0.1.example",
        "",
        "127.1",
    ],
)
def test_another_machine_needs_confirmation_and_no_hostile_bots(host: str) -> None:
    with pytest.raises(ValueError, match="is not this machine; --yes-remote"):
        check_target(Plan(host=host), yes_remote=False)
    check_target(Plan(host=host), yes_remote=True)
    with pytest.raises(ValueError, match="hostile bots attack only this machine"):
        check_target(Plan(host=host, mix=parse_mix("walker=1,flood=1")), yes_remote=True)


# --- The way in -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "which"), [("100%", 1.0), ("12.5%", 0.125), ("200", 200), ("1k", 1000)])
def test_web_is_a_share_or_a_number(text: str, which: float) -> None:
    assert (parse_web(text), type(parse_web(text))) == (which, type(which))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("0%", "not above zero"),
        ("101%", "at most 100"),
        ("0", "not above zero"),
        ("some", "a count"),
        ("%", "a number"),
    ],
)
def test_parse_web_explains_an_invalid_share(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_web(text)


@given(bots=st.integers(1, 300), percent=st.integers(0, 100), seed=st.integers(0, 9))
def test_as_many_bots_come_over_web_socket_as_the_share_says(bots: int, percent: int, seed: int) -> None:
    plan = Plan(bots=bots, web=percent / 100, seed=seed)
    assert sum(map(plan.is_web, range(bots))) == round(bots * percent / 100)
    assert all(plan.web_host(number) == (plan.address if plan.is_web(number) else "") for number in range(bots))


def test_every_role_and_every_process_has_bots_of_both_ways() -> None:
    plan = Plan(bots=400, web=0.5, processes=2, mix={"walker": 1, "chatty": 1})
    ways = {(plan.role(number), process, plan.is_web(number)) for process in (0, 1) for number in plan.numbers(process)}
    # Roles and processes alternate alike in this mix.
    assert len({way[1:] for way in ways}) == len({way[::2] for way in ways}) == 4
