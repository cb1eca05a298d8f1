"""The guard: who is warned, muted and thrown out, and above all who is not."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.config import Limits
from zoneserver.gateway.address_limits import AddressBudgets
from zoneserver.gateway.flood_guard import FloodGuard, PenaltyLevel
from zoneserver.protocol.codes import CloseReason

LIMITS = Limits()

Spend = Callable[[FloodGuard, float], bool]

# One unit of each budget, and how many units there are at once.
BUDGETS: list[tuple[Spend, float, CloseReason]] = [
    (lambda guard, now: guard.record_packet(4, now), LIMITS.frames_burst, CloseReason.FLOOD),
    (lambda guard, now: guard.record_packet(1024, now), LIMITS.bytes_burst / 1024, CloseReason.FLOOD),
    (lambda guard, now: guard.record_actions(1, now), LIMITS.actions_burst, CloseReason.FLOOD),
    (
        lambda guard, now: guard.record_refusal("COOLDOWN", False, now),
        LIMITS.violations_burst,
        CloseReason.PROTOCOL_ERROR,
    ),
    (
        lambda guard, now: guard.record_refusal("BAD_PAYLOAD", True, now),
        LIMITS.violations_burst / 20,
        CloseReason.PROTOCOL_ERROR,
    ),
]


@pytest.mark.parametrize(("spend", "burst", "reason"), BUDGETS)
def test_level_rises_at_exactly_one_one_and_a_half_and_two_bursts(
    spend: Spend, burst: float, reason: CloseReason
) -> None:
    guard, rises = FloodGuard(LIMITS), {}
    for count in range(1, int(3 * burst) + 1):
        if spend(guard, 0.0):
            rises[guard.level] = count
    assert rises == {PenaltyLevel.WARNED: burst, PenaltyLevel.MUTED: 1.5 * burst, PenaltyLevel.OUT: 2 * burst}
    assert guard.reason is reason
    assert guard.text


RATES = [
    LIMITS.frames_per_second,
    LIMITS.bytes_per_second / 1024,
    LIMITS.actions_per_second,
    LIMITS.violations_per_second,
    LIMITS.violations_per_second / 20,
]


@pytest.mark.parametrize(("spend", "rate"), [(spend, rate) for (spend, *_), rate in zip(BUDGETS, RATES, strict=True)])
def test_client_at_the_sustained_rate_is_never_warned(spend: Spend, rate: float) -> None:
    guard = FloodGuard(LIMITS)
    assert not any(spend(guard, count / rate) for count in range(10_000))


def test_level_is_forgiven_when_every_bucket_has_drained_to_half() -> None:
    guard = FloodGuard(LIMITS)
    for _ in range(int(LIMITS.frames_burst * 1.5)):
        guard.record_packet(4, now=0.0)
    assert guard.level is PenaltyLevel.MUTED
    drained_to_half = LIMITS.frames_burst / LIMITS.frames_per_second
    guard.record_packet(4, now=drained_to_half - 0.1)
    assert guard.level is PenaltyLevel.MUTED
    guard.record_packet(4, now=drained_to_half + 0.1)
    assert guard.level is PenaltyLevel.FINE


def test_level_out_is_never_forgiven() -> None:
    guard = FloodGuard(LIMITS)
    for _ in range(int(LIMITS.frames_burst * 2)):
        guard.record_packet(4, now=0.0)
    assert not guard.record_packet(4, now=1000.0)
    assert guard.level is PenaltyLevel.OUT


@given(
    packets_per_second=st.integers(1, 20),
    actions_per_packet=st.integers(1, 2),
    stall_seconds=st.floats(0, 5),
    refused=st.booleans(),
)
def test_honest_client_is_never_warned_even_after_a_stall_of_five_seconds(
    packets_per_second: int, actions_per_packet: int, stall_seconds: float, refused: bool
) -> None:
    """Twenty packets a second, of up to two actions; now and then all that was said in five seconds
    arrives at once; and everything may be refused, to a player who does not know that it is dead."""
    guard, now = FloodGuard(LIMITS), 0.0

    def packet() -> bool:
        rises = guard.record_packet(60, now) or guard.record_actions(actions_per_packet, now)
        # Whoever sends that often does not go on with it while everything is refused for more than some seconds.
        return rises or (refused and packets_per_second <= 10 and guard.record_refusal("DEAD", False, now))

    for _ in range(5):
        for _ in range(packets_per_second * 4):
            now += 1 / packets_per_second
            assert not packet()
        now += stall_seconds
        for _ in range(int(packets_per_second * stall_seconds)):
            assert not packet()
    assert guard.level is PenaltyLevel.FINE


# --- What an address may do ---------------------------------------------------------------------------


def test_address_budget_is_shared_by_its_guards() -> None:
    budgets, left = AddressBudgets(LIMITS), LIMITS.address_actions_burst
    while left:
        # Always somebody else, who begins with nothing.
        count = min(left, LIMITS.actions_burst / 2)
        assert FloodGuard(LIMITS, budgets).admit_actions(int(count), now=0.0)
        left -= count
    newcomer = FloodGuard(LIMITS, budgets)
    assert not newcomer.admit_actions(1, now=0.0)
    assert newcomer.level is PenaltyLevel.FINE
    assert newcomer.admit_actions(1, now=1.0 / LIMITS.address_actions_per_second)
    assert FloodGuard(LIMITS).admit_actions(10**9, now=0.0), "where nobody is counted, there is room"


@pytest.mark.parametrize(("is_violation", "weight"), [(False, 1), (True, 20)])
def test_refusals_of_all_guards_count_against_their_address(is_violation: bool, weight: int) -> None:
    budgets = AddressBudgets(LIMITS)
    for count in range(1, int(LIMITS.address_violations_burst / weight) + 1):
        guard = FloodGuard(LIMITS, budgets)
        assert not guard.is_address_out(now=0.0), count
        guard.record_refusal("DEAD", is_violation, now=0.0)
        assert guard.level is PenaltyLevel.FINE
    assert guard.is_address_out(now=0.0)
    assert not guard.is_address_out(now=1.0)
    assert not FloodGuard(LIMITS).is_address_out(now=0.0)
    assert not budgets.is_drained(now=1.0)
    assert budgets.is_drained(now=LIMITS.address_violations_burst / LIMITS.address_violations_per_second)
