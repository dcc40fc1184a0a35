"""Lets the calls of a replica that is replaced come to their end.

Behind HAProxy each replica has an HTTP server of its own. Serve ends that server first and then waits for what is under
way, which suits requests: a uvicorn that ends cuts every WebSocket at once. `serve.app.DrainingServer` is the same for
one machine.
"""

import asyncio
import socket

import uvicorn

from rejoinder.serve.app import DRAIN_STEP_S
from rejoinder.serve.security import Admission


def let_calls_end(calls: Admission) -> None:
    """Have the HTTP servers of this process, which is a replica's alone, wait for live calls when they are to end.

    They take no new connection meanwhile. Serve sees to it that this does not take for ever.
    """

    class Draining(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            for listening in self.servers:
                listening.close()
            for taken in sockets or []:
                taken.close()
            while calls.n_inside:
                await asyncio.sleep(DRAIN_STEP_S)
            await super().shutdown(sockets)

    uvicorn.Server = Draining  # type: ignore[misc]
