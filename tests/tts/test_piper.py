"""Piper's voices, where the extra is installed; and what is said where it is not."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from rejoinder.domain import Term
from rejoinder.errors import MissingExtraError, ModelError
from rejoinder.tts.lexicon import compile_lexicon
from rejoinder.tts.piper import PiperSynthesizer

needs_piper = pytest.mark.skipif(find_spec("piper") is None, reason="the 'piper' extra is not installed")


@pytest.mark.skipif(find_spec("piper") is not None, reason="the 'piper' extra is installed")
def test_without_the_extra_the_error_says_what_to_type() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'rejoinder\[piper\]'"):
        PiperSynthesizer.load()


@needs_piper
@pytest.mark.model
def test_it_speaks_clause_by_clause_with_the_domain_s_pronunciations() -> None:
    plain = PiperSynthesizer.load()
    taught = PiperSynthesizer.load(lexicon=compile_lexicon([Term("Xarelto", "zuh-REL-toe")]))
    clauses = list(taught.synthesize("Your Xarelto is ready, it costs $2.50. Anything else?"))
    assert len(clauses) == 3
    assert all(clause.dtype == np.float32 and np.isfinite(clause).all() for clause in clauses)
    assert 2 * taught.sample_rate < sum(map(len, clauses)) < 10 * taught.sample_rate
    assert list(taught.synthesize("...")) == []
    assert plain.fingerprint != taught.fingerprint


@needs_piper
@pytest.mark.model
def test_a_folder_without_a_voice_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"0 \.onnx files"):
        PiperSynthesizer.load(tmp_path)
