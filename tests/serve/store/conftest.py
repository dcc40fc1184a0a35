"""A store in each kind of database."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from rejoinder.serve.store.database import Store
from rejoinder.serve.store.tables import Table
from tests.serve.store.turns import postgres, postgres_programs


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL: that of $REJOINDER_TEST_POSTGRES, or one that is started here."""
    with ExitStack() as running:
        url = os.environ.get("REJOINDER_TEST_POSTGRES")
        if url is None:
            programs = postgres_programs()
            if programs is None:
                pytest.skip("no PostgreSQL; on Debian, type: apt-get install postgresql")
            url = running.enter_context(postgres(programs))
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'calls.db'}"
        return
    found: str = request.getfixturevalue("postgres_url")
    yield found
    engine = create_engine(found.replace("postgresql://", "postgresql+pg8000://"))
    Table.metadata.drop_all(engine)
    engine.dispose()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A store in it."""
    opened = Store.open(url)
    yield opened
    opened.close()
