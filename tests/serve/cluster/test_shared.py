"""Secrets that no server remembers."""

import pytest

pytest.importorskip("ray", reason="Ray is not installed")

from rejoinder.serve.cluster.shared import SignedSecrets

SESSION = {"type": "realtime"}


def test_every_server_with_the_key_knows_a_secret() -> None:
    value, made = SignedSecrets(b"key").make(owner="kiosk", session=SESSION, seconds=600)
    assert value.startswith("ek_")
    assert SignedSecrets(b"key").find(value) == made
    assert SignedSecrets(b"another").find(value) is None


@pytest.mark.parametrize("value", ["", "ek_", "ek_.", "ek_e30.e30", "ek_ß.ß", "rj-key", "ek_a.b.c"])
def test_what_is_no_secret_opens_nothing(value: str) -> None:
    assert SignedSecrets(b"key").find(value) is None


def test_no_character_of_a_secret_can_be_changed() -> None:
    known = SignedSecrets(b"key")
    value, _ = known.make(owner="kiosk", session=SESSION, seconds=600)
    for n in range(3, len(value) - 1):  # the last one has bits that stand for nothing
        assert known.find(value[:n] + ("A" if value[n] != "A" else "B") + value[n + 1 :]) is None


def test_a_secret_expires() -> None:
    now_s = 0.0
    known = SignedSecrets(b"key", clock=lambda: now_s)
    value, _ = known.make(owner=None, session=SESSION, seconds=10)
    assert known.find(value) is not None
    now_s = 10.0
    assert known.find(value) is None
