"""Synthetic callers of the cafe, over real SIP and RTP: are they understood, how soon answered, can they interrupt?

python -m benchmarks.phone_calls [--condition phone+noise10] [--echo-db 30] [--gate-db 20] [--quieter-db 10] [-n 8]
"""

import argparse
import asyncio
import statistics
import time
from dataclasses import dataclass, field

import numpy as np

from benchmarks.corpus import CAFE
from benchmarks.telephone import Telephone, telephone
from rejoinder import Assistant
from rejoinder.audio import SAMPLE_RATE, resample
from rejoinder.conditions import condition
from rejoinder.events import Event, ReplyAudio, ReplyDone, Samples, Understood
from rejoinder.serve.calls import CallInfo, Calls
from rejoinder.serve.settings import Settings
from rejoinder.serve.telephony.line import LineOptions
from rejoinder.serve.telephony.sip import serve_sip

SAID = (
    "could I have a large latte with oat milk",
    "what time do you close today",
    "a small cappuccino please",
    "do you have anything gluten free",
    "I would like two flat whites to go",
    "can I get a medium mocha with whipped cream",
    "one espresso and a croissant please",
    "where are you located",
)
INTERRUPTING = "sorry wait actually what are your opening hours"
LOUD = 0.02
"""A sample beyond this is speech."""


@dataclass
class Heard:
    """What one session did."""

    events: list[Event] = field(default_factory=list)

    def event(self, event: Event) -> None:
        """Keep it."""
        self.events.append(event)

    def audio(self, frame: Samples) -> None:
        """Nothing is done with the caller's audio."""

    def closed(self) -> None:
        """Nothing is done at the end."""

    @property
    def n_interrupted(self) -> int:
        """How often a reply was interrupted."""
        return sum(isinstance(event, ReplyDone) and event.interrupted for event in self.events)


@dataclass(frozen=True)
class Result:
    """One call."""

    intents: tuple[str | None, ...]
    answered_s: float | None
    """From the last sample of speech to the first sound of the reply."""
    silenced_s: float | None
    """From the first sample of the interruption to silence."""
    n_self_interrupted: int


async def until_loud(phone: Telephone, loud: bool, *, timeout_s: float = 4.0) -> float | None:
    """Seconds until the line is loud, or silent; None when it does not become so."""
    began_s = time.monotonic()
    while (took_s := time.monotonic() - began_s) < timeout_s:
        if (np.abs(phone.heard_samples[-320:]).max(initial=0.0) > LOUD) is np.bool_(loud):
            return took_s
        await asyncio.sleep(0.005)
    return None


async def converse(port: int, calls: list[Heard], speech: Samples, interruption: Samples, echo: float) -> Result:
    """Hear the greeting, ask, hear a second of the answer and interrupt."""
    async with telephone(port) as phone:
        phone.echo = echo
        await asyncio.sleep(0.1)
        heard = calls[-1]
        while not any(isinstance(event, ReplyDone) for event in heard.events):
            await asyncio.sleep(0.02)
        audio = [event for event in heard.events if isinstance(event, ReplyAudio)]
        await asyncio.sleep(sum(len(event.samples) / event.sample_rate for event in audio) + 0.5)
        n_greeting = len(heard.events)
        await phone.say(speech)
        answered_s = await until_loud(phone, True)
        await asyncio.sleep(1.2)
        intents = [event.understanding.intent for event in heard.events[n_greeting:] if isinstance(event, Understood)]
        n_self, began_s = heard.n_interrupted, time.monotonic()
        interrupting = asyncio.create_task(phone.say(interruption))
        silenced_s = None
        while silenced_s is None and time.monotonic() - began_s < 4.0:
            await asyncio.sleep(0.01)
            if heard.n_interrupted > n_self and await until_loud(phone, False) is not None:
                silenced_s = time.monotonic() - began_s
        await interrupting
        await phone.hang_up()
    return Result(tuple(intents), answered_s, silenced_s, n_self)


async def run(arguments: argparse.Namespace) -> None:
    """All calls, one after the other."""
    assistant = Assistant.load(CAFE)
    assistant.warm()
    change, rng = condition(arguments.condition), np.random.default_rng(0)

    def speak(text: str) -> Samples:
        synthesizer = assistant.pipeline.synthesizer
        samples = np.concatenate(list(synthesizer.synthesize(text)))
        samples = np.trim_zeros(resample(samples * (np.abs(samples) > 0.003), synthesizer.sample_rate, SAMPLE_RATE))
        return change(samples.astype(np.float32), rng)

    heard: list[Heard] = []

    def watch(_: CallInfo) -> Heard:
        heard.append(Heard())
        return heard[-1]

    echo = 0.0 if arguments.echo_db is None else 10 ** (-arguments.echo_db / 20)
    interruption = (speak(INTERRUPTING) * 10 ** (-arguments.quieter_db / 20)).astype(np.float32)
    options = LineOptions(echo_loss_db=arguments.gate_db)
    results = []
    n_understood = 0
    async with serve_sip(Calls(assistant, Settings(), watchers=[watch]), "127.0.0.1", 0, options=options) as port:
        for text in SAID[: arguments.n]:
            result = await converse(port, heard, speak(text), interruption, echo)
            n_understood += assistant.ask(text).understanding.intent in result.intents
            results.append(result)
            print(f"{text}: {result}")
    assistant.close()
    answered = [result.answered_s for result in results if result.answered_s is not None]
    silenced = [result.silenced_s for result in results if result.silenced_s is not None]
    print(f"understood {n_understood} of {len(results)}")
    if answered:
        print(
            f"first sound of the reply after {min(answered):.2f} s at best, {statistics.median(answered):.2f} s median"
        )
    if silenced:
        print(f"silence after {statistics.median(silenced):.2f} s median, in {len(silenced)} of {len(results)}")
    print(f"interrupted itself {sum(result.n_self_interrupted for result in results)} times")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--condition", default="phone", help="what the voice is heard through")
    parser.add_argument("--echo-db", type=float, help="how much weaker the echo on the line is; none: there is no echo")
    parser.add_argument("--gate-db", type=float, default=LineOptions().echo_loss_db, help="what counts as echo")
    parser.add_argument("--quieter-db", type=float, default=0.0, help="how much weaker the interruption is")
    parser.add_argument("-n", type=int, default=len(SAID), help="how many calls")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
