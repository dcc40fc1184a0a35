"""How fast recognition is beside its peers, on the same files in the same run, in turn so that drift cancels out."""

import sys
import time
import types
from collections.abc import Callable, Sequence

from rejoinder import Assistant, audio, models
from rejoinder.evaluate.sets import Recording
from rejoinder.events import Samples

N_THREADS = 1


def peers() -> dict[str, Callable[[Samples], str]]:
    """The peers that are installed: name to a function that transcribes."""
    found: dict[str, Callable[[Samples], str]] = {}
    found["moonshine-voice"] = _moonshine_voice()
    try:
        found["faster-whisper base int8"] = _faster_whisper()
    except ImportError:
        print("faster-whisper is not installed and is left out; type: pip install 'rejoinder[whisper]'")
    return found


def _moonshine_voice() -> Callable[[Samples], str]:
    # Its package imports sounddevice, which wants PortAudio on the machine; transcribing files does not need it.
    sys.modules.setdefault("sounddevice", types.ModuleType("sounddevice"))
    from moonshine_voice import ModelArch, Transcriber

    transcriber = Transcriber(str(models.resolve("moonshine-tiny")), ModelArch.TINY)

    def transcribe(samples: Samples) -> str:
        lines = transcriber.transcribe_without_streaming(samples.tolist(), audio.SAMPLE_RATE).lines
        return " ".join(line.text for line in lines)

    return transcribe


def _faster_whisper() -> Callable[[Samples], str]:
    from faster_whisper import WhisperModel

    model = WhisperModel(
        str(models.resolve("whisper-base")), device="cpu", compute_type="int8", cpu_threads=N_THREADS, num_workers=1
    )

    def transcribe(samples: Samples) -> str:
        segments, _ = model.transcribe(samples, language="en", beam_size=5)  # its default beam
        return " ".join(segment.text for segment in segments)

    return transcribe


def speedup(recordings: Sequence[Recording], plain: Assistant, biased: Assistant) -> dict[str, object]:
    """Seconds of each recognizer over all recordings, and how many times faster than each peer ours is.

    Ours finds the speech in each file and transcribes it, as moonshine-voice does; plain, and with a domain's bias.
    """
    from rich.progress import track

    contenders: dict[str, Callable[[Samples], str]] = {
        "rejoinder": lambda samples: plain.conversation().transcribe(samples).text,
        "rejoinder, biased": lambda samples: biased.conversation().transcribe(samples).text,
        **peers(),
    }
    took_s = dict.fromkeys(contenders, 0.0)
    for i, recording in enumerate(track([recordings[0], *recordings], "recognition beside its peers")):
        for name, transcribe in contenders.items():
            started = time.perf_counter()
            transcribe(recording.samples)
            took_s[name] += (time.perf_counter() - started) if i else 0.0  # the first round warms up
    audio_s = sum(len(recording.samples) for recording in recordings) / audio.SAMPLE_RATE
    ours = {name: took_s[name] for name in ("rejoinder", "rejoinder, biased")}
    theirs = {name: seconds for name, seconds in took_s.items() if name not in ours}
    return {
        "asr_speedup": {name: round(seconds / ours["rejoinder"], 2) for name, seconds in theirs.items()},
        "asr_speedup_biased": {name: round(seconds / ours["rejoinder, biased"], 2) for name, seconds in theirs.items()},
        "asr_times_real_time": {name: round(audio_s / seconds, 1) for name, seconds in took_s.items()},
    }
