"""A real server on a port of its own, in a thread of the tests' process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from rejoinder.serve.app import listen, server
from rejoinder.serve.settings import Settings


@contextmanager
def serving(app: FastAPI, settings: Settings | None = None) -> Iterator[str]:
    """The URL of the app while the block runs."""
    settings = (settings or Settings()).model_copy(update={"port": 0})
    running: uvicorn.Server = server(app, settings)
    with listen(settings) as taken:
        thread = threading.Thread(target=running.run, kwargs={"sockets": [taken]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{taken.getsockname()[1]}"
        finally:
            running.should_exit = True
            thread.join()
