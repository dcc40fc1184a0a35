"""The voice's adaptation: refused without consent, and from recordings to a card's figures."""

from pathlib import Path

import pytest

from rejoinder.adapt.voice.adaptation import VoiceAdaptation, stated
from rejoinder.domain import Domain
from rejoinder.errors import AdaptError

CONSENT = "Jane Doe agreed in writing on 2026-11-02"
CAFE = Path(__file__).parents[3] / "examples" / "cafe"


@pytest.mark.parametrize("consent", ["", "   ", "yes", "y", "consent-given-by-all"])
def test_without_a_stated_consent_it_is_refused(consent: str, tmp_path: Path) -> None:
    with pytest.raises(AdaptError, match=r"only with their consent.*--consent"):
        VoiceAdaptation(Domain.load(CAFE), recordings=tmp_path, consent=consent)


def test_consent_is_kept_as_it_was_stated(tmp_path: Path) -> None:
    assert stated(f"  {CONSENT}\n") == CONSENT
    adaptation = VoiceAdaptation(Domain.load(CAFE), recordings=tmp_path, consent=CONSENT)
    assert adaptation.consent == CONSENT
    assert adaptation.recipe["grade"] == "preview"
