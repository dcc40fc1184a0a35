"""Whatever a session may emit, in any order: for what watches over calls."""

import numpy as np
from hypothesis import strategies as st

from rejoinder.events import (
    ActionRun,
    BackchannelHeard,
    Event,
    PartialTranscript,
    ReplyAudio,
    ReplyContinued,
    ReplyDone,
    ReplyStarted,
    SessionEnded,
    SpeechStarted,
    StageFailed,
    TurnEnded,
    Understanding,
    Understood,
)

_UNDERSTANDING = Understanding("x", "order", 0.9, {"drink": "tea"}, "pattern")
_EVENT: st.SearchStrategy[Event] = st.sampled_from(
    [
        *(
            SpeechStarted(0.1),
            PartialTranscript("a", 0, 0.2),
            TurnEnded("a", 0.9, 0.5, 0.7),
            Understood(_UNDERSTANDING, 0.7),
        ),
        *(TurnEnded("a b", 0.9, 0.9, 1.0, continues=True), ReplyStarted("b", 1.0), ReplyContinued("c", 1.1)),
        *(ReplyAudio(np.zeros(1, np.float32), 24_000, 1.1, 0.1), ReplyDone(True, 1.2), ReplyDone(False, 1.2)),
        *(BackchannelHeard("uh-huh", 1.3), ActionRun("order", True, 0.1, 1.3), StageFailed("synthesis", "E", 1.4)),
        *(StageFailed("recognition", "E", 1.4), SessionEnded("closed", 1.5)),
    ]
)

EVENTS = st.lists(_EVENT, max_size=30)
