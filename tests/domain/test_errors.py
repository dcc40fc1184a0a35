# ruff: noqa: E501  (a message is a line)
"""Every way in which domain.yaml can be wrong: the file, the line, what is wrong, the choices."""

import re
from pathlib import Path
from textwrap import dedent

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rejoinder.domain import Domain
from rejoinder.errors import DomainError

HELLO = "intents:\n  hello: {examples: [hello], reply: Hi.}\n"
"""The least that makes a domain; what follows it begins in line 3."""


def problems(folder: Path, text: str, **files: str) -> list[str]:
    """The lines of the error that a domain.yaml raises, without the folder's name."""
    (folder / "domain.yaml").write_text(dedent(text), encoding="utf-8")
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(dedent(content), encoding="utf-8")
    with pytest.raises(DomainError) as error:
        Domain.load(folder)
    return str(error.value).replace(f"{folder}/", "").splitlines()


SLOT_KINDS = "known: closed, code, date, money, number, phone, time, yes_no"

BROKEN = {
    "unknown key": (
        HELLO + "intens: {}",
        "domain.yaml:3: unknown key 'intens' (did you mean 'intents'? known: description, include, intents, knowledge, "
        "language, llm, models, name, out_of_scope, phrases, replies, slots, … (3 more))",
    ),
    "unknown key of a term": (
        HELLO + "terms:\n  - copay\n  - written: Eliquis\n    sound_like: eloquis",
        "domain.yaml:6: unknown key 'sound_like' (did you mean 'sounds_like'? known: sounds_like, spoken, synonyms, type, "
        "written)",
    ),
    "unknown key of an action": (
        'intents:\n  a:\n    examples: a\n    reply: b\n    action: {webhook: "http://x.org", timeout: 2}',
        "domain.yaml:5: unknown key 'timeout' (did you mean 'timeout_s'? known: call, failure, timeout_s, webhook)",
    ),
    "missing key": (HELLO + "terms:\n  - spoken: KOH-pay", "domain.yaml:4: 'written' is missing"),
    "text expected": (HELLO + "name: [a, b]", "domain.yaml:3: 'name' must be a text"),
    "text is empty": (HELLO + "terms: ['']", "domain.yaml:3: 'written' is empty"),
    "mapping expected": (HELLO + "slots: [size]", "domain.yaml:3: 'slots' must be a mapping (key: value)"),
    "list expected": (HELLO + "terms: {a: b}", "domain.yaml:3: 'terms' must be a list"),
    "number expected": (
        HELLO + "slots:\n  n: {kind: number, max: many}",
        "domain.yaml:4: 'max' must be a number, not 'many'",
    ),
    "whole number expected": (
        HELLO + "slots:\n  c:\n    kind: code\n    lengths:\n      - 7\n      - 7.5",
        "domain.yaml:8: 'lengths' must be a whole number, not '7.5'",
    ),
    "true or false expected": (
        "slots: {d: date}\nintents:\n  a:\n    examples: a\n    reply: b\n    slots:\n      d:\n        required: maybe",
        "domain.yaml:8: 'required' must be true or false, not 'maybe'",
    ),
    "threshold above one": (HELLO + "thresholds:\n  intent: 50", "domain.yaml:4: 'intent' must be 1 or less, not 50"),
    "threshold below zero": (
        HELLO + "thresholds: {knowledge: -0.1}",
        "domain.yaml:3: 'knowledge' must be 0 or more, not -0.1",
    ),
    "timeout of nothing": (
        'intents:\n  a:\n    examples: a\n    reply: b\n    action: {webhook: "http://x.org", timeout_s: 0}',
        "domain.yaml:5: 'timeout_s' must be more than 0, not 0",
    ),
    "webhook that is no URL": (
        "intents:\n  a:\n    examples: a\n    reply: b\n    action: {webhook: x.org}",
        "domain.yaml:5: 'webhook' must be a URL that begins with http:// or https://, not 'x.org'",
    ),
    "function without a module": (
        "intents:\n  a:\n    examples: a\n    reply: b\n    compute: price",
        "domain.yaml:5: 'compute' must name a function of the domain folder as module:function, not 'price'",
    ),
    "language": (
        HELLO + "language: English",
        "domain.yaml:3: 'language' must be a language tag like en or en-GB, not 'English'",
    ),
    "name of a slot": (
        HELLO + "slots:\n  drink size: [small]",
        "domain.yaml:4: 'drink size' is not a name: letters, digits and _ only, and no digit first",
    ),
    "kind of a slot": (
        HELLO + "slots:\n  n: nubmer",
        f"domain.yaml:4: 'kind' cannot be 'nubmer' (did you mean 'number'? {SLOT_KINDS})",
    ),
    "end of a call": (
        "intents:\n  a:\n    examples: a\n    ends: hang up",
        "domain.yaml:4: 'ends' cannot be 'hang up' (did you mean 'hangup'? known: hangup, transfer)",
    ),
    "empty file": ("", "domain.yaml:1: the domain is empty: it needs 'intents', 'knowledge' or both"),
    "nothing to talk about": ("name: a", "domain.yaml:1: the domain is empty: it needs 'intents', 'knowledge' or both"),
    "not a mapping": ("- a\n- b", "domain.yaml:1: must be a mapping of keys (name, slots, intents, …)"),
    "key twice": (HELLO + "name: a\nname: b", "domain.yaml:4: 'name' is given twice (first in line 3)"),
    "voice twice": (
        HELLO + "voice: joe\nmodels: {voice: hibari}",
        "domain.yaml:3: 'voice' is given twice (the other one is in 'models')",
    ),
    "not YAML": (
        HELLO + "name: 'a",
        "domain.yaml:3: not valid YAML: while scanning a quoted scalar found unexpected end of stream",
    ),
    "brackets not in quotes": (
        "intents:\n  a:\n    patterns:\n      - [please] stop",
        "domain.yaml:4: not valid YAML: while parsing a block collection expected <block end>, but found '<scalar>'; a text "
        "must stand in quotes if it begins with [ or {, has ': ' in it, or a comma or ? inside brackets",
    ),
    "an alias of itself": (
        HELLO + "terms: &t\n  - *t",
        "domain.yaml:3: not valid YAML: an alias stands inside what it stands for",
    ),
    "term twice": (
        HELLO + "terms:\n  - Eliquis\n  - eliquis",
        "domain.yaml:5: the term 'eliquis' is given twice (first at domain.yaml:4)",
    ),
    "term as a value with a pronunciation": (
        HELLO + "terms: [latte]\nslots:\n  d:\n    - {value: latte, spoken: LAH-tay}",
        "domain.yaml:6: the term 'latte' is given twice (first at domain.yaml:3)",
    ),
    "synonym of two terms": (
        HELLO + "terms:\n  - {written: soda, synonyms: [pop]}\n  - {written: lolly, synonyms: [pop]}",
        "domain.yaml:5: 'pop' stands for both 'lolly' and 'soda' (domain.yaml:4)",
    ),
    "synonym that is a term": (
        HELLO + "terms:\n  - {written: Coumadin, synonyms: [warfarin]}\n  - warfarin",
        "domain.yaml:4: 'warfarin' stands for both 'Coumadin' and 'warfarin' (domain.yaml:5)",
    ),
    "value twice": (
        HELLO + "slots:\n  s:\n    - large\n    - large",
        "domain.yaml:6: the value 'large' is given twice in slot 's'",
    ),
    "synonym of two values": (
        HELLO + "slots:\n  s:\n    - {value: large, synonyms: [big]}\n    - {value: huge, synonyms: [big]}",
        "domain.yaml:4: 'big' stands for both 'huge' and 'large' in slot 's'",
    ),
    "synonym that is a value, in other digits": (
        HELLO + "slots:\n  s:\n    - {value: large, synonyms: [20 oz]}\n    - twenty ounce",
        "domain.yaml:4: '20 oz' stands for both 'large' and 'twenty ounce' in slot 's'",
    ),
    "synonyms of many values": (
        HELLO + "slots:\n  s:\n    - {value: (light|dark) roast, synonyms: [roast]}",
        "domain.yaml:5: '(light|dark) roast' stands for 2 values, so it cannot have forms of its own; put synonyms of its "
        "parts under the slot's 'synonyms', or write them as terms",
    ),
    "too many values": (
        HELLO + "slots:\n  s:\n    - '[(a|b|c|d)] [(e|f|g|h)] [(i|j|k|l)] [(m|n|o|p)] [(q|r|s|t)]'",
        "domain.yaml:5: '[(a|b|c|d)] [(e|f|g|h)] [(i|j|k|l)] [(m|n|o|p)] [(q|r|s|t)]' stands for more than 2000 values",
    ),
    "slot in a value": (HELLO + "slots:\n  s: ['{t} cup']", "domain.yaml:4: the pattern uses {t}, which is not a slot"),
    "slot without values": (
        HELLO + "slots:\n  s:",
        "domain.yaml:4: slot 's' has no values: give it 'values', a 'type' of terms, or an open 'kind'",
    ),
    "type without terms": (
        HELLO + "terms: [{written: Eliquis, type: drug}]\nslots:\n  s:\n    type: drugs\n    values: [a]",
        "domain.yaml:6: no term has the type 'drugs' (did you mean 'drug'? known: drug)",
    ),
    "key of another kind": (
        HELLO + "slots:\n  d: {kind: date, min: 1}",
        "domain.yaml:4: slot 'd' is of the kind 'date', which has no 'min'",
    ),
    "bounds in disorder": (
        HELLO + "slots:\n  n:\n    kind: number\n    min: 5\n    max: 4.5",
        "domain.yaml:6: 'min' 5 is above 'max' 4.5 in slot 'n'",
    ),
    "intent without sentences": (
        "intents:\n  a: {reply: b}",
        "domain.yaml:2: intent 'a' has neither 'patterns' nor 'examples'",
    ),
    "intent without words": ("intents:\n  a: {examples: [b]}", "domain.yaml:2: intent 'a' has no 'reply'"),
    "slot of an intent": (
        "slots: {drug: [a]}\nintents:\n  a:\n    examples: [b]\n    slots: {drg: Which one?}\n    reply: c",
        "domain.yaml:5: intent 'a' lists the slot 'drg', which is not declared under 'slots' (did you mean 'drug'? known: "
        "drug)",
    ),
    "slot of a pattern, undeclared": (
        "slots: {drug: [a]}\nintents:\n  a:\n    patterns:\n      - b\n      - 'c {drog}'\n    reply: c",
        "domain.yaml:6: the pattern uses {drog}, which is not declared under 'slots' (did you mean 'drug'? known: drug)",
    ),
    "slot of a pattern, not listed": (
        "slots: {drug: [a]}\nintents:\n  a:\n    patterns: ['c {drug}']\n    reply: c",
        "domain.yaml:4: the pattern uses {drug}, which intent 'a' does not list under its 'slots'",
    ),
    "slot with another name": (
        "slots: {drug: [a]}\nintents:\n  a:\n    patterns: ['c {drug:other}']\n    slots: [drug]\n    reply: c",
        "domain.yaml:4: '{drug:other}' must be the name of one slot",
    ),
    "required slot without a question": (
        "slots: {drug: [a]}\nintents:\n  a:\n    examples: [b]\n    slots:\n      drug: {required: true}\n    reply: c",
        "domain.yaml:6: the required slot 'drug' has no question; give it 'ask'",
    ),
    "bracket never closed": (
        "intents:\n  a:\n    patterns: ['(b|c']\n    reply: c",
        "domain.yaml:3: the pattern '(b|c' has a '(' that is never closed",
    ),
    "bracket never opened": (
        "intents:\n  a:\n    patterns: ['b|c)']\n    reply: c",
        "domain.yaml:3: the pattern 'b|c)' has a ')' that closes nothing",
    ),
    "empty brackets": (
        "intents:\n  a:\n    patterns: ['b [] c']\n    reply: c",
        "domain.yaml:3: the pattern 'b [] c' has empty brackets '[]'",
    ),
    "unknown phrase": (
        "phrases: {want: I want}\nintents:\n  a:\n    patterns: ['<wnat> b']\n    reply: c",
        "domain.yaml:4: the pattern uses <wnat>, which is not declared under 'phrases' (did you mean 'want'? known: want)",
    ),
    "phrases in a circle": (
        "phrases: {a: <b>, b: <a>}\nintents:\n  a:\n    patterns: <a>\n    reply: c",
        "domain.yaml:4: phrases use each other in a circle: a -> b -> a",
    ),
    "example of two intents": (
        "intents:\n  a: {examples: [Good day!], reply: c}\n  b: {examples: [good day], reply: c}",
        "domain.yaml:3: 'good day' is said for both 'b' and 'a' (domain.yaml:2)",
    ),
    "slot of a template": (
        "slots: {drug: [a]}\nintents:\n  a:\n    examples: [b]\n    slots: [drug]\n    reply: 'Your {drgu}.'",
        "domain.yaml:6: the template uses {drgu}, which is unknown here (did you mean 'drug'? known: drug)",
    ),
    "result before the action": (
        'intents:\n  a:\n    examples: [b]\n    action: {webhook: "https://x.org"}\n    confirm: "{sum}?"\n    reply: "{sum}"',
        "domain.yaml:5: the template uses {sum}, which is unknown here (known: none)",
    ),
    "result that is not returned": (
        'intents:\n  a:\n    examples: [b]\n    action: {webhook: "https://x.org"}\n    returns: number\n    reply: "{numbr}"',
        "domain.yaml:6: the template uses {numbr}, which is unknown here (did you mean 'number'? known: number)",
    ),
    "template": (
        "intents:\n  a:\n    examples: [b]\n    reply: 'Your {'",
        "domain.yaml:4: column 6 of the template 'Your {': '{' must be followed by a slot's name and '}'; write \\{ for a brace",
    ),
    "returns from nothing": (
        "intents:\n  a:\n    examples: [b]\n    returns: [c]\n    reply: d",
        "domain.yaml:4: intent 'a' has 'returns' but neither 'compute' nor 'action'",
    ),
    "action without anything": (
        "intents:\n  a:\n    examples: [b]\n    reply: d\n    action: {timeout_s: 3}",
        "domain.yaml:5: the action of intent 'a' needs either 'call' or 'webhook'",
    ),
    "module": (
        "intents:\n  a:\n    examples: [b]\n    reply: d\n    action: action:pay",
        "domain.yaml:5: 'action:pay': there is no action.py (did you mean 'actions'? known: actions, broken)",
    ),
    "function": (
        "intents:\n  a:\n    examples: [b]\n    reply: d\n    compute: actions:prize",
        "domain.yaml:5: 'actions:prize': actions.py has no function 'prize' (did you mean 'price'? known: price)",
    ),
    "module that is no Python": (
        "intents:\n  a:\n    examples: [b]\n    reply: d\n    compute: broken:price",
        "domain.yaml:5: 'broken:price': broken.py:2 is not valid Python: expected ':'",
    ),
    "reply for a situation": (
        HELLO + "replies: {greetings: Hi!}",
        "domain.yaml:3: unknown reply 'greetings' (did you mean 'greeting'? known: again, cancelled, declined, goodbye, "
        "greeting, help, idle, not_understood, nothing_to_cancel, nothing_to_repeat, out_of_scope, resume, … (2 more))",
    ),
    "reply with a slot": (
        HELLO + "replies: {thanks: 'You are welcome, {name}.'}",
        "domain.yaml:3: the template uses {name}, which is unknown here (known: none)",
    ),
    "knowledge that is not there": (
        "knowledge: pages/*.md",
        "domain.yaml:1: no file matches 'pages/*.md' in {folder}",
    ),
    "knowledge without text": ("knowledge:\n  - empty.md", "domain.yaml:2: empty.md holds no text"),
    "language model without an address": (HELLO + "llm:\n  model: small", "domain.yaml:3: 'url' is missing"),
    "include that is not there": (
        HELLO + "include:\n  - more.yaml",
        "domain.yaml:4: no file matches 'more.yaml' in {folder}",
    ),
    "include of nothing": (
        HELLO + "include: {a: b}",
        "domain.yaml:3: 'include' must be a file name or a list of file names",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_says_file_line_and_what_is_wrong(name: str, tmp_path: Path) -> None:
    text, expected = BROKEN[name]
    actions = "def price(slots):\n    return {}\n\n\nPRICES = 3\n"
    found = problems(
        tmp_path, text, actions__py=actions, broken__py="\ndef price(slots)\n", empty__md="<!-- none -->\n"
    )
    assert found == [expected.replace("{folder}", str(tmp_path))]


def test_reports_every_problem_in_one_go_in_the_order_of_the_lines(tmp_path: Path) -> None:
    text = """\
        colour: red
        slots:
          size: [small, small]
          day: daet
        intents:
          order:
            paterns: ["a {size}"]
            patterns: ["a {sise}", "(b", "on {day}"]
            slots: {size: {required: true}, day: }
            reply: "{siz}"
        thresholds:
          intent: high
        """
    found = problems(tmp_path, text)
    assert [line.split(":")[1] for line in found] == ["1", "3", "4", "7", "8", "8", "9", "10", "12"]
    assert found[-1] == "domain.yaml:12: 'intent' must be a number, not 'high'"


def test_names_the_included_file(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        "include: more.yaml\nslots: {size: [a]}\n" + HELLO,
        more__yaml="terms:\n  - {writen: a}\nslots:\n  size: [b]\n",
    )
    assert found == [
        "more.yaml:2: 'written' is missing",
        "more.yaml:2: unknown key 'writen' (did you mean 'written'? known: sounds_like, spoken, synonyms, type, written)",
        "more.yaml:4: 'size' in 'slots' is given twice (first at domain.yaml:2)",
    ]


def test_reports_broken_yaml_of_every_file(tmp_path: Path) -> None:
    found = problems(tmp_path, "include: [a.yaml, b.yaml]", a__yaml="a: [", b__yaml="b: {")
    assert [line.split(":")[0] for line in found] == ["a.yaml", "b.yaml"]


def test_finds_files_that_include_each_other(tmp_path: Path) -> None:
    found = problems(tmp_path, "include: a.yaml", a__yaml="include: domain.yaml")
    assert found == ["a.yaml:1: files include each other in a circle: domain.yaml -> a.yaml -> domain.yaml"]


def test_a_wrong_item_of_a_list_does_not_move_the_lines_of_the_next(tmp_path: Path) -> None:
    text = "terms:\n  - {spoken: a}\n  - b\n  - {written: c, oops: 1}\n  - b\n" + HELLO
    assert problems(tmp_path, text) == [
        "domain.yaml:2: 'written' is missing",
        "domain.yaml:4: unknown key 'oops' (known: sounds_like, spoken, synonyms, type, written)",
        "domain.yaml:5: the term 'b' is given twice (first at domain.yaml:3)",
    ]


def test_says_how_to_begin_where_there_is_no_domain(tmp_path: Path) -> None:
    with pytest.raises(
        DomainError, match=rf"{tmp_path}/domain.yaml: there is no such file; .*: rejoinder init {tmp_path}"
    ):
        Domain.load(tmp_path)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "domain.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(DomainError, match=r"domain.yaml:1: is not UTF-8 text \(byte 6\)"):
        Domain.load(tmp_path)


SCALARS = st.sampled_from(
    ["", "a", "b c", "{a}", "[x] (y|z)", "(", "3", "-1", "date", "true", "a:b", "http://x.org", None, 7]
)
KEYS = st.sampled_from(
    "name voice models terms slots intents phrases replies knowledge thresholds out_of_scope llm written spoken type a b "
    "synonyms values value kind min lengths patterns examples confirm reply compute action call webhook ask ends url".split()
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=25
)


@settings(max_examples=300, deadline=None)
@given(data=st.dictionaries(KEYS, ANYTHING, min_size=1, max_size=6))
def test_whatever_it_says_it_loads_or_every_problem_has_a_line(
    data: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("domain")
    (folder / "domain.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    try:
        Domain.load(folder)
    except DomainError as error:
        for line in str(error).splitlines():
            assert re.match(rf"{re.escape(str(folder))}/domain\.yaml:\d+: \S", line)
