"""The page's files: whole, open to all, and free of anything that would be fetched from elsewhere or run inline."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from rejoinder.serve.app import create_app
from rejoinder.serve.page.router import FOLDER, OPEN, STATIC_FILES
from rejoinder.serve.security import add_key
from rejoinder.serve.settings import Settings
from tests.serve.page.serving import assistant

HERE = {"base_url": "http://127.0.0.1"}


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(create_app(assistant()), **HERE) as client:  # type: ignore[arg-type]
        yield client


def test_every_file_is_served_with_a_strict_policy(client: TestClient) -> None:
    assert {"/", FOLDER + "main.js", FOLDER + "page.css", FOLDER + "capture-worklet.js"} <= OPEN
    for path in OPEN:
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.content
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_file_that_has_not_changed_is_not_sent_again(client: TestClient) -> None:
    etag = client.get("/").headers["etag"]
    again = client.get("/", headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/", headers={"If-None-Match": '"older"'}).status_code == 200


@pytest.mark.parametrize("name", ["nothing.js", "../router.py", "%2e%2e/router.py", "..%2frouter.py", "index.html"])
def test_no_path_leads_to_another_file(client: TestClient, name: str) -> None:
    assert client.get(FOLDER + name).status_code == 404


def test_the_page_and_its_modules_name_only_files_that_are_there() -> None:
    text = STATIC_FILES["/"].content.decode()
    named = set(re.findall(r'(?:href|src)="(/[^"]+)"', text))
    for path, file in STATIC_FILES.items():
        if path.endswith(".js"):
            named |= {FOLDER + name for name in re.findall(r'from "\./([^"]+)"', file.content.decode())}
    assert len(named) >= 8
    assert named <= OPEN


def test_nothing_is_inline_and_nothing_from_elsewhere() -> None:
    page = STATIC_FILES["/"].content.decode()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", page)
    for file in STATIC_FILES.values():
        assert set(re.findall(r"https?://[^\"'\s)]+", file.content.decode())) <= {"http://www.w3.org/2000/svg"}


def test_the_page_needs_no_key_but_what_it_is_about_does(tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys.txt", "kiosk")
    with TestClient(create_app(assistant(), Settings(keys=tmp_path / "keys.txt")), **HERE) as client:  # type: ignore[arg-type]
        assert all(client.get(path).status_code == 200 for path in OPEN)
        assert client.get("/talk").status_code == 401
        told = client.get("/talk", headers={"Authorization": f"Bearer {key}"}).json()
    assert told["name"] == "cafe"
    assert "When are you open" in told["examples"]
