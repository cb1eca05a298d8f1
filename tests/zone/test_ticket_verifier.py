"""A valid ticket is accepted once, and no other ticket is accepted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.protocol.tickets import issue_ticket, ticket_from_text, ticket_to_text
from zoneserver.zone.ticket_verifier import TicketVerifier

SECRET, NOW = b"0123456789abcdef", 1_800_000_000.0
TICKET = issue_ticket(SECRET, "ann", "plaza", int(NOW) + 60, bytes(16))


def make_verifier(**settings: int) -> TicketVerifier:
    return TicketVerifier(SECRET, "plaza", **settings)


def test_issue_ticket_writes_the_format_of_the_protocol() -> None:
    assert TICKET.hex() == (
        "000000006b49d23c"
        "00000000000000000000000000000000"
        "6db7f3864fff4225d111d489d7082f423cdb8f3ad8dc33906ff9efe40aa4c730"
    )


def test_valid_ticket_is_accepted_once() -> None:
    verifier = make_verifier()
    assert verifier.check("ann", TICKET, NOW) is None
    assert verifier.check("ann", TICKET, NOW) is None, "check does not consume the ticket"
    verifier.consume(TICKET)
    assert verifier.check("ann", TICKET, NOW) == "the ticket has been used"
    fresh = issue_ticket(SECRET, "ann", "plaza", int(NOW) + 60, bytes(15) + b"1")
    assert verifier.check("ann", fresh, NOW) is None


@pytest.mark.parametrize(
    ("name", "ticket"),
    [
        ("bob", TICKET),
        ("", TICKET),
        ("ann", issue_ticket(SECRET, "ann", "arena", int(NOW) + 60, bytes(16))),
        ("ann", issue_ticket(b"another secret..", "ann", "plaza", int(NOW) + 60, bytes(16))),
        # The signature covers the boundary between the names of zone and player.
        ("zaann", issue_ticket(SECRET, "ann", "plaza", int(NOW) + 60, bytes(16))),
        ("ann", b""),
        ("ann", TICKET[:-1]),
        ("ann", TICKET + b"\0"),
    ],
)
def test_ticket_of_another_name_zone_secret_or_form_is_rejected(name: str, ticket: bytes) -> None:
    assert make_verifier().check(name, ticket, NOW)


@given(st.integers(0, len(TICKET) * 8 - 1))
def test_ticket_with_any_bit_changed_is_rejected(bit: int) -> None:
    forged = bytearray(TICKET)
    forged[bit // 8] ^= 1 << bit % 8
    assert make_verifier().check("ann", bytes(forged), NOW)


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_rejected_without_an_exception(ticket: bytes) -> None:
    assert make_verifier().check("ann", ticket, NOW)


def test_ticket_is_valid_until_it_expires() -> None:
    assert make_verifier().check("ann", TICKET, NOW + 59.9) is None
    assert make_verifier().check("ann", TICKET, NOW + 60) == "the ticket has expired"


def test_used_tickets_are_remembered_until_they_expire_up_to_a_bound() -> None:
    verifier = make_verifier(used_max=2)
    for number in range(2):
        ticket = issue_ticket(SECRET, "ann", "plaza", int(NOW) + 10 + number, number.to_bytes(16))
        assert verifier.check("ann", ticket, NOW) is None
        verifier.consume(ticket)
    late = issue_ticket(SECRET, "ann", "plaza", int(NOW) + 100, b"x" * 16)
    assert verifier.check("ann", late, NOW) == "too many tickets are in use"
    assert verifier.check("ann", late, NOW + 10) is None, "a used ticket has expired"


def test_used_ticket_stays_used_when_the_clock_steps_on_and_back() -> None:
    verifier = make_verifier()
    verifier.consume(TICKET)
    later = issue_ticket(SECRET, "ann", "plaza", int(NOW) + 61, b"x" * 16)
    assert verifier.check("ann", later, NOW + 3600) == "the ticket has expired"
    assert verifier.check("ann", TICKET, NOW) == "the ticket has expired"
    assert verifier.check("ann", later, NOW) is None, "a ticket that expires later is not affected"


@given(st.binary(max_size=80))
def test_ticket_from_text_reads_what_ticket_to_text_writes(ticket: bytes) -> None:
    text = ticket_to_text(ticket)
    assert ticket_from_text(text) == ticket
    assert "=" not in text and "+" not in text and "/" not in text


@pytest.mark.parametrize("text", ["a", "no ticket!", "ä", "abc=d"])
def test_ticket_from_text_rejects_other_text(text: str) -> None:
    with pytest.raises(ValueError, match="base64url"):
        ticket_from_text(text)


def test_changed_secret_verifies_at_once_and_the_former_one_until_the_grace_is_over() -> None:
    verifier, other = make_verifier(), b"fedcba9876543210"
    tickets = {secret: issue_ticket(secret, "ann", "plaza", int(NOW) + 600, bytes(16)) for secret in (SECRET, other)}
    assert verifier.check("ann", tickets[other], NOW) is not None
    assert not verifier.change_secret(SECRET, NOW + 60)
    assert verifier.change_secret(other, NOW + 60)
    assert [verifier.check("ann", ticket, NOW + 59) for ticket in tickets.values()] == [None, None]
    assert verifier.check("ann", tickets[SECRET], NOW + 60) is not None
    assert verifier.check("ann", tickets[other], NOW + 60) is None


def test_second_change_of_the_secret_ends_the_grace_of_the_first_one() -> None:
    verifier = make_verifier()
    verifier.change_secret(b"fedcba9876543210", NOW + 60)
    verifier.change_secret(b"another secret..", NOW + 60)
    assert verifier.check("ann", TICKET, NOW) is not None


def test_used_ticket_stays_used_when_the_secret_changes() -> None:
    verifier = make_verifier()
    verifier.consume(TICKET)
    verifier.change_secret(b"fedcba9876543210", NOW + 60)
    assert verifier.check("ann", TICKET, NOW) == "the ticket has been used"
