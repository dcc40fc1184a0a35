"""Keys, origins, rates and room."""

from pathlib import Path

import pytest

from rejoinder.errors import SettingsError
from rejoinder.serve.security import (
    KEY_PROTOCOL,
    Admission,
    Keys,
    RateLimit,
    RefusedError,
    add_key,
    authorize,
    check_origin,
)
from rejoinder.serve.settings import Settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.txt"


def test_a_key_is_let_in_and_is_nowhere_in_its_file(file: Path) -> None:
    one, other = add_key(file, "kiosk"), add_key(file, "web  shop")
    keys = Keys.load(file)
    assert (keys.owner(one), keys.owner(other)) == ("kiosk", "web shop")
    assert one not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    assert len(one) > 40
    for wrong in ("", one[:-1], one + "x", "rj-\udcff"):
        assert keys.owner(wrong) is None


def test_comments_and_blank_lines_are_passed_over(file: Path) -> None:
    key = add_key(file, "kiosk")
    file.write_text(f"# the shop's\n\n{file.read_text()}")
    assert Keys.load(file).owner(key) == "kiosk"


def test_a_key_in_place_of_its_hash_is_refused_without_showing_it(file: Path) -> None:
    file.write_text("rj-secret kiosk\n")
    with pytest.raises(SettingsError, match=r"keys.txt:1: must be") as refused:
        Keys.load(file)
    assert "secret" not in str(refused.value)
    file.write_text("")
    with pytest.raises(SettingsError, match="no key"):
        Keys.load(file)
    with pytest.raises(SettingsError, match="name"):
        add_key(file, " \n")


def test_a_key_comes_as_header_or_as_subprotocol(file: Path) -> None:
    key = add_key(file, "kiosk")
    keys = Keys.load(file)
    assert authorize({"authorization": f"Bearer {key}"}, keys=keys) == "kiosk"
    assert authorize({}, ["realtime", KEY_PROTOCOL + key], keys=keys) == "kiosk"
    assert authorize({}, keys=None) is None
    for headers, code in (
        ({}, "missing_api_key"),
        ({"authorization": "Bearer "}, "missing_api_key"),
        ({"authorization": f"Basic {key}"}, "missing_api_key"),
        ({"authorization": "Bearer x"}, "invalid_api_key"),
    ):
        with pytest.raises(RefusedError) as refused:
            authorize(headers, keys=keys)
        assert (refused.value.status, refused.value.code) == (401, code)


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"host": "127.0.0.1:8080"}, True),
        ({"host": "[::1]:8080"}, True),
        ({"host": "localhost:8080", "origin": "http://localhost:8080"}, True),
        ({"host": "localhost:8080", "origin": "https://shop.example"}, True),
        ({"host": "localhost:8080", "origin": "https://evil.example"}, False),
        ({"host": "localhost:8080", "origin": "http://localhost:9090"}, False),
        ({"host": "localhost:8080", "origin": "null"}, False),
        ({"host": "evil.example:8080", "origin": "http://evil.example:8080"}, False),  # DNS rebinding
        ({"host": "evil.example:8080"}, False),
        ({"host": "[::1"}, False),
        ({}, False),
    ],
)
def test_only_its_own_and_listed_pages_may_call(headers: dict[str, str], allowed: bool) -> None:
    settings = Settings(origins=("https://shop.example",))
    if allowed:
        check_origin(headers, settings)
    else:
        with pytest.raises(RefusedError, match=r"own machine|origin"):
            check_origin(headers, settings)


def test_with_keys_any_name_of_the_server_will_do() -> None:
    settings = Settings(host="0.0.0.0", keys=Path("keys.txt"))
    check_origin({"host": "voice.example", "origin": "http://voice.example"}, settings)
    with pytest.raises(RefusedError):
        check_origin({"host": "voice.example", "origin": "http://evil.example"}, settings)


def test_a_rate_refills_and_is_each_callers_own() -> None:
    now_s = 0.0
    rate = RateLimit(60, clock=lambda: now_s)
    for _ in range(60):
        rate.take("one")
    rate.take("other")
    with pytest.raises(RefusedError) as refused:
        rate.take("one")
    assert (refused.value.status, refused.value.retry_after_s) == (429, 1)
    now_s = 1.0
    rate.take("one")
    with pytest.raises(RefusedError):
        rate.take("one")
    now_s = 1000.0
    for _ in range(60):
        rate.take("one")


def test_callers_beyond_number_cost_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rejoinder.serve.security.MOST_CALLERS", 3)
    rate = RateLimit(1, clock=lambda: 0.0)
    for n in range(10):
        rate.take(str(n))
    rate.take("0")  # was forgotten, and may begin anew
    with pytest.raises(RefusedError):
        rate.take("9")


def test_one_more_than_there_is_room_for_is_asked_to_come_back() -> None:
    room = Admission(1, "calls")
    with room.enter():
        assert room.is_full
        with pytest.raises(RefusedError) as refused, room.enter():
            pass
        assert (refused.value.status, refused.value.retry_after_s) == (503, 1)
    with pytest.raises(ZeroDivisionError), room.enter():
        1 / 0  # noqa: B018
    assert room.n_inside == 0


def test_behind_a_proxy_either_scheme_is_the_own_origin() -> None:
    headers = {"host": "voice.example", "origin": "https://voice.example"}
    keys = Path("keys.txt")
    check_origin(headers, Settings.model_validate({"keys": keys, "proxies": ["10.0.0.1"]}))
    with pytest.raises(RefusedError):
        check_origin(headers, Settings(keys=keys))
