"""The first moments of every command: open descriptors and a handled Ctrl-C, before anything else is imported.

Each console script is a function of this module, and `python -m` comes through it too. Importing it costs nothing: the
packages import their own names at the first use.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import os
import signal
import sys

__all__ = ["client", "compare", "dash", "open_standard_descriptors", "server", "start", "swarm"]


def start(module: str) -> int:
    """Imports a module, and runs its `main` as the command of this process. Returns the exit code."""
    open_standard_descriptors()
    sys.unraisablehook = _log_unraisable
    for stream in (sys.stdout, sys.stderr):
        # In a locale without Unicode a player's name would end the command.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    # Python's own handler raises KeyboardInterrupt, among the imports as well.
    previous = signal.signal(signal.SIGINT, _exit_interrupted)
    try:
        # What is imported stays until the end: a search for garbage among it finds nothing, and takes long.
        gc.disable()
        main = importlib.import_module(module).main
        gc.freeze()
        gc.enable()
        signal.signal(signal.SIGINT, previous)
        return _flushed(main())
    except SystemExit as end:
        return _flushed(end.code)
    except KeyboardInterrupt:
        return 130
    finally:
        # What follows is the end of the interpreter, which has nothing to clean up. Its search for garbage would take a
        # quarter of the time of a short command.
        gc.freeze()
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _exit_interrupted)


def server() -> int:
    """Runs the command `zoneserver`. A command that becomes a service lets the signals of a service wait from here
    on."""
    from zoneserver.support.service_signals import harmless_signals

    with harmless_signals() if sys.argv[1:2] in (["run"], ["replay"], ["gateway"]) else contextlib.nullcontext():
        return start("zoneserver.cli.main")


# Strings name the programs: this package must not import the client and the tools.
client = functools.partial(start, "zoneclient.__main__")
swarm = functools.partial(start, "zonetools.swarm.__main__")
dash = functools.partial(start, "zonetools.dashboard.__main__")
compare = functools.partial(start, "zonetools.compare.__main__")


def open_standard_descriptors() -> None:
    """Opens /dev/null as each of the descriptors 0 to 2 that is closed, as some supervisors close them.

    Otherwise the next file or socket would get such a number, what is printed would be written to it, and libuv would
    abort the process when it closes it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The system assigns the lowest free number, which is this one. Child processes inherit it.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            stream = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def _log_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """Logs an exception that nothing could catch, as one in `__del__`. Python itself would write it to stderr, which
    may be a pipe that nobody reads."""
    import logging

    text, error = unraisable.err_msg or "Exception ignored in", unraisable.exc_value
    logging.getLogger("zoneserver").error("%s: %.100r: %.100r", text, unraisable.object, error)


def _exit_interrupted(*_: object) -> None:
    os._exit(130)


def _flushed(code: object) -> int:
    """The exit code, once all output is written. The interpreter's own attempt could end with a traceback."""
    from zoneserver.support.errors import Exit
    from zoneserver.support.logs import drain_logs, print_error
    from zoneserver.support.process import discard_output, print_output

    error = print_output("")
    if error is not None and not code:
        print_error(f"cannot write to standard output: {error.strerror}")
        drain_logs()
        code = Exit.CANNOT_START
    try:
        sys.stderr.flush()
    except OSError:
        discard_output(sys.stderr)
    return code if isinstance(code, int) else int(bool(code))
