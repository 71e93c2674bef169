"""Standard input and output, mostly without threads: a line in, a line out, and nothing else on the wire.

The SDK's own streams hop to a thread and back for every line, which costs a quarter of a call, and a thread that
reads cannot be cancelled. So only what cannot be waited for goes through one: files, terminals, and all on Windows.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import stat
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from typing import Any, cast

import anyio
import anyio.to_thread
from mcp.server.stdio import stdio_server

CHUNK = 65_536
SAFE_WRITE = min(4096, select.PIPE_BUF if hasattr(select, "PIPE_BUF") else 512)
"""As much as a pipe takes at once, without blocking, whenever it says that it is writable."""

logger = logging.getLogger("finexio_mcp.wire")


class Output:
    """Text to a descriptor, in steps that never block the others."""

    gone = False
    """Whether the other side has left; nobody hears an answer any more."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = _poll_for_room(descriptor) if _can_be_waited_for(descriptor) else None
        self._whole = _opened_anew(descriptor) if self._poll else None

    async def write(self, text: str) -> None:
        left = memoryview(text.encode("utf-8", errors="replace"))
        try:
            while left and not self.gone:
                left = left[await self._write_some(left) :]
        except OSError as error:
            # No reason to end at once: a write on its way must not be cut short. After half a line, nothing may follow.
            self.gone = True
            logger.warning("answers can no longer be written: %s", error.strerror)

    async def _write_some(self, left: memoryview) -> int:
        if self._poll is None:
            return await anyio.to_thread.run_sync(os.write, self._descriptor, left)
        if self._whole is not None:
            try:
                return os.write(self._whole, left)
            except BlockingIOError:
                await anyio.wait_writable(self._whole)
                return 0
        if not self._poll.poll(0):
            await anyio.wait_writable(self._descriptor)
        return os.write(self._descriptor, left[:SAFE_WRITE])

    async def flush(self) -> None:
        """Nothing is kept back."""

    def close(self) -> None:
        """Close what was opened here."""
        if self._whole is not None:
            os.close(self._whole)


class Lines:
    """Lines of text from a descriptor, as the SDK's transport iterates over them.

    Args:
        descriptor: What to read.
        output: Where the answers go; once it is gone, no further line is taken.
        at_end: Awaited before the iteration ends.
    """

    def __init__(self, descriptor: int, output: Output, at_end: Callable[[], Awaitable[None]]) -> None:
        self._descriptor = descriptor
        self._waits = _can_be_waited_for(descriptor)
        self._output = output
        self._at_end = at_end

    async def __aiter__(self) -> AsyncIterator[str]:
        pending = bytearray()
        while not self._output.gone and (chunk := await self._read()):
            start = len(pending)
            pending += chunk
            if (end := pending.rfind(b"\n", start)) >= 0:
                whole, pending = bytes(pending[:end]), pending[end + 1 :]
                for line in whole.split(b"\n"):
                    if self._output.gone:
                        break
                    yield line.decode("utf-8", errors="replace")
        if pending and not self._output.gone:
            yield pending.decode("utf-8", errors="replace")
        # The SDK cancels what runs once its input has ended.
        await self._at_end()

    async def _read(self) -> bytes:
        """What there is; nothing at the end, which a peer that broke off is too."""
        try:
            if not self._waits:
                return await anyio.to_thread.run_sync(os.read, self._descriptor, CHUNK)
            await anyio.wait_readable(self._descriptor)
            return os.read(self._descriptor, CHUNK)
        except ConnectionError:
            return b""
        except OSError as error:
            # A terminal that hung up.
            if error.errno != errno.EIO:
                raise
            return b""


def _poll_for_room(descriptor: int) -> select.poll:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return poll


def _opened_anew(descriptor: int) -> int | None:
    """The same pipe, opened once more without blocking, where the system can: others that share it do not notice."""
    try:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        pass
    return None


def _can_be_waited_for(descriptor: int) -> bool:
    """Pipes and sockets can; files cannot, and on Windows nothing can."""
    mode = os.fstat(descriptor).st_mode
    return sys.platform != "win32" and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))


@contextlib.contextmanager
def _taken(descriptor: int, stand_in: int) -> Generator[int]:
    """A private copy of a standard descriptor, while strays meet a stand-in."""
    private = os.dup(descriptor)
    os.dup2(stand_in, descriptor)
    try:
        yield private
    finally:
        os.dup2(private, descriptor)
        os.close(private)


@contextlib.asynccontextmanager
async def standard_streams(at_end: Callable[[], Awaitable[None]]) -> AsyncGenerator[tuple[Any, Any]]:
    """The two streams that the SDK's server runs on. What prints meanwhile prints to stderr.

    Args:
        at_end: Awaited between the end of the input and telling the server of it.
    """
    sys.stdout.flush()
    with (
        open(os.devnull, "rb") as nothing,  # noqa: ASYNC230
        _taken(0, nothing.fileno()) as source,
        _taken(1, 2) as target,
        contextlib.closing(Output(target)) as output,
    ):
        lines = Lines(source, output, at_end)
        async with stdio_server(cast(Any, lines), cast(Any, output)) as streams:
            yield streams
