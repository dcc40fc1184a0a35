"""A domain and its models, loaded once: text or speech in, the domain's answer out."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, field, replace
from datetime import date
from pathlib import Path

import numpy as np

from rejoinder import audio, models
from rejoinder.actions import ActionRunner
from rejoinder.asr.biasing import bias_phrases, likely_sentences
from rejoinder.asr.correction import Corrector
from rejoinder.asr.moonshine import MoonshineOptions, MoonshineRecognizer
from rejoinder.asr.recognizer import Bias, Recognizer, Transcript
from rejoinder.build import FOLDER, Stage, promoted
from rejoinder.dialogue import DialogueState
from rejoinder.domain import Domain
from rejoinder.domain.templates import names, render
from rejoinder.errors import AudioError
from rejoinder.events import Samples, Understanding, Watcher
from rejoinder.nlu.encoder import Encoder
from rejoinder.nlu.joint import JointModel
from rejoinder.nlu.llm import LlmAnswerer
from rejoinder.nlu.reader import Reader
from rejoinder.nlu.understand import Understander
from rejoinder.pipeline import Pipeline
from rejoinder.session import Session, SessionOptions
from rejoinder.tts.cache import CacheableSynthesizer, CachedSynthesizer
from rejoinder.tts.hibari import HibariSynthesizer
from rejoinder.tts.lexicon import TUNED, compile_lexicon, read_tuned
from rejoinder.tts.synthesizer import Synthesizer
from rejoinder.turns import PRE_ROLL_S, SpeechBegan, TurnOptions, TurnOver, TurnState, step
from rejoinder.vad import CHUNK_S, Vad, probabilities
from rejoinder.workers import Workers

OWN_PHRASE_BOOST = 4.0
"""`MoonshineOptions.phrase_boost` for a recognizer that was adapted to the domain: it has learned the phrases, and the
boost that the base needs makes it hear them where nobody said one (8.8% of AN4's training utterances, 0% with this one;
of 60 synthetic orders of the cafe as many are understood clean and by phone, two fewer at 10 dB of noise)."""

_LONGEST_PIECE_S = 20.0  # Moonshine was trained on pieces of up to 30 s, and errs more on the longest


@dataclass(frozen=True, slots=True)
class AssistantOptions:
    """How the models are loaded."""

    device: str = "auto"
    """"cpu", "cuda", or "auto": CUDA when ONNX Runtime has it."""
    n_threads: int = 1
    """Threads of one model call; with many callers, one is fastest overall."""
    bias: bool = True
    """Bias and correct recognition towards the domain; off, to see what that brings."""
    cache: bool = True
    """Keep what was fitted and synthesized in the cache folder, so that the next start is faster."""
    adapted: bool = True
    """Open the models that `rejoinder adapt` promoted in place of the base ones; off, to see what they bring."""
    candidates: Mapping[Stage, Path] = field(default_factory=dict)
    """Folders of adapted models to open whatever is promoted, by stage: how one is measured before it is."""


@dataclass(frozen=True, slots=True)
class SpokenReply:
    """One answered turn."""

    transcript: str
    understanding: Understanding
    text: str
    audio: Samples
    """Float32 of shape (n_samples,) at `sample_rate`."""
    sample_rate: int
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    """Wall-clock milliseconds by stage, and "first_audio": all stages up to the reply's first clause."""
    source: str | None = None
    """Where in the knowledge the answer stands."""
    ends: str | None = None
    """"hangup" or "transfer" when the conversation is over."""

    def save(self, path: str | Path) -> None:
        """Write the reply's audio."""
        audio.save(path, self.audio, self.sample_rate)


