"""The linear head, on vectors made by hand."""

import numpy as np
import pytest

from rejoinder.nlu.classifier import OUT_OF_SCOPE, IntentClassifier, Vectors


def cloud(centre: int, *, n: int = 20, seed: int = 0, spread: float = 0.1) -> Vectors:
    """Unit vectors (n, 96) around the axis `centre`."""
    vectors = np.random.default_rng(seed + 100 * centre).normal(0, spread / 2, (n, 96))
    vectors[:, centre] += 1
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def fitted() -> IntentClassifier:
    vectors = np.vstack([cloud(0), cloud(1), cloud(2)])
    return IntentClassifier.fit(vectors, ["order"] * 20 + ["hours"] * 20 + [OUT_OF_SCOPE] * 20)


def test_unseen_sentences_get_their_intent_with_confidence() -> None:
    classifier = fitted()
    for centre, name in ((0, "order"), (1, "hours")):
        for prediction in classifier.predict_many(cloud(centre, seed=9)):
            assert prediction.ranking[0][0] == name
            assert prediction.confidence > 0.8


def test_what_is_out_of_scope_has_no_confidence() -> None:
    classifier = fitted()
    assert all(prediction.confidence < 0.2 for prediction in classifier.predict_many(cloud(2, seed=9)))


def test_what_is_far_from_everything_has_little_confidence() -> None:
    classifier = fitted()
    assert all(prediction.confidence < 0.5 for prediction in classifier.predict_many(cloud(7, seed=9)))


def test_the_label_for_out_of_scope_is_never_ranked() -> None:
    ranking = fitted().predict(cloud(2, seed=9)[0]).ranking
    assert {name for name, _ in ranking} == {"order", "hours"}


def test_probabilities_fall_along_the_ranking_and_stay_in_bounds() -> None:
    ranking = fitted().predict(cloud(0, seed=9)[0]).ranking
    probabilities = [probability for _, probability in ranking]
    assert probabilities == sorted(probabilities, reverse=True)
    assert 0 <= probabilities[-1] <= sum(probabilities) <= 1.0001


def test_it_is_the_same_after_a_round_trip_through_arrays() -> None:
    classifier = fitted()
    again = IntentClassifier.from_arrays(classifier.to_arrays())
    vector = cloud(0, seed=9)[0]
    assert again.predict(vector) == classifier.predict(vector)


def test_the_same_sentences_give_the_same_head() -> None:
    assert np.array_equal(fitted().weights, fitted().weights)


@pytest.mark.parametrize("names", [[], [OUT_OF_SCOPE]])
def test_a_domain_without_intents_predicts_none(names: list[str]) -> None:
    classifier = IntentClassifier.fit(cloud(0, n=len(names)), names)
    prediction = classifier.predict(cloud(0)[0])
    assert prediction.ranking == ()
    assert prediction.confidence == 0


def test_one_intent_alone_can_be_fitted() -> None:
    classifier = IntentClassifier.fit(cloud(0, n=3), ["order"] * 3)
    assert classifier.predict(cloud(0, seed=9)[0]).ranking[0][0] == "order"


def test_an_intent_with_few_sentences_is_not_drowned() -> None:
    vectors = np.vstack([cloud(0, n=200, spread=0.25), cloud(1, n=4, spread=0.1)])
    classifier = IntentClassifier.fit(vectors, ["order"] * 200 + ["hours"] * 4)
    assert all(prediction.ranking[0][0] == "hours" for prediction in classifier.predict_many(cloud(1, seed=9)))
