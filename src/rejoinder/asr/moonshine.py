"""Moonshine on ONNX Runtime with decoding of our own: drafts, contextual biasing, hypotheses.

The model is Jeffries et al. 2024, "Moonshine: Speech Recognition for Live Transcription and Voice Commands".
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rejoinder import models
from rejoinder.asr.beam import beam_search
from rejoinder.asr.biasing import ROOT, CompiledBias
from rejoinder.asr.correction import joined, replaced, split_words
from rejoinder.asr.decoder import OWN_DECODER, Array, Decoder, Keys, TokenTree, differences, log_probabilities
from rejoinder.asr.recognizer import Bias, BiasPhrase, Transcript, Word
from rejoinder.asr.tokenizer import BEGIN_ID, END_ID, Tokenizer
from rejoinder.audio import SAMPLE_RATE
from rejoinder.errors import ModelError
from rejoinder.events import Samples

SHORTEST_S = 0.1
"""Audio shorter than this holds no word."""

PADDED_S = 0.5
"""Shorter audio is padded with silence to this: the encoder's convolutions need some."""

TOKENS_PER_S = 6.5
"""The most tokens that a second of speech makes, from the model's authors."""

QUIETEST_PEAK = 1e-4
"""Audio that never gets louder is silence."""

N_REPEATS = 4
LONGEST_LOOP = 6
"""Decoding stops when it has said the same one to six tokens four times in a row."""


@dataclass(frozen=True, slots=True)
class MoonshineOptions:
    """How to decode."""

    n_slack_tokens: int = 8
    """Tokens allowed beyond `TOKENS_PER_S`, for short utterances."""
    token_boost: float = 0.5
    """What a token of a biased phrase gains while decoding, in logits."""
    phrase_boost: float = 18.0
    """Log-probability that a biased phrase of weight 1 may cost more than the words in whose place it is put."""
    n_rounds: int = 3
    """How often replacements are weighed, each time on top of those of the round before."""
    n_tokens_after: int = 3
    """Tokens after a replacement that are scored with it: how well the text goes on."""


