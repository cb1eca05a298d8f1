"""Real proxies in front of a server: nginx and HAProxy, with the configurations of docs/deploy.md."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@contextmanager
def nginx(folder: Path, *, http: str = "", stream: str = "") -> Iterator[int]:
    """Starts nginx with these servers, of which one listens at PORT. Yields the port.

    The socket listens before nginx starts: connections wait there.
    """
    program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if program is None or (stream and not _MODULE.exists()):
        pytest.skip("nginx is not installed: apt-get install nginx libnginx-mod-stream")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        sock, port = listening.fileno(), listening.getsockname()[1]
        paths = "".join(f"{name}_temp_path {folder};" for name in _TEMPORARY)
        text = f"pid {folder}/pid; error_log {folder}/log; daemon off; events {{}}"
        text += f"http {{ access_log off; {paths} {http} }}" if http else stream
        text = (f"load_module {_MODULE}; " if stream else "") + text.replace("PORT", f"127.0.0.1:{port}")
        file = folder / "nginx.conf"
        file.write_text(text)
        # A new nginx takes the sockets of the one that it replaces from this variable.
        command, environment = [program, "-c", str(file), "-e", f"{folder}/log"], {"NGINX": f"{sock};"}
        with _running(command, sock, environment):
            yield port


@contextmanager
def haproxy(folder: Path, text: str) -> Iterator[int]:
    """Starts HAProxy with this configuration, in which a frontend listens at PORT. Yields the port."""
    program = shutil.which("haproxy") or shutil.which("/usr/sbin/haproxy")
    if program is None:
        pytest.skip("HAProxy is not installed: apt-get install haproxy")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        file = folder / "haproxy.cfg"
        file.write_text(text.replace("PORT", f"fd@{listening.fileno()}"))
        with _running([program, "-db", "-f", str(file)], listening.fileno(), {}):
            yield listening.getsockname()[1]


@contextmanager
def _running(command: list[str], sock: int, environment: dict[str, str]) -> Iterator[None]:
    with subprocess.Popen(
        command,
        pass_fds=[sock],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield
        finally:
            process.terminate()
            # It stands in the report of a test that fails.
            print(process.communicate(timeout=10)[1])
