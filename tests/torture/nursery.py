"""A process that has imported everything, and forks a worker for each job: a life costs milliseconds, not seconds.

Jobs come in on stdin, a line each; what becomes of the workers goes out on stdout. When stdin ends, all of them end.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import select
import signal
import sys
import traceback
from typing import Any

LIFE_SECONDS = 180
"""Nobody lives longer, whatever happens to those who should see to it."""
PR_SET_PDEATHSIG = 1

WARM = (
    "anyio._backends._asyncio",
    "finexio_mcp.dispatch",
    "finexio_mcp.engine",
    "finexio_mcp.guards.ledger.store",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
    "tests.torture.worker",
)


def end_with_parent() -> None:
    """See to it that this process is never left behind."""
    signal.alarm(LIFE_SECONDS)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Nursery:
    """Forks, kills and counts."""

    def __init__(self) -> None:
        self._children: dict[int, str] = {}
        self._out = os.dup(1)
        os.dup2(2, 1)

    def tell(self, **event: Any) -> None:
        # Shorter than what a pipe takes at once, so that lines of several processes do not mix.
        os.write(self._out, json.dumps(event).encode() + b"\n")

    def serve(self) -> None:
        """Do what stdin says until it ends."""
        waking, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(woken)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        self.tell(event="open")
        rest = b""
        while True:
            ready, _, _ = select.select([0, waking], [], [])
            if waking in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(waking, 4096)
                self._reap()
            if 0 in ready:
                if not (part := os.read(0, 1 << 16)):
                    return
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    self._obey(line.decode())

    def end(self) -> None:
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)
        while self._children:
            pid, _ = os.wait()
            self._children.pop(pid, None)

    def _obey(self, line: str) -> None:
        verb, _, rest = line.partition(" ")
        if verb == "start":
            self._fork(rest)
            return
        number = {"kill": signal.SIGKILL, "wake": signal.SIGCONT}[verb]
        for pid, name in self._children.items():
            if name == rest:
                # Not reaped yet, so the number is still this child's.
                os.kill(pid, number)

    def _fork(self, text: str) -> None:
        from tests.torture.jobs import Job

        job = Job.load(text)
        if pid := os.fork():
            self._children[pid] = job.name
            return
        code = 1
        try:
            self._be_born()
            from tests.torture.worker import run

            run(job, lambda said: self.tell(event="said", name=job.name, said=said))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def _be_born(self) -> None:
        end_with_parent()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            code = os.waitstatus_to_exitcode(status)
            self.tell(event="ended", name=self._children.pop(pid), code=code)


def warm_up() -> None:
    """Import what workers need; no connection is opened, and no thread is started."""
    for name in WARM:
        importlib.import_module(name)
    httpcore2 = importlib.import_module("httpcore2")
    # Reading the certificates of the whole world is a third of a birth, and nobody speaks TLS here.
    context: Any = httpcore2.default_ssl_context()

    def shared(**_options: Any) -> Any:
        return context

    setattr(httpcore2, "default_ssl_context", shared)  # noqa: B010


if __name__ == "__main__":
    warm_up()
    nursery = Nursery()
    try:
        nursery.serve()
    finally:
        nursery.end()
