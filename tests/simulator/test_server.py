"""The simulator on a real port, and its control endpoint."""

import signal
import subprocess
import sys
from typing import Any

import anyio
import httpx2
import pytest

from finexio_mcp.simulator import Simulator

from .asking import client, socket_client

CONTROL = "http://simulator.invalid/_simulator"


async def test_while_it_listens_images_open_under_its_own_address(sim: Simulator) -> None:
    """Ours: what a person sees when clicking the link."""
    sim.add_payment("p-1", status="settled")
    with sim.listening() as base_url:
        assert base_url == sim.base_url
        async with socket_client(sim) as api:
            listed = await api.get("/payments/p-1/images")
            picture = await api.get(listed.json()["check_image_url"], auth=None)

    assert listed.json()["check_image_url"].startswith(base_url.removesuffix("/v2"))
    assert picture.headers["content-type"].startswith("image/svg+xml")
    assert sim.base_url == "http://simulator.invalid/v2"


async def test_many_clients_at_once_lose_nothing(served: Simulator) -> None:
    """Ours: the books are touched by one request at a time."""
    served.add_supplier("s-1")

    async def add(number: int) -> None:
        body = [{"external_reference_id": f"C-{number}", "primary": True}]
        answer = await api.post("/counterparties/suppliers/s-1/contacts", json=body)
        assert answer.status_code == 200

    with anyio.fail_after(10):
        async with socket_client(served) as api, anyio.create_task_group() as group:
            for number in range(40):
                group.start_soon(add, number)

    contacts = served.suppliers["s-1"]["contacts"]
    assert len(contacts) == 40
    assert sum(contact["primary"] for contact in contacts) == 1


async def test_an_incomplete_request_is_not_in_the_journal(served: Simulator) -> None:
    """Ours: the journal holds complete requests only."""
    url = httpx2.URL(served.base_url)
    with anyio.fail_after(5):
        async with await anyio.connect_tcp(url.host, url.port or 80) as stream:
            await stream.send(b"POST /v2/webhooks/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        async with socket_client(served) as api:
            await api.get("/webhooks/")

    assert [record.method for record in served.journal.requests] == ["GET"]


def test_a_served_day_passes_in_so_many_seconds(sim: Simulator) -> None:
    """Ours: the clock runs while the server does, and stops with it."""
    with sim.listening(day_seconds=0.001):
        begin = sim.clock.now()
        while (sim.clock.now() - begin).days < 1:
            pass
    stopped = sim.clock.now()

    assert sim.clock.now() == stopped > begin


SERVE = """
from finexio_mcp.simulator import Simulator
from finexio_mcp.simulator.server import serve
serve(Simulator(populated=False), port=0, ready=lambda url: print(url, flush=True))
"""


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_served_process_ends_cleanly_when_asked(signal_number: signal.Signals) -> None:
    """Ours: exit code 0, nothing on stderr, even with a client still connected."""
    with subprocess.Popen([sys.executable, "-c", SERVE], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        base_url = process.stdout.readline().decode().strip()
        with httpx2.Client(base_url=base_url, auth=("demo", "demo"), trust_env=False) as api:
            answer = api.get("/payments/")
            process.send_signal(signal_number)
            code = process.wait(timeout=10)
        noise = process.stderr.read()

    assert (answer.status_code, code, noise) == (200, 0, b"")


# --- The control endpoint -----------------------------------------------------------------------------------------


async def post(sim: Simulator, name: str, body: Any = None) -> httpx2.Response:
    async with client(sim) as api:
        return await api.post(f"{CONTROL}/{name}", json=body)


async def test_state_and_advance(sim: Simulator) -> None:
    """Ours: virtual time and counts."""
    sim.add_invoice("i-1")
    async with client(sim) as api:
        before = (await api.get(f"{CONTROL}/state")).json()
        after = (await api.post(f"{CONTROL}/advance", json={"days": 3, "hours": 1})).json()

    assert (before["now"], before["counts"]["payments"]) == ("2026-11-20T09:00:00.000000", 0)
    assert (after["now"], after["counts"]["payments"]) == ("2026-11-23T10:00:00.000000", 1)
    assert sim.journal.requests == []


async def test_a_fault_can_be_scripted_from_outside(sim: Simulator) -> None:
    """Ours: the fields of Fault, in JSON."""
    await post(sim, "fault", {"status": 503, "body": "busy", "headers": {"Retry-After": "1"}, "path": "/payments/"})
    await post(sim, "fault", {"lands_after_seconds": 60, "times": 2})
    await post(sim, "fault", {"status": 500, "body_base64": "PGh0bWw+"})
    async with client(sim) as api:
        answer = await api.get("/payments/")

    assert (answer.status_code, answer.text, answer.headers["retry-after"]) == (503, "busy", "1")
    assert sim.faults_left == 2


async def test_the_journal_can_be_read_from_outside(sim: Simulator) -> None:
    """Ours: for tests that run the simulator as a process."""
    async with client(sim) as api:
        await api.post("/webhooks/", json={"event": "x"})
        await api.post("/counterparties/suppliers", json={"name": "x"})
        journal = (await api.get(f"{CONTROL}/journal")).json()

    assert [(row["method"], row["status"], row["user"]) for row in journal["requests"]] == [("POST", 400, "demo")] * 2
    assert journal["effects"] == []


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("advance", {"days": -1}),
        ("advance", {"fortnights": 1}),
        ("advance", [1]),
        ("fault", {"explode": True}),
        ("fault", {"status": 500, "lost_answer": True}),
    ],
)
async def test_nonsense_is_refused(sim: Simulator, name: str, body: Any) -> None:
    """Ours."""
    assert (await post(sim, name, body)).status_code == 400


async def test_reset_from_outside(busy: Simulator) -> None:
    """Ours."""
    busy.advance(days=1)
    answer = await post(busy, "reset")

    assert answer.json()["now"] == "2026-11-20T09:00:00.000000"


async def test_the_knobs_are_for_the_user_only(sim: Simulator) -> None:
    """Ours: the same credentials as the API."""
    async with client(sim, password="wrong") as api:
        answers = [await api.get(f"{CONTROL}/state"), await api.post(f"{CONTROL}/reset")]
    async with client(sim) as api:
        unknown = await api.get(f"{CONTROL}/nothing")

    assert [answer.status_code for answer in answers] == [403, 403]
    assert unknown.status_code == 404
