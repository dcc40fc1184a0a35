"""Conversations as their owners write them: what is read, and what is said about mistakes."""

from pathlib import Path

import pytest

from rejoinder.conditions import CONDITIONS
from rejoinder.domain import Domain
from rejoinder.errors import DomainError, one_of
from rejoinder.evaluate.conversation import (
    COMMANDS,
    Conversation,
    Expected,
    Manner,
    Turn,
    contains,
    domain_conversations,
    read_conversations,
)
from rejoinder.nlu import commands

DOMAIN = """
name: shop
slots:
  size:
    - small
    - {value: large, synonyms: [big, very big]}
  day: date
intents:
  order:
    slots: {size: {required: true, ask: Which size?}, day: }
    patterns: ["a {size} one [on {day}]"]
    action: {webhook: "http://localhost:1/order"}
    reply: Done.
  hours:
    examples: [when are you open, what are your hours]
    reply: From nine to five.
knowledge: [pages.md]
"""


@pytest.fixture
def shop(tmp_path: Path) -> Domain:
    (tmp_path / "domain.yaml").write_text(DOMAIN)
    (tmp_path / "pages.md").write_text("# Pages\n\n## Parking\nThere is parking behind the house.\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "call.wav").write_bytes(b"")
    return Domain.load(tmp_path)


def read(shop: Domain, text: str) -> tuple[Conversation, ...]:
    path = shop.folder / "tests" / "calls.yaml"
    path.write_text(text)
    return read_conversations(path, shop)


def problems(shop: Domain, text: str) -> list[str]:
    """What is said about a file, its folder left out."""
    with pytest.raises(DomainError) as raised:
        read(shop, text)
    return str(raised.value).replace(f"{shop.folder}/tests/", "").splitlines()


def problems_of_turn(shop: Domain, turn: str, *, before: str = "hello") -> list[str]:
    """What is said about one turn, the second of its conversation; its line is 5."""
    return problems(shop, f"conversations:\n- name: a\n  turns:\n  - {before}\n  - {turn}\n")


def test_a_domain_without_conversations(shop: Domain) -> None:
    assert domain_conversations(shop) == ()


def test_every_key(shop: Domain) -> None:
    conversations = read(
        shop,
        """
pretend: {order: {number: "12"}}
condition: phone
conversations:
  - name: all of it
    voice: joe
    pretend: {order: fails}
    turns:
      - says: [hello, /help|assist/]
      - a big one
      - caller: tomorrow
        recording: call.wav
        at_s: 1.5
        interrupted: true
        voice: hibari
        speed: 1.25
        condition: noise10
        intent: order
        slots: {size: BIG, day: tomorrow}
        says: Done
        not_says: sorry
        source: Parking
        action: order
        ends: none
        within_ms: 800
      - silence_s: 12
        slots: none
  - name: the second
    turns: [hello]
""",
    )
    first, second = conversations
    assert (first.name, first.file, first.line) == ("all of it", "tests/calls.yaml", 5)
    assert first.pretend == {"order": None}
    assert second.pretend == {"order": {"number": "12"}}
    greeting, order, change, silence = first.turns
    assert greeting.only_listens
    assert greeting.expected == Expected(says=("hello", "/help|assist/"))
    assert order == Turn("a big one", manner=Manner("joe", 1.0, "phone"))
    assert change.recording == shop.folder / "tests" / "call.wav"
    assert change.manner == Manner("hibari", 1.25, "noise10")
    assert (change.caller, change.at_s) == ("tomorrow", 1.5)
    assert change.expected == Expected(
        intent="order",
        slots={"size": "large", "day": "tomorrow"},
        says=("Done",),
        not_says=("sorry",),
        source="Parking",
        action="order",
        interrupted=True,
        ends="none",
        within_ms=800.0,
    )
    assert (silence.silence_s, silence.caller, silence.expected) == (12.0, None, Expected(slots={}))
    assert second.turns == (Turn("hello", manner=Manner(condition="phone")),)


def test_files_are_read_by_name_and_all_their_problems_told(shop: Domain) -> None:
    for name in ("b", "a"):
        (shop.folder / "tests" / f"{name}.yaml").write_text(f"conversations: [{{name: of {name}, turns: [hello]}}]")
    assert [one.name for one in domain_conversations(shop)] == ["of a", "of b"]
    for name in ("b", "a"):
        (shop.folder / "tests" / f"{name}.yaml").write_text("talks: []")
    with pytest.raises(DomainError) as raised:
        domain_conversations(shop)
    assert [line.split(":")[0][-6:] for line in str(raised.value).splitlines()] == ["a.yaml", "b.yaml"]


@pytest.mark.parametrize(
    ("turn", "problem"),
    [
        ("{callr: hi}", "unknown key 'callr' (did you mean 'caller'? known: action, at_s, caller, "),
        ("{caller: hi, intent: ordr}", "unknown intent 'ordr' (did you mean 'order'? known: "),
        ("{caller: hi, action: hours}", "unknown action 'hours' (known: fails, none, order)"),
        ("{caller: hi, ends: hang}", "unknown end 'hang' (did you mean 'hangup'?"),
        ("{caller: hi, slots: {sise: small}}", "unknown slot 'sise' (did you mean 'size'? known: day, size)"),
        ("{caller: hi, slots: {size: smal}}", "'smal' is no value of the slot 'size' (did you mean 'small'? known: "),
        ("{caller: hi, slots: small}", "'slots' must be a mapping (key: value)"),
        ("{caller: hi, source: Parkin lot}", "no answer of the knowledge stands in 'Parkin lot' "),
        ("{caller: hi, says: '/a(/'}", "/a(/ is not a regular expression: missing ), unterminated subpattern"),
        ("{caller: hi, not_says: [a, '/*/']}", "/*/ is not a regular expression: nothing to repeat"),
        ("{recording: cal.wav}", "there is no recording "),
        ("{caller: hi, voice: jo}", "unknown voice 'jo' (did you mean 'joe'? known: hibari, joe)"),
        ("{caller: hi, condition: rain}", "unknown condition 'rain' "),
        ("{caller: hi, speed: 9}", "'speed' must be 2 or less, not 9"),
        ("{caller: hi, within_ms: soon}", "'within_ms' must be a number, not 'soon'"),
        ("{caller: hi, interrupted: maybe, at_s: 1}", "'interrupted' must be true or false, not 'maybe'"),
        ("{caller: hi, interrupted: true}", "'interrupted' needs 'at_s': how many seconds into the reply"),
        ("{silence_s: 3, caller: hi}", "'silence_s' is a turn of its own"),
        ("{silence_s: 3, at_s: 1}", "'at_s' needs a caller who speaks then"),
        ("{says: hi}", "a turn needs 'caller', 'recording' or 'silence_s'"),
    ],
)
def test_a_mistake_in_a_turn_is_one_clear_line(shop: Domain, turn: str, problem: str) -> None:
    (line,) = problems_of_turn(shop, turn)
    assert line.startswith(f"calls.yaml:5: {problem}")


def test_mistakes_around_turns(shop: Domain) -> None:
    assert problems(
        shop,
        """pretend: {hours: fails, order: sometimes}
voice: jo
conversations:
- name: a
  turns: [{caller: hi, at_s: 1}]
- name: a
  condition: rain
  turns: [hi, there]
- turns: [hi]
- name: b
  turns: []
""",
    ) == [
        "calls.yaml:1: 'order' must be 'fails', or a mapping of what the action returns",
        "calls.yaml:1: unknown action 'hours' (known: order)",
        "calls.yaml:2: unknown voice 'jo' (did you mean 'joe'? known: hibari, joe)",
        "calls.yaml:5: 'at_s' is when a caller speaks over the reply before: there is none",
        "calls.yaml:6: 'a' is given twice (first in line 4)",
        f"calls.yaml:7: unknown condition 'rain' ({one_of(CONDITIONS)}; join several with +)",
        "calls.yaml:9: 'name' is missing",
        "calls.yaml:11: 'turns' is empty",
    ]


def test_what_is_not_conversations_at_all(shop: Domain) -> None:
    assert problems(shop, "- hello") == ["calls.yaml:1: must be a mapping of keys (conversations, pretend, voice, …)"]
    assert problems(shop, "conversations: {a") != []
    assert read(shop, "") == ()


def test_the_commands_are_those_of_understanding() -> None:
    assert set(COMMANDS) == set(commands._COMMANDS)


@pytest.mark.parametrize(
    ("text", "wanted", "found"),
    [
        ("A large latte, that's $4.50.", "LARGE  latte", True),
        ("A large latte, that’s $4.50.", "that's $4.50", True),
        ("A large latte, that's $4.50.", "large mocha", False),
        ("Your order number is 12.", r"/number is \d+/", True),
        ("Your order number is 12.", r"/^number/", False),
        ("A/B", "/", True),
        ("a b", "//", False),
    ],
)
def test_what_a_reply_contains(text: str, wanted: str, found: bool) -> None:
    assert contains(text, wanted) is found


@pytest.mark.parametrize("name", ["cafe", "pharmacy"])
def test_the_conversations_that_ship_fit_their_domain(name: str) -> None:
    domain = Domain.load(Path(__file__).parent.parent.parent / "examples" / name)
    assert len(domain_conversations(domain)) >= 8
