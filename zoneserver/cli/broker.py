"""`zoneserver check-broker`: says what is wrong with a broker that carries the link of a zone."""

from __future__ import annotations

import argparse
import json

from zoneserver.cli.command import print_result
from zoneserver.cli.parser import Parser
from zoneserver.link.address import LinkAddress, parse_gateway_name
from zoneserver.link.carrier import LinkSecurity
from zoneserver.support.errors import Exit

__all__ = ["check_broker", "check_broker_settings"]

_EXAMPLES = """\
  zoneserver check-broker nats://127.0.0.1/plaza
  zoneserver check-broker nats://zone:PASSWORD@broker/plaza             with the credentials of the zone
  zoneserver check-broker nats://gw1:PASSWORD@broker/plaza --as gw1     with those of the gateway gw1
  zoneserver check-broker tls://broker/plaza --link-creds zone.creds --link-ca ca.pem
  zoneserver check-broker nats://broker/plaza --json | jq '.findings[] | select(.verdict == "wrong")'"""


def check_broker_settings(parser: Parser) -> None:
    """Declares the command `check-broker`."""
    command = parser.command(
        "check-broker",
        "say what is wrong with the broker of a link",
        "Connect to a broker of NATS as a zone or a gateway does, try what they need, and print for each setting that "
        "is missing or wrong the line for nats-server.conf. Players notice nothing of it.",
        examples=_EXAMPLES,
        exit_codes="0 nothing is wrong, 1 something is wrong, 2 wrong usage, 3 no connection to the broker",
        usage="nats://HOST:PORT/ZONE [flags]",
    )
    text = "the address of the link: nats:// or tls://, the broker, and the name of the zone"
    command.add_argument("address", type=_parse_address, metavar="nats://HOST:PORT/ZONE", help=text)
    text = "check with the credentials of this gateway, and what it could do beyond its own"
    command.setting("--as", parse=parse_gateway_name, dest="gateway", metavar="GATEWAY", help=text, shown="the zone")
    text = "the monitoring port of the broker, as in http://127.0.0.1:8222"
    command.setting("--monitor", parse=_parse_monitor, metavar="URL", help=text, shown="port 8222 of the broker")
    command.setting("--link-creds", metavar="FILE", help="file with credentials of the broker (.creds)")
    text = "file with the authorities that sign the broker's certificate"
    command.setting("--link-ca", metavar="FILE", help=text, shown="those of the system")
    command.switch("--json", help="print the result as a JSON object")
    command.common()


async def check_broker(arguments: argparse.Namespace) -> int:
    """Runs the command. Raises CannotStartError if there is no connection."""
    # Only this command needs the library of the broker.
    from zoneserver.link.broker import check_broker as check

    security = LinkSecurity(ca=arguments.link_ca, creds=arguments.link_creds)
    report = await check(arguments.address, security, arguments.gateway, arguments.monitor)
    print_result(json.dumps(report.to_json()) if arguments.json else report.render())
    return Exit.FAILED if report.is_wrong else Exit.OK


def _parse_address(text: str) -> LinkAddress:
    try:
        address = LinkAddress.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not address.is_broker:
        raise argparse.ArgumentTypeError(f"{address} needs no broker: write nats://HOST:PORT/ZONE")
    return address


def _parse_monitor(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError(f"{text!r:.80} is no URL: write http://HOST:8222")
    return text
