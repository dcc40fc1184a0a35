"""A run as one HTML page: no network, no other file, nothing that runs but the page's own script."""

import base64
from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from string import Template

from rejoinder.evaluate.report.components import Section, panel, panels, table
from rejoinder.evaluate.report.headline import headline
from rejoinder.evaluate.report.hearing import recognition, understood
from rejoinder.evaluate.report.markup import Html, fragment, tag, text
from rejoinder.evaluate.report.meaning import meaning
from rejoinder.evaluate.report.results import Results
from rejoinder.evaluate.report.sound import Sounds
from rejoinder.evaluate.report.speaking import conversations, voice
from rejoinder.evaluate.report.timing import latency, turn_taking
from rejoinder.evaluate.report.turns import failed_turns

REPORT = "report.html"


def write_report(folder: Path) -> Path:
    """Write the page of a run into its folder, and return its path.

    It is made of `run.json`, `scores.json`, the records and `audio/`; what a run did not measure leaves no gap. Raises
    `RejoinderError` where the first two are missing or cannot be read.
    """
    results = Results.load(folder)
    sounds = Sounds(folder, [folder])
    found = [
        headline(results),
        understood(results),
        recognition(results),
        meaning(results),
        turn_taking(results),
        latency(results),
        voice(results, sounds),
        conversations(results),
        failed_turns(results, sounds),
        _about(results),
    ]
    sections = [section for section in found if section]
    path = folder / REPORT
    run = results.run
    facts = [day(run.created), *([str(run.test_set["name"])] if "name" in run.test_set else []), run.id]
    path.write_text(page(run.domain, facts, sections), encoding="utf-8")
    return path


def page(title: str, facts: Sequence[str], sections: Sequence[Section]) -> str:
    """A whole page. Its policy lets the browser run and style by what is in it, by hash, and load nothing else."""
    style, script = _asset("report.css"), _asset("report.js")
    return Template(_asset("page.html")).substitute(
        policy=text(
            "; ".join(
                (
                    "default-src 'none'",
                    f"style-src '{_hash(style)}'",
                    f"script-src '{_hash(script)}'",
                    "media-src data: file: 'self'",
                    "img-src data:",
                    "base-uri 'none'",
                    "form-action 'none'",
                )
            )
        ),
        title=text(title),
        facts=fragment(*(tag("span", fact) for fact in facts if fact)),
        style=style,
        script=script,
        contents=_contents(sections),
        sections=fragment(*map(_section, sections)),
    )


def _asset(name: str) -> str:
    return files("rejoinder").joinpath("data", "report", name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(sha256(content.encode()).digest()).decode("ascii")


def _contents(sections: Iterable[Section]) -> Html:
    links = (tag("li", tag("a", section.title, _badge(section.n), href=f"#{section.id}")) for section in sections)
    return tag("ul", links)


def _badge(n: int | None) -> Html | None:
    return tag("span", f"{n:,}", class_="n") if n else None


def _section(section: Section) -> Html:
    return tag(
        "section",
        tag("h2", section.title, id=f"{section.id}-title"),
        tag("p", section.lead, class_="lead") if section.lead else None,
        section.body,
        id=section.id,
        aria_labelledby=f"{section.id}-title",
    )


def day(created: str) -> str:
    """A moment of ISO 8601 as people write days; as it stands where it is none."""
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return created
    return f"{moment.day} {moment:%B %Y}"


def _about(results: Results) -> Section:
    """What was run: systems, set, machine."""
    run = results.run
    stages = list(dict.fromkeys(stage for models in run.systems.values() for stage in models))
    lines = [[system, *(models.get(stage, "") for stage in stages)] for system, models in run.systems.items()]
    facts = {
        "Run": run.id,
        "Set": ", ".join(f"{name} {value}" for name, value in run.test_set.items() if value),
        "Conditions": ", ".join(run.conditions),
        "Machine": run.machine,
        "Version": run.version,
        "Began": run.created,
        "Took": f"{run.minutes:.1f} minutes" if run.minutes else "not finished",
    }
    listed = tag(
        "dl", [fragment(tag("dt", name), tag("dd", tag("bdi", value))) for name, value in facts.items() if value]
    )
    models = table(["System", *stages], lines, caption="Models", n_words=1 + len(stages)) if lines and stages else None
    problems = tag("ul", [tag("li", tag("bdi", problem)) for problem in run.problems]) if run.problems else None
    body = panels(
        panel("The run", listed),
        panel("Models", models) if models else None,
        panel("Not measured", problems) if problems else None,
    )
    return Section("run", "About this run", "", body)
