"""The real encoder."""

from pathlib import Path

import numpy as np
import pytest

from rejoinder.errors import ModelError
from rejoinder.nlu.encoder import Encoder
from rejoinder.nlu.encoder_graph import integer_graph

pytestmark = pytest.mark.model

TEXTS = ["what time do you open", "when do you open", "a large latte with soy milk please", "wifi", ""]


def test_vectors_have_length_one_and_the_texts_order(encoder: Encoder) -> None:
    vectors = encoder.encode(TEXTS)
    assert vectors.shape == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-4)
    for text, vector in zip(TEXTS, vectors, strict=True):
        assert float(encoder.encode([text])[0] @ vector) > 0.97  # int8 activations differ a little with the batch


def test_paraphrases_are_closer_than_other_sentences(encoder: Encoder) -> None:
    vectors = encoder.encode(TEXTS)
    assert vectors[0] @ vectors[1] > 0.7 > 0.4 > vectors[0] @ vectors[2]


def test_no_texts_give_no_vectors(encoder: Encoder) -> None:
    assert encoder.encode([]).shape == (0, 384)


def test_a_very_long_text_is_cut(encoder: Encoder) -> None:
    vectors = encoder.encode(["latte " * 200, "latte " * 2_000])
    assert vectors[0] == pytest.approx(vectors[1], abs=1e-5)


def test_the_kept_graph_gives_the_same_vectors(encoder: Encoder, tmp_path: Path) -> None:
    Encoder.load(cache=tmp_path)
    kept = list(tmp_path.iterdir())
    assert len(kept) == 1
    again = Encoder.load(cache=tmp_path)
    assert np.array_equal(again.encode(TEXTS), encoder.encode(TEXTS))
    assert again.fingerprint == encoder.fingerprint


def test_a_damaged_kept_graph_is_made_anew(tmp_path: Path) -> None:
    Encoder.load(cache=tmp_path)
    kept = next(tmp_path.iterdir())
    kept.write_bytes(b"damaged")
    assert Encoder.load(cache=tmp_path).encode(["wifi"]).shape == (1, 384)
    assert kept.stat().st_size > 1_000_000


def test_a_cache_that_cannot_be_written_costs_nothing_else(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert Encoder.load(cache=blocked / "cache").encode(["wifi"]).shape == (1, 384)


def test_a_missing_model_says_where_and_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no model.onnx; type: rejoinder doctor"):
        Encoder.load(tmp_path)


def test_a_damaged_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(ModelError, match="cannot be opened"):
        Encoder.load(tmp_path)


def test_a_text_that_comes_again_has_the_same_vector_of_its_own(encoder: Encoder) -> None:
    first = encoder.encode(["a large latte"])
    first_copy = first.copy()
    first[:] = 0
    assert np.array_equal(encoder.encode(["a large latte"]), first_copy)


def test_products_of_integers_stay_close_to_the_packed_graph(encoder: Encoder) -> None:
    import onnxruntime

    packed = onnxruntime.InferenceSession(str(encoder._model_file), providers=["CPUExecutionProvider"])
    exact = Encoder(packed, encoder._tokenizer, model_file=encoder._model_file)
    for text in TEXTS:
        assert float(encoder.encode([text])[0] @ exact.encode([text])[0]) > 0.97


def test_a_graph_without_packed_weights_is_left_alone(tmp_path: Path) -> None:
    from onnx import TensorProto, helper, save

    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])
    graph = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["y"])],
        "tiny",
        [value],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
    )
    save(helper.make_model(graph), str(tmp_path / "model.onnx"))
    assert integer_graph(tmp_path / "model.onnx") is None
