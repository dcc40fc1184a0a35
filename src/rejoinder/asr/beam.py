"""Several hypotheses from a small beam, all continued by one decoder call a step."""

from dataclasses import dataclass, replace

import numpy as np

from rejoinder.asr.biasing import ROOT, CompiledBias
from rejoinder.asr.decoder import HIDDEN_SCORE, Array, Decoder, Keys
from rejoinder.asr.tokenizer import BEGIN_ID, END_ID


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """The beginning of a text."""

    tokens: tuple[int, ...] = ()
    log_probs: tuple[float, ...] = ()
    score: float = 0.0
    """Log-probability with what the bias gave."""
    state: int = ROOT
    """Where it stands in the bias's graph."""
    nodes: tuple[int, ...] = ()
    """Places of its tokens among all that the decoder has read."""
    ended: bool = False

    @property
    def rank(self) -> float:
        """Score by token, so that long texts are not at a disadvantage."""
        return self.score / (len(self.tokens) + 1)


def beam_search(
    decoder: Decoder, cross: Keys, bias: CompiledBias | None, *, n_beams: int, n_most: int
) -> list[Hypothesis]:
    """The best `n_beams` texts of at most `n_most` tokens, best first.

    The beams share one past: each token sees, by its mask, only those of its own text.
    """
    beams = [Hypothesis()]
    past = decoder.empty
    for step in range(n_most + 1):
        open_beams = [beam for beam in beams if not beam.ended]
        if not open_beams:
            break
        n_past, n = past.shape[3], len(open_beams)
        mask = np.full((n, n_past + n), HIDDEN_SCORE, np.float32)
        for row, beam in enumerate(open_beams):
            mask[row, [*beam.nodes, n_past + row]] = 0.0
        tokens = [beam.tokens[-1] if beam.tokens else BEGIN_ID for beam in open_beams]
        logits, past = decoder.read(tokens, past, cross, positions=[step] * n, mask=mask)
        log_probs = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
        grown = [
            longer
            for row, beam in enumerate(open_beams)
            for longer in _continuations(beam, log_probs[row], bias, n_past + row, n_beams)
        ]
        kept = [beam for beam in beams if beam.ended] + grown
        beams = sorted(kept, key=lambda beam: -(beam.rank if beam.ended else beam.score / (step + 1)))[:n_beams]
    return sorted(beams, key=lambda beam: -beam.rank)


def _continuations(
    beam: Hypothesis, log_probs: Array, bias: CompiledBias | None, node: int, n_most: int
) -> list[Hypothesis]:
    """The likeliest next tokens of one hypothesis, which is itself now read at `node`."""
    scores = log_probs.copy()
    if bias:
        tokens, boosts = bias.graph.boosts(beam.state)
        scores[tokens] += boosts
        scores -= bias.graph.pending(beam.state)
    result = []
    for token in np.argpartition(scores, -n_most)[-n_most:].tolist():
        longer = replace(beam, score=beam.score + float(scores[token]), nodes=(*beam.nodes, node))
        if token == END_ID:
            result.append(replace(longer, ended=True))
            continue
        result.append(
            replace(
                longer,
                tokens=(*beam.tokens, token),
                log_probs=(*beam.log_probs, float(log_probs[token])),
                state=bias.graph.advance(beam.state, token) if bias else ROOT,
            )
        )
    return result
