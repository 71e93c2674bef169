"""Desktop hosts kill servers without a word: the real one, over real pipes."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

from finexio_mcp.simulator import Fault
from tests.torture.crew import ROOT, Crew
from tests.torture.jobs import Row, settings_for
from tests.torture.oracle import judge
from tests.torture.stage import Stage, stage
from tests.torture.upstream import BATCH, invoice
from tests.torture.worker import PAY

PATIENCE_SECONDS = 60.0
REVISION = "2025-11-25"


class Server:
    """A server process, and a host that calls it until it hears an outcome."""

    def __init__(self, process: subprocess.Popen[bytes], rows: Sequence[Row]) -> None:
        self.process, self.rows = process, rows
        self.answers: list[Row] = []
        self._host = threading.Thread(target=self._call, daemon=True)
        self._host.start()

    @property
    def done(self) -> bool:
        return bool(self.answers) and self.answers[-1]["status"] not in {"not_executed", "in_progress", "in_doubt"}

    def kill(self) -> int:
        self.process.kill()
        self._host.join(PATIENCE_SECONDS)
        return self.process.wait()

    def _call(self) -> None:
        hello = {"protocolVersion": REVISION, "capabilities": {}, "clientInfo": {"name": "host", "version": "1"}}
        with contextlib.suppress(BrokenPipeError):
            self._send("initialize", hello, number=0)
            self._send("notifications/initialized")
            for number in itertools.count(1):
                self._send("tools/call", {"name": PAY, "arguments": {"invoices": list(self.rows)}}, number=number)
                result = self._result(number)
                if result is None:
                    return
                self.answers.append(result["structuredContent"])
                if self.done:
                    return

    def _send(self, method: str, params: Any = None, *, number: int | None = None) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params, "id": number}
        line = json.dumps({name: value for name, value in message.items() if value is not None})
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def _result(self, number: int) -> Any:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            # Of a line that a kill cut off, nobody heard anything.
            if line.endswith(b"\n") and (message := json.loads(line)).get("id") == number:
                return message["result"]
        return None


@contextlib.contextmanager
def served(on: Stage, rows: Sequence[Row]) -> Generator[Server]:
    """A server that is killed at the end, if it was not before."""
    with (
        (on.directory / "errors").open("ab") as stderr,
        subprocess.Popen(
            [sys.executable, "-m", "tests.torture.served"],
            cwd=ROOT,
            env={**os.environ, **settings_for(on.base_url, on.ledger_url)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
        ) as process,
    ):
        try:
            yield Server(process, rows)
        finally:
            process.kill()


def test_a_killed_stdio_server_leaves_nothing_unknown(tmp_path: Path, crew: Crew) -> None:
    """Ours: killed while the ledger was being made, while Finexio was at it, and right after the answer."""
    rows = [invoice(f"K-{number}") for number in range(4)]
    with stage(tmp_path, crew) as on, contextlib.ExitStack() as stack:
        on.simulator.fault(Fault(delay_seconds=1.0), path=BATCH, times=None)
        batches = ([rows[0]], [rows[1], rows[2]], [rows[2], rows[1]], [rows[3]])
        servers = [stack.enter_context(served(on, batch)) for batch in batches]
        early, first, second, answered = servers
        _wait_until(lambda: (tmp_path / "ledger.db").exists())
        codes = [early.kill()]
        _wait_until(lambda: _arrived(on, rows[1]))
        codes += [first.kill(), second.kill()]
        _wait_until(lambda: answered.done)
        codes.append(answered.kill())
        told = [{"rows": server.rows, "answer": answer} for server in servers for answer in server.answers]
        on.answers.append(tmp_path / "servers.answers")
        on.answers[-1].write_text("\n".join(map(json.dumps, told)), encoding="utf-8")

        seen = on.settle(rows)

    assert codes == [-signal.SIGKILL] * 4
    assert judge(seen) == []
    assert len(seen.landed) == len(rows)
    assert answered.answers[-1]["status"] in {"confirmed", "already_submitted"}


def _arrived(on: Stage, row: Row) -> bool:
    return any(
        record.method == "POST" and any(posted["invoice_number"] == row["invoice_number"] for posted in record.body)
        for record in on.simulator.journal.requests
    )


def _wait_until(so: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not so():
        assert time.monotonic() < until
        time.sleep(0.02)