class Conversation:
    """Several turns, one after the other, for those who need no live audio."""

    def __init__(self, pipeline: Pipeline, state: DialogueState | None = None) -> None:
        self._pipeline = pipeline
        self.state = state or DialogueState()

    def ask(self, text: str) -> SpokenReply:
        """Answer a typed turn."""
        return self._answer(Transcript(text.strip(), confidence=1.0), {})

    def hear(self, recording: str | Path | Samples) -> SpokenReply:
        """Answer a spoken turn: a file, or float32 mono of shape (n_samples,) at `audio.SAMPLE_RATE`.

        Raises `AudioError` when the recording cannot be used. Silence and noise are answered, too: with a "Sorry?".
        """
        samples = _checked(recording) if isinstance(recording, np.ndarray) else audio.load(recording)
        started = time.perf_counter()
        transcript = self.transcribe(samples)
        return self._answer(transcript, {"recognize": time.perf_counter() - started})

    def transcribe(self, samples: Samples) -> Transcript:
        """All that is said in a recording, span by span; silence and noise give no words.

        `samples` is float32 mono of shape (n_samples,) at `audio.SAMPLE_RATE`.
        """
        heard = [self._pipeline.recognize(samples[start:end]) for start, end in speech_spans(samples)]
        if len(heard) == 1:
            return heard[0]
        confidence = float(np.mean([transcript.confidence for transcript in heard])) if heard else 0.0
        return Transcript(" ".join(transcript.text for transcript in heard), confidence)

    def _answer(self, transcript: Transcript, took_s: Mapping[str, float]) -> SpokenReply:
        draft, _ = self._pipeline.finish(self._pipeline.draft(transcript, self.state))
        if (clauses := self._pipeline.free_answer(draft)) is not None:
            text = " ".join(clauses)
            draft = replace(draft, reply=replace(draft.reply, text=text), state=replace(draft.state, last_reply=text))
        self.state = draft.state
        started = time.perf_counter()
        pieces: list[Samples] = []
        first_s = 0.0
        for piece in self._pipeline.synthesize(draft.reply.text):
            first_s = first_s or time.perf_counter() - started
            pieces.append(piece)
        took_s = {**took_s, **draft.took_s, "synthesize": time.perf_counter() - started}
        first_audio_s = sum(took_s.values()) - took_s["synthesize"] + first_s
        return SpokenReply(
            transcript.text,
            draft.understanding,
            draft.reply.text,
            np.concatenate(pieces) if pieces else np.zeros(0, np.float32),
            self._pipeline.synthesizer.sample_rate,
            {stage: round(1000 * seconds, 1) for stage, seconds in {**took_s, "first_audio": first_audio_s}.items()},
            draft.reply.source,
            draft.reply.ends,
        )


class Assistant:
    """A domain's voice assistant. `Assistant.load(folder)` makes one; it serves any number of callers."""

    def __init__(self, pipeline: Pipeline, workers: Workers | None = None) -> None:
        self.pipeline = pipeline
        self._workers = workers or Workers()

    @classmethod
    def load(cls, folder: str | Path, *, options: AssistantOptions | None = None) -> "Assistant":
        """Read a domain folder and load its models, side by side.

        Raises `DomainError` when the folder is wrong and `ModelError` when a model is missing or damaged.
        """
        options = options or AssistantOptions()
        models.providers(options.device)  # says at once that there is no such device
        domain = Domain.load(folder)
        with ThreadPoolExecutor(3, thread_name_prefix="rejoinder-load") as pool:
            hearing = pool.submit(_load_hearing, domain, options)
            understanding = pool.submit(load_understander, domain, options)
            speaking = pool.submit(_load_synthesizer, domain, options)
            actions = ActionRunner.load(domain)
            llm = LlmAnswerer.load(domain.llm) if domain.llm else None
            recognizer, bias, corrector = hearing.result()
            understander, synthesizer = understanding.result(), speaking.result()
        return cls(Pipeline(domain, recognizer, understander, synthesizer, actions, bias, corrector, llm))

    @property
    def domain(self) -> Domain:
        """What the assistant knows."""
        return self.pipeline.domain

    @property
    def workers(self) -> Workers:
        """The threads that its models run on; whoever serves it shares them."""
        return self._workers

    def ask(self, text: str) -> SpokenReply:
        """Answer one typed question, as a conversation of its own."""
        return self.conversation().ask(text)

    def hear(self, recording: str | Path | Samples) -> SpokenReply:
        """Answer one spoken question, as a conversation of its own; see `Conversation.hear`."""
        return self.conversation().hear(recording)

    def conversation(self, state: DialogueState | None = None) -> Conversation:
        """A conversation of several turns without live audio."""
        return Conversation(self.pipeline, state)

    def session(
        self,
        *,
        options: SessionOptions | None = None,
        state: DialogueState | None = None,
        pipeline: Pipeline | None = None,
        watcher: Watcher | None = None,
    ) -> Session:
        """A live caller; use it with `async with`. `pipeline` replaces the stages, for one who only listens, say."""
        stages = pipeline or self.pipeline
        return Session(stages, self._workers, Vad.load(), options=options, state=state, watcher=watcher)

    def warm(self) -> None:
        """Synthesize the replies that never change, so that they are there at once; kept in the cache folder."""
        if isinstance(self.pipeline.synthesizer, CachedSynthesizer):
            self.pipeline.synthesizer.warm(fixed_replies(self.domain))

    def close(self) -> None:
        """Let the worker threads end."""
        self._workers.close()


def _checked(samples: Samples) -> Samples:
    """Raise `AudioError` unless the samples are what every stage expects."""
    if samples.ndim != 1 or samples.dtype != np.float32:
        raise AudioError(
            f"samples must be float32 of shape (n_samples,) at {audio.SAMPLE_RATE} Hz, "
            f"not {samples.dtype} of shape {samples.shape}"
        )
    if not len(samples):
        raise AudioError("the recording holds no samples")
    return samples


