"""The relay that delays and stalls."""

from __future__ import annotations

import asyncio

from zonetools.soak.relay import Relay


async def test_relay_delays_data_and_holds_it_on_request() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data.upper())
        writer.close()
        await writer.wait_closed()

    loop = asyncio.get_running_loop()
    target = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with target, Relay(target.sockets[0].getsockname()[1], delay_seconds=0.05) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        asked = loop.time()
        writer.write(b"abc")
        assert await reader.readexactly(3) == b"ABC"
        # uvloop's clock counts whole milliseconds.
        assert loop.time() - asked > 0.099
        relay.hold()
        writer.write(b"def")
        writer.write_eof()
        waiting = asyncio.create_task(reader.read())
        done, _ = await asyncio.wait({waiting}, timeout=0.2)
        assert not done
        relay.release()
        assert await waiting == b"DEF"
        writer.close()
        await writer.wait_closed()
