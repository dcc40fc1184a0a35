"""The page of a run: whole, safe, and without gaps where a run measured nothing."""

import json
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from rejoinder.errors import RejoinderError
from rejoinder.evaluate import records
from rejoinder.evaluate.records import Meaning, Run, Turn, append
from rejoinder.evaluate.report import write_report
from rejoinder.evaluate.scores import Scores
from rejoinder.evaluate.scoring import read_scores, score, write_scores
from tests.evaluate.report import sample
from tests.evaluate.report.test_markup import seen

SECTIONS = [
    *("headline", "understood", "recognition", "understanding", "turns", "latency", "voice", "conversations"),
    *("failed", "run"),
]


def small_run(folder: Path, *turns: Turn, scores: Scores | None = None) -> Path:
    """A run of one system in one condition."""
    folder.mkdir(parents=True, exist_ok=True)
    run = Run("r", "Shop", "2026-01-02", {"instant": {}}, ("clean",), {}, "", "0", "k")
    (folder / records.RUN).write_text(json.dumps(asdict(run)))
    for turn in turns:
        append(folder, records.TURNS, turn)
    write_scores(folder, scores or score(turns, domain=sample.domain()))
    return folder


def a_turn(
    *, meant: Meaning | None, understood: Meaning | None, said: str | None = None, heard: str = "a latte"
) -> Turn:
    return Turn(
        *("instant", "clean", "one", 2.0, said, heard, 0.9, meant, understood),
        speech_end_s=1.0,
        heard_until_s=1.0,
        decided_s=1.3,
        n_turns=1,
    )


def test_every_section_is_there_and_in_the_contents(page: str) -> None:
    ids = [
        dict(attributes)["id"] for name, attributes in seen(page).elements if name == "section" and "id" in attributes
    ]
    assert ids == SECTIONS
    for id_ in SECTIONS:
        assert f'href="#{id_}"' in page


def test_nothing_is_fetched_and_nothing_runs_but_the_page(page: str) -> None:
    elements = seen(page).elements
    names = {name for name, _ in elements}
    assert not names & {"img", "iframe", "object", "embed", "link", "base"}
    assert sum(name == "script" for name, _ in elements) == 1
    for _, attributes in elements:
        assert not any(key.startswith("on") or key in ("style", "action", "formaction") for key in attributes)
        assert not any((attributes.get(key) or "").startswith(("http", "//", "javascript")) for key in ("src", "href"))
    policy = next(a["content"] for name, a in elements if name == "meta" and a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_hostile_words_are_shown_as_they_are(page: str) -> None:
    reader = seen(page)
    for text in (sample.HOSTILE, sample.HOSTILE_IMAGE):
        assert text not in page
        assert text in reader.text
    assert "window.broken" not in re.sub(r"<[^>]*>", "", page.split("<script>")[-1].split("</script>")[0])


def test_equal_ids_do_not_occur(page: str) -> None:
    ids = [attributes["id"] for _, attributes in seen(page).elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_change_against_the_base_is_told(run_folder: Path, page: str) -> None:
    scores = read_scores(run_folder)
    found = next(
        one for one in scores.differences if (one.measure, one.condition, one.system) == ("understood", "clean", "deep")
    )
    assert found.low > 0
    assert f"▲</span> +{100 * found.value:.1f}" in page
    assert "points, better, significant" in page
    assert f"deep understands {100 * scores.heard['deep']['clean'].understood.value:.1f}%" in page  # type: ignore[union-attr]


def test_a_run_of_one_system_with_nothing_but_turns_has_no_gaps(tmp_path: Path) -> None:
    meaning = Meaning("order", {"drink": "latte"})
    folder = small_run(tmp_path, a_turn(meant=meaning, understood=meaning), a_turn(meant=meaning, understood=None))
    page = write_report(folder).read_text()
    ids = [
        dict(attributes)["id"] for name, attributes in seen(page).elements if name == "section" and "id" in attributes
    ]
    assert ids == ["headline", "understood", "understanding", "turns", "failed", "run"]
    assert "tablist" not in {attributes.get("role") for _, attributes in seen(page).elements}
    assert "<table></table>" not in page


def test_a_run_of_which_nothing_was_measured_has_a_page(tmp_path: Path) -> None:
    page = write_report(small_run(tmp_path, scores=Scores({}))).read_text()
    assert "About this run" in page
    assert "not finished" in page


def test_no_failed_turns_is_good_news(tmp_path: Path) -> None:
    meaning = Meaning("order", {"drink": "latte"})
    page = write_report(small_run(tmp_path, a_turn(meant=meaning, understood=meaning, said="a latte"))).read_text()
    assert "Every turn was understood" in page
    assert '<article class="turn"' not in page


def test_what_could_not_be_measured_is_told(tmp_path: Path) -> None:
    folder = small_run(tmp_path, scores=Scores({}))
    run = json.loads((folder / records.RUN).read_text())
    (folder / records.RUN).write_text(json.dumps(run | {"problems": ["the voice: <no model>"]}))
    assert "the voice: &lt;no model&gt;" in write_report(folder).read_text()


def test_the_report_is_the_same_when_made_again(run_folder: Path, page: str, tmp_path: Path) -> None:
    shutil.copytree(run_folder, tmp_path / "again")
    assert write_report(tmp_path / "again").read_text() == page


@pytest.mark.parametrize("content", [None, "{", "[]", '{"id": "x"}'])
def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, content: str | None) -> None:
    small_run(tmp_path, scores=Scores({}))
    (tmp_path / records.RUN).unlink()
    if content is not None:
        (tmp_path / records.RUN).write_text(content)
    with pytest.raises(RejoinderError, match=r"run\.json"):
        write_report(tmp_path)


def test_sets_with_words_only_list_what_was_misheard(tmp_path: Path) -> None:
    right = a_turn(meant=None, understood=None, said="a latte")
    wrong = replace(right, utterance="two", heard="a la tay")
    page = write_report(small_run(tmp_path, right, wrong)).read_text()
    assert page.count('<article class="turn"') == 1
    assert "<del>latte</del> <ins>la tay</ins>" in page
