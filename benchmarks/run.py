"""All measurements of a turn in one run: `make bench`, or `python -m benchmarks.run --help`.

Recordings are the cafe's 40 customers, which ship, and AN4's 130 test utterances, where they are there. Nothing was
tuned on either.
"""

import argparse
import json
import platform
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks import corpus, footprint, latency, recognition, understanding
from benchmarks.corpus import AN4_DOMAIN, CAFE
from rejoinder import Assistant
from rejoinder.assistant import AssistantOptions
from rejoinder.evaluate.sets import Recording
from rejoinder.session import SessionOptions

RESULTS = Path(__file__).parent / "results.json"
SUBSET = 4
"""Only every fourth AN4 utterance is streamed again with drafts off: at real-time pace all take ten minutes."""

PEER_SUBSET = 3
"""Every third recording is transcribed by the peers, too: Whisper takes two seconds for each."""


def main() -> None:
    """Run, print one table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, help="use only so many recordings of each set, for a quick look")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where to write the JSON (default: %(default)s)")
    arguments = parser.parse_args()
    results = run(arguments.limit)
    arguments.out.write_text(json.dumps(results, indent=2) + "\n")
    show(results)
    print(f"written to {arguments.out}")


def run(limit: int | None = None) -> dict[str, Any]:
    """All figures; the names are what other tools read."""
    cafe, an4 = corpus.cafe()[:limit], corpus.an4("test")[:limit]
    options = AssistantOptions(cache=False)
    base = Assistant.load(CAFE, options=AssistantOptions(cache=False, bias=False))
    assistant = Assistant.load(CAFE, options=options)
    speller = Assistant.load(AN4_DOMAIN, options=options) if an4 else None
    results: dict[str, Any] = {
        "machine": f"{platform.machine()}, {_n_cores()} cores, Python {platform.python_version()}",
        "date": date.today().isoformat(),
        "recordings": {"cafe": len(cafe), "an4 test": len(an4)},
        "cafe_understood": {
            "base": understanding.understood(base, cafe),
            "instant": understanding.understood(assistant, cafe),
        },
    }
    heard = [assistant.hear(recording.samples).transcript for recording in cafe]
    results["nlu_ms"] = understanding.timing(assistant, heard)
    results |= recognition.speedup([*cafe, *an4][::PEER_SUBSET], base, assistant)
    results |= _latency(assistant, cafe, speller, an4)
    results |= footprint.memory()
    results |= footprint.cold_start()
    return results


def _latency(
    assistant: Assistant, cafe: Sequence[Recording], speller: Assistant | None, an4: Sequence[Recording]
) -> dict[str, Any]:
    """Waiting times over both sets together, and by set; with drafts off and for the peer beside."""
    drafts, no_drafts = SessionOptions(), SessionOptions(drafts=False)
    by_set = {"cafe": latency.live(assistant, cafe, drafts, "cafe, live")}
    without = latency.live(assistant, cafe, no_drafts, "cafe, drafts off")
    peer = latency.one_after_the_other(assistant, cafe)
    if speller is not None:
        by_set["an4"] = latency.live(speller, an4, drafts, "AN4, live")
        without += latency.live(speller, an4[::SUBSET], no_drafts, "AN4, drafts off")
        peer += latency.one_after_the_other(speller, an4)
    everything = latency.summary([one for measured in by_set.values() for one in measured])
    off = latency.summary(without)
    for figure in ("decision_to_first_sample_ms", "speech_end_to_first_sample_ms"):
        everything[figure] = {**_mapping(everything[figure]), "no_drafts": off[figure]}
    return {
        **everything,
        "by_set": {name: latency.summary(measured) for name, measured in by_set.items()},
        "no_drafts": off,
        "fixed_800_ms_one_after_the_other": latency.summary(peer),
    }


def _mapping(value: object) -> dict[str, Any]:
    assert isinstance(value, dict)
    return value


def _n_cores() -> int:
    import os

    return os.cpu_count() or 1


def show(results: dict[str, Any]) -> None:
    """One table a person can read."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Rejoinder on {results['machine']}, {results['date']}")
    table.add_column("what")
    table.add_column("figure", justify="right")
    table.add_column("goal", justify="right")
    decision, wait = results["decision_to_first_sample_ms"], results["speech_end_to_first_sample_ms"]
    peer = results["fixed_800_ms_one_after_the_other"]["speech_end_to_first_sample_ms"]

    def both(figures: dict[str, float]) -> str:
        return f"{figures['p50']:.0f} / {figures['p95']:.0f}"

    rows = [
        ("decision to first sample, p50 / p95 (ms)", both(decision), "10 / 150"),
        ("  with drafts off", both(decision["no_drafts"]), "150 / -"),
        ("last sample of speech to first of reply, p50 / p95 (ms)", both(wait), "350 / 800"),
        ("  fixed 800 ms, one after the other", both(peer), "-"),
        ("turns cut off early", f"{results['early_cutoff_rate']:.1%}", "3%"),
        ("drafts that were right", f"{results['draft_hit_rate']:.1%}", "-"),
        *(
            (f"recognition, times faster than {name}", f"{times:.1f}", "15" if "whisper" in name else "1.5")
            for name, times in results["asr_speedup"].items()
        ),
        ("understanding, p50 / p95 (ms)", both(results["nlu_ms"]), "- / 10"),
        ("first answer of a fresh process (s)", f"{results['cold_start_s']:.1f}", "3"),
        ("all models loaded (MB)", f"{results['rss_mb']:.0f}", "600"),
        ("a further idle session (MB)", f"{results['session_mb']:.2f}", "5"),
        ("cafe orders understood, base", f"{results['cafe_understood']['base']:.1%}", "-"),
        ("cafe orders understood, instant", f"{results['cafe_understood']['instant']:.1%}", "85%"),
    ]
    for row in rows:
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()