class MoonshineRecognizer:
    """A `Recognizer`; make it with `load`."""

    def __init__(self, encoder: Any, decoder: Decoder, tokenizer: Tokenizer, options: MoonshineOptions) -> None:
        self._encoder = encoder
        self._decoder = decoder
        self._tokenizer = tokenizer
        self._options = options

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        device: str = "cpu",
        n_threads: int = 1,
        options: MoonshineOptions = MoonshineOptions(),
    ) -> "MoonshineRecognizer":
        """Open the model in `folder`: `encoder_model`, `decoder_model_merged` (each .ort or .onnx), `tokenizer.bin`.

        A model that was fine-tuned (`adapt.asr`) has `decoder_model.onnx` and `cross_model.onnx` for its decoder.
        `device` is "auto", "cpu" or "cuda". The first time, a graph of our own is made of the decoder (2 s) and kept in
        `models.cache_folder()`. Raises `ModelError` when a file is missing or damaged.
        """
        import onnxruntime

        folder = Path(folder)
        providers = models.providers(device)
        session_options = models.session_options(n_threads)
        # A server has more sessions than cores: a thread that waits must not burn the core that another could use.
        session_options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        encoder_path = model_file(folder, "encoder_model")
        decoder_path = folder / OWN_DECODER
        if not decoder_path.is_file():
            decoder_path = model_file(folder, "decoder_model_merged")
        tokenizer = Tokenizer.load(folder / "tokenizer.bin")
        try:
            encoder = onnxruntime.InferenceSession(str(encoder_path), session_options, providers=providers)
        except Exception as error:  # ONNX Runtime's own exceptions have no common base
            raise ModelError(f"{encoder_path}: is damaged or no ONNX model; install the model anew") from error
        decoder = Decoder.load(
            decoder_path,
            cache=models.cache_folder() / "moonshine",
            providers=providers,
            session_options=session_options,
        )
        return cls(encoder, decoder, tokenizer, options)

    def compile_bias(self, phrases: Sequence[BiasPhrase], *, sentences: Sequence[str] = ()) -> Bias:
        """Compile phrases, and sentences whose words to guess at, once, for many calls to `transcribe`."""
        return CompiledBias(phrases, self._tokenizer, token_boost=self._options.token_boost, sentences=sentences)

    def transcribe(
        self, samples: Samples, *, bias: Bias | None = None, draft: Transcript | None = None, n_best: int = 1
    ) -> Transcript:
        """Recognize `samples`, float32 of shape (n_samples,) at `audio.SAMPLE_RATE`; see `Recognizer`.

        `bias` comes from `compile_bias`. With `n_best`, the other hypotheses of a beam of that width come along.
        Silence and less than `SHORTEST_S` give an empty transcript.
        """
        if len(samples) < SHORTEST_S * SAMPLE_RATE or float(np.abs(samples).max()) < QUIETEST_PEAK:
            return Transcript("")
        compiled = bias if isinstance(bias, CompiledBias) else None
        cross = self._decoder.listen(self._encode(samples))
        n_most = int(len(samples) / SAMPLE_RATE * TOKENS_PER_S) + self._options.n_slack_tokens
        transcript = self._decode(cross, compiled, draft.tokens if draft else (), n_most)
        if compiled and transcript.tokens:
            transcript = self._rescore(transcript, compiled, cross)
        if n_best > 1 and transcript.tokens:
            beams = beam_search(self._decoder, cross, compiled, n_beams=n_best, n_most=n_most)
            others = {beam.text: beam for beam in (self._transcript(b.tokens, b.log_probs, 0) for b in beams)}
            different = [other for text, other in others.items() if text not in ("", transcript.text)]
            transcript = replace(transcript, alternatives=tuple(different[: n_best - 1]))
        return transcript

    def _encode(self, samples: Samples) -> Array:
        """(n_samples,) -> (1, n_frames, d_model)"""
        n_padding = max(0, int(PADDED_S * SAMPLE_RATE) - len(samples))
        padded = np.pad(samples, (0, n_padding)).astype(np.float32)[None]
        mask = np.ones(padded.shape, np.int64)
        return np.asarray(self._encoder.run(None, {"input_values": padded, "attention_mask": mask})[0])

    def _decode(self, cross: Keys, bias: CompiledBias | None, draft: Sequence[int], n_most: int) -> Transcript:
        """Greedy decoding; the tokens of `draft`, then guesses, are checked several at once and kept while right."""
        guess = list(draft[:n_most]) or (bias.continuations.after(()) if bias else [])
        logits, past = self._decoder.read([BEGIN_ID, *guess], self._decoder.empty, cross)
        n_calls, row, state = 1, 0, ROOT
        tokens: list[int] = []
        log_probs: list[float] = []
        while True:
            token = int(_boosted(logits[row], bias, state).argmax())
            if token == END_ID or len(tokens) == n_most or _loops(tokens):
                break
            tokens.append(token)
            log_probs.append(float(log_probabilities(logits, [row], [token])[0]))
            state = bias.graph.advance(state, token) if bias else ROOT
            if row < len(guess) and guess[row] == token:
                row += 1
                continue
            guess, row = bias.continuations.after(tokens) if bias else [], 0
            logits, past = self._decoder.read([token, *guess], past[:, :, :, : len(tokens)], cross)
            n_calls += 1
        return self._transcript(tokens, log_probs, n_calls)

    def _transcript(self, tokens: Sequence[int], log_probs: Sequence[float], n_calls: int) -> Transcript:
        words: list[Word] = []
        start = 0
        for end in range(1, len(tokens) + 1):
            if end == len(tokens) or self._tokenizer.starts_word(tokens[end]):
                word = self._tokenizer.decode(tokens[start:end]).strip()
                if word:
                    words.append(Word(word, float(np.exp(min(log_probs[start:end])))))
                start = end
        confidence = float(np.exp(np.mean(log_probs))) if log_probs else 0.0
        text = self._tokenizer.decode(tokens)
        return Transcript(text, confidence, tuple(words), tuple(tokens), (), n_calls)

    def _rescore(self, transcript: Transcript, bias: CompiledBias, cross: Keys) -> Transcript:
        """Put phrases where they sound alike and the audio bears them out."""
        words = split_words(transcript.words)
        n_calls = transcript.n_decoder_calls
        changed = False
        for _ in range(self._options.n_rounds):
            proposals = bias.finder.proposals([w.text for w in words], [w.confidence for w in words])
            if not proposals:
                break
            texts = [replaced(words, proposal) for proposal in proposals]
            losses = self._losses(joined(words), [joined(text) for text in texts], cross)
            n_calls += 1
            gains = [
                self._options.phrase_boost * sum(change.weight for change in proposal) - loss
                for proposal, loss in zip(proposals, losses, strict=True)
            ]
            best = int(np.argmax(gains))
            if gains[best] <= 0:
                break
            words = texts[best]
            changed = True
        if not changed:
            return replace(transcript, n_decoder_calls=n_calls)
        return replace(transcript, text=joined(words), words=words, n_decoder_calls=n_calls)

    def _losses(self, heard: str, texts: Sequence[str], cross: Keys) -> list[float]:
        """How much log-probability each of `texts` loses against `heard`, given the audio; one decoder call."""
        reference, *others = (self._tokenizer.encode(text) for text in (heard, *texts))
        spans = differences(reference, others, self._options.n_tokens_after)
        reference_end = max(span.stop for span, _ in spans)
        ends = [reference_end, *(span.stop for _, span in spans)]
        tree, ways = TokenTree.of([text[: end - 1] for text, end in zip((reference, *others), ends, strict=True)])
        logits = self._decoder.read_tree(tree, cross)

        def score(text: Sequence[int], way: Sequence[int], span: range) -> float:
            targets = (*text, END_ID)
            return float(log_probabilities(logits, [way[i] for i in span], [targets[i] for i in span]).sum())

        return [
            score(reference, ways[0], span) - score(text, way, own_span)
            for text, way, (span, own_span) in zip(others, ways[1:], spans, strict=True)
        ]


def model_file(folder: Path, name: str) -> Path:
    """The file of a graph, `.ort` or `.onnx`; raises `ModelError` when there is none."""
    for path in (folder / f"{name}.ort", folder / f"{name}.onnx"):
        if path.is_file():
            return path
    raise ModelError(f"{folder}: holds no {name}.ort or {name}.onnx; type: rejoinder doctor")


def _boosted(logits: Array, bias: CompiledBias | None, state: int) -> Array:
    """The logits of one position, (n_vocabulary,), with what the bias adds."""
    if bias is None:
        return logits
    tokens, boosts = bias.graph.boosts(state)
    boosted = logits.copy()
    boosted[tokens] += boosts
    return boosted


def _loops(tokens: Sequence[int]) -> bool:
    """Whether decoding goes round in circles."""
    return any(
        len(tokens) >= N_REPEATS * n and list(tokens[-N_REPEATS * n :]) == list(tokens[-n:]) * N_REPEATS
        for n in range(1, LONGEST_LOOP + 1)
    )
