"""The example cafe hears recorded customers and answers them: `rejoinder demo`."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from rejoinder.audio import SAMPLE_RATE, frames, load
from rejoinder.cli.answers import Answer, Question, answer_all, as_text, make_folder
from rejoinder.cli.table import print_table
from rejoinder.errors import RejoinderError
from rejoinder.events import Samples
from rejoinder.talk import FRAME_SAMPLES, Transcript, converse

if TYPE_CHECKING:
    from rejoinder.assistant import Assistant

N_RECORDINGS = 5

TURNS = ("a latte with almond milk please", "no, make it twenty ounce", "yes please", "can I bring my dog")
"""A conversation in writing: an order, its correction, its confirmation, a question that the knowledge answers."""

TAIL_S = 2.0
"""Silence after a recording, as a caller on the line leaves it: the end of their turn is found in it."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A recorded customer, and what they want as those who published the recordings have it."""

    path: Path
    intent: str
    slots: dict[str, str]

    def is_understood(self, answer: Answer) -> bool:
        """Whether intent and every slot are right."""
        if answer.reply is None:
            return False
        understanding = answer.reply.understanding
        return (understanding.intent, dict(understanding.slots)) == (self.intent, self.slots)


def find_checkout(folder: str) -> Path:
    """The source checkout that holds `folder`: where this file is, or the current folder; raises `RejoinderError`."""
    for root in (Path(__file__).parents[3], Path.cwd()):
        if (root / folder).is_dir():
            return root
    raise RejoinderError(f"'{folder}' comes with Rejoinder's source checkout; change to its folder and try again")


def find_cafe() -> Path:
    """The folder of the example cafe."""
    return find_checkout("examples/cafe") / "examples" / "cafe"


def read_recordings(cafe: Path) -> list[Recording]:
    """The recordings that `recordings.jsonl` lists, one JSON object a line."""
    lines = (cafe / "recordings.jsonl").read_text(encoding="utf-8").splitlines()
    listed = [json.loads(line) for line in lines]
    return [Recording(cafe / item["audio_filepath"], item["intent"], item["slots"]) for item in listed]


def run(assistant: "Assistant", cafe: Path, out: Path | None) -> None:
    """Answer some of the cafe's recordings, then a conversation in writing, then one recording as a live call."""
    if out is None:
        out = Path(tempfile.mkdtemp(prefix="rejoinder-demo-"))
    make_folder(out)
    recordings = read_recordings(cafe)
    chosen = recordings[:: max(1, len(recordings) // N_RECORDINGS)][:N_RECORDINGS]
    _heading(f"{len(chosen)} of the {len(recordings)} recorded customers in {cafe}")
    answers = []
    for n, answer in enumerate(answer_all(assistant, [Question(file=str(one.path)) for one in chosen], out=out), 1):
        if answer.error is not None:
            raise RejoinderError(answer.error)
        click.echo(f"{as_text(answer, title=f'Customer {n}', brief=True)}\n")
        answers.append(answer)
    print_table(_timings(chosen, answers))
    n_right = sum(recording.is_understood(answer) for recording, answer in zip(chosen, answers, strict=True))
    click.echo(
        f"\n{n_right} of {len(chosen)} were understood in full: the intent and every slot. Times are milliseconds."
    )

    _heading("A conversation in writing: an order, changed, confirmed; a question that the knowledge answers")
    for answer in answer_all(assistant, [Question(text=text) for text in TURNS], together=True):
        click.echo(f"{as_text(answer, brief=True)}\n")

    shortest = min(chosen, key=lambda recording: recording.path.stat().st_size)
    _heading(f"Customer {chosen.index(shortest) + 1} as a live call, at the pace of speech")
    asyncio.run(_call(assistant, shortest.path))

    _heading("Next")
    click.echo(f'  rejoinder ask {cafe} "a large mocha with cream please"')
    click.echo(f"  rejoinder talk {cafe}\n  rejoinder init my-shop")
    click.echo(f"\nThe spoken replies are in {out}")


def _heading(text: str) -> None:
    click.echo(f"\n{click.style(text, bold=True)}\n")


def _timings(recordings: Sequence[Recording], answers: Sequence[Answer]) -> list[list[str]]:
    """A row for each customer: length, milliseconds by stage, whether it was right, the file of the spoken reply."""
    rows = [["CUSTOMER", "LENGTH", "RECOGNIZE", "UNDERSTAND", "SPEAK", "FIRST SOUND", "RIGHT", "REPLY"]]
    for n, (recording, answer) in enumerate(zip(recordings, answers, strict=True), 1):
        took: Any = answer.reply.timings_ms if answer.reply else {}
        stages = (f"{took.get(stage, 0.0):.0f}" for stage in ("recognize", "understand", "synthesize", "first_audio"))
        seconds = f"{len(load(recording.path)) / SAMPLE_RATE:.1f} s"
        right = "yes" if recording.is_understood(answer) else "no"
        rows.append([str(n), seconds, *stages, right, answer.written.name if answer.written else ""])
    return rows


async def _call(assistant: "Assistant", recording: Path) -> None:
    """One recording as a live call: audio at the pace of speech, events shown as they come."""
    samples = np.concatenate([load(recording), np.zeros(int(TAIL_S * SAMPLE_RATE), np.float32)])
    async with assistant.session() as session:
        await converse(session, _at_pace(samples), Unheard(), show=Transcript(assistant.domain.name))


async def _at_pace(samples: Samples) -> AsyncIterator[Samples]:
    """Frames as a microphone gives them: each when its last sample has been spoken."""
    clock = asyncio.get_running_loop().time
    started = clock()
    for n, frame in enumerate(frames(samples, FRAME_SAMPLES), 1):
        await asyncio.sleep(started + n * FRAME_SAMPLES / SAMPLE_RATE - clock())
        yield frame


class Unheard:
    """A speaker that is switched off."""

    playing = False

    def play(self, samples: Samples, sample_rate: int) -> None:
        """Nothing is heard."""

    def flush(self) -> None:
        """There is nothing to stop."""