def fixed_replies(domain: Domain) -> tuple[str, ...]:
    """What the assistant says in the same words each time: templates without a gap."""
    templates = [text for variants in astuple(domain.replies) for text in variants]
    for intent in domain.intents.values():
        templates += [*intent.replies, *intent.confirm, *(question for slot in intent.slots for question in slot.ask)]
    return tuple(dict.fromkeys(render(text, {}) for text in templates if not names(text)))


def speech_spans(samples: Samples) -> list[tuple[int, int]]:
    """From where to where there is speech, in samples: turns, joined as long as recognition takes them in one piece."""
    state, options = TurnState(), TurnOptions()
    spans: list[tuple[float, float]] = []
    began_s = 0.0
    n_silent = round(options.longest_silence_s / CHUNK_S) + 1  # the end of the recording ends its last turn
    for probability in [*probabilities(samples), *[0.0] * n_silent]:
        state, events = step(state, float(probability), options=options)
        for event in events:
            match event:
                case SpeechBegan(at_s=at_s):
                    began_s = max(0.0, at_s - PRE_ROLL_S)
                case TurnOver(speech_end_s=end_s):
                    joins = spans and end_s - spans[-1][0] <= _LONGEST_PIECE_S
                    first_s = spans.pop()[0] if joins else began_s
                    spans.append((first_s, end_s + PRE_ROLL_S))
    return [(round(start_s * audio.SAMPLE_RATE), round(end_s * audio.SAMPLE_RATE)) for start_s, end_s in spans]


def _load_hearing(domain: Domain, options: AssistantOptions) -> tuple[Recognizer, Bias | None, Corrector | None]:
    recognizer = _load_recognizer(domain, options)
    if not options.bias:
        return recognizer, None, None
    bias = recognizer.compile_bias(bias_phrases(domain), sentences=likely_sentences(domain))
    return recognizer, bias, Corrector.compile(domain)


def _own_model(domain: Domain, options: AssistantOptions, stage: Stage) -> Path | None:
    """The folder of the domain's own model for a stage, if it has one and it is wanted."""
    if stage in options.candidates:
        return options.candidates[stage]
    return promoted(domain.folder, stage) if options.adapted else None


def _load_recognizer(domain: Domain, options: AssistantOptions) -> Recognizer:
    own = _own_model(domain, options, Stage.ASR)
    folder = own or models.resolve(domain.models.recognizer)
    if (folder / "model.bin").is_file():  # CTranslate2's, as faster-whisper reads it
        from rejoinder.asr.whisper import WhisperRecognizer

        return WhisperRecognizer.load(folder, device=options.device, n_threads=options.n_threads)
    decoding = MoonshineOptions(phrase_boost=OWN_PHRASE_BOOST) if own else MoonshineOptions()
    return MoonshineRecognizer.load(folder, device=options.device, n_threads=options.n_threads, options=decoding)


def load_understander(
    domain: Domain, options: AssistantOptions, *, today: Callable[[], date] = date.today
) -> Understander:
    """The part of an assistant that understands; `today` dates "tomorrow"."""
    folder = models.resolve(domain.models.encoder)
    device, n_threads = options.device, options.n_threads
    cache = models.cache_folder() / "nlu" if options.cache else None
    encoder = Encoder.load(folder, device=device, n_threads=n_threads, cache=cache)
    joint = reader = None
    if (own := _own_model(domain, options, Stage.NLU)) is not None:
        joint = JointModel.load(own, device=device, n_threads=n_threads)
    if (own := _own_model(domain, options, Stage.READER)) is not None:
        reader = Reader.load(own, device=device, n_threads=n_threads)
    return Understander.fit(domain, encoder, joint=joint, reader=reader, cache=cache, today=today)


def _load_synthesizer(domain: Domain, options: AssistantOptions) -> Synthesizer:
    return CachedSynthesizer(load_voice(domain, options), models.cache_folder() / "tts" if options.cache else None)


def load_voice(domain: Domain, options: AssistantOptions) -> CacheableSynthesizer:
    """The voice of an assistant, without a memory of what it said."""
    tuned = read_tuned(domain.folder / FOLDER / TUNED) if options.adapted else None
    lexicon = compile_lexicon(domain.terms, tuned=tuned)
    own = _own_model(domain, options, Stage.VOICE)
    folder = own or models.resolve(domain.models.voice)
    if own is not None:
        from rejoinder.tts.vits import VitsSynthesizer

        return VitsSynthesizer.load(folder, lexicon=lexicon, n_threads=options.n_threads, device=options.device)
    if (folder / "hibari.onnx").is_file():
        return HibariSynthesizer.load(folder, lexicon=lexicon, n_threads=options.n_threads, device=options.device)
    from rejoinder.tts.piper import PiperSynthesizer

    return PiperSynthesizer.load(folder, lexicon=lexicon)
