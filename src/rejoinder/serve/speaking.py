"""A text's audio as it is made: what the doors for speech synthesis share."""

from collections.abc import AsyncIterator

from rejoinder.events import Samples
from rejoinder.serve.calls import Calls


async def spoken(calls: Calls, text: str) -> AsyncIterator[Samples]:
    """The audio, clause by clause, each float32 of shape (n_samples,) at the synthesizer's `sample_rate`.

    The next clause is made when it is asked for, so that nobody's audio piles up. Raises `TimeoutError` when one takes
    longer than the setting `stage_timeout_s`.
    """
    pieces = calls.assistant.pipeline.synthesize(text)
    run, timeout_s = calls.assistant.workers.run, calls.settings.stage_timeout_s
    while (piece := await run(lambda: next(pieces, None), timeout_s=timeout_s)) is not None:
        yield piece
