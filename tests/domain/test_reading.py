"""What domain.yaml compiles to: the short forms, forms of values, includes, knowledge, the scaffold."""

from pathlib import Path
from textwrap import dedent

import pytest

from rejoinder.domain import Action, Choice, Domain, IntentSlot, LlmSettings, SlotKind, Term
from rejoinder.domain.knowledge import read_passages
from rejoinder.domain.scaffold import create
from rejoinder.errors import DomainError

HELLO = "intents:\n  hello: {examples: [hello], reply: Hi.}\n"


def load(folder: Path, text: str) -> Domain:
    (folder / "domain.yaml").write_text(dedent(text), encoding="utf-8")
    return Domain.load(folder)


def forms(domain: Domain, slot: str) -> dict[str, tuple[str, ...]]:
    return {choice.value: choice.forms for choice in domain.slots[slot].choices}


class TestTopLevel:
    def test_name_is_the_folders_unless_given(self, tmp_path: Path) -> None:
        assert load(tmp_path, HELLO).name == tmp_path.name
        assert load(tmp_path, HELLO + "name: Corner Cafe").name == "Corner Cafe"

    def test_takes_the_file_as_well_as_the_folder(self, tmp_path: Path) -> None:
        folder = load(tmp_path, HELLO)
        assert Domain.load(tmp_path / "domain.yaml") == folder

    def test_voice_is_short_for_models(self, tmp_path: Path) -> None:
        assert load(tmp_path, HELLO + "voice: joe").models.voice == "joe"
        assert load(tmp_path, HELLO + "models: {voice: joe}").models.voice == "joe"

    def test_llm_thresholds_and_out_of_scope(self, tmp_path: Path) -> None:
        domain = load(
            tmp_path,
            HELLO
            + 'llm: {url: "http://localhost:1/v1", model: m, topics: coffee}\n'
            + "thresholds: {intent: 0.7}\nout_of_scope: a b",
        )
        assert domain.llm == LlmSettings("http://localhost:1/v1", "m", topics=("coffee",))
        assert (domain.thresholds.intent, domain.thresholds.knowledge) == (0.7, 0.55)
        assert domain.out_of_scope_examples == ("a b",)

    def test_replies_override_one_by_one(self, tmp_path: Path) -> None:
        replies = load(tmp_path, HELLO + "replies: {greeting: Hi!, idle: [A?, B?]}").replies
        assert (replies.greeting, replies.idle, replies.goodbye) == (("Hi!",), ("A?", "B?"), ("Goodbye.",))

    def test_every_scalar_is_the_text_that_was_written(self, tmp_path: Path) -> None:
        domain = load(tmp_path, HELLO + "slots:\n  s: [no, off, 007, 1.50, 12:30, 2026-01-05, 'null', yes]")
        assert list(forms(domain, "s")) == ["no", "off", "007", "1.50", "12:30", "2026-01-05", "null", "yes"]

    def test_anchors_and_aliases(self, tmp_path: Path) -> None:
        domain = load(tmp_path, HELLO + "slots:\n  first: &v [a, b]\n  second: *v")
        assert forms(domain, "first") == forms(domain, "second")

    def test_byte_order_mark(self, tmp_path: Path) -> None:
        (tmp_path / "domain.yaml").write_text("\ufeff" + HELLO, encoding="utf-8")
        assert list(Domain.load(tmp_path).intents) == ["hello"]


class TestTerms:
    def test_plain_and_whole(self, tmp_path: Path) -> None:
        text = """\
            terms:
              - oat milk
              - {written: Xarelto, spoken: zuh-REL-toe, sounds_like: czar alto, type: drug, synonyms: ["X (10|20)"]}
            """
        assert load(tmp_path, HELLO + dedent(text)).terms == (
            Term("oat milk"),
            Term("Xarelto", "zuh-REL-toe", ("czar alto",), "drug", ("X 10", "X 20")),
        )

    def test_a_value_with_a_pronunciation_is_a_term(self, tmp_path: Path) -> None:
        domain = load(tmp_path, HELLO + "slots:\n  s:\n    - {value: latte, spoken: LAH-tay, sounds_like: lattay}")
        assert domain.terms == (Term("latte", "LAH-tay", ("lattay",)),)
        assert domain.slots["s"].choices == (Choice("latte", ("latte", "lattay"), ("lattay",)),)


class TestSlots:
    def test_kinds(self, tmp_path: Path) -> None:
        slots = load(
            tmp_path,
            HELLO + "slots:\n  d: date\n  n: {kind: number, min: 1, max: 2.5}\n  c: {kind: code, lengths: [7, 10]}",
        ).slots
        assert slots["d"].kind is SlotKind.DATE
        assert (slots["n"].min, slots["n"].max, slots["c"].lengths) == (1, 2.5, (7, 10))

    def test_values_expand(self, tmp_path: Path) -> None:
        domain = load(tmp_path, HELLO + "slots:\n  s: {values: '[some] (milk|soy milk)'}\n  t: ['[dark] roast']")
        assert list(forms(domain, "s")) == ["some milk", "some soy milk", "milk", "soy milk"]
        assert list(forms(domain, "t")) == ["dark roast", "roast"]

    def test_synonyms_of_parts_multiply(self, tmp_path: Path) -> None:
        text = """\
            slots:
              s:
                values: [a lot of soy milk, milk]
                synonyms: {a lot of: [plenty of], soy milk: soya}
            """
        assert forms(load(tmp_path, HELLO + dedent(text)), "s") == {
            "a lot of soy milk": ("a lot of soy milk", "plenty of soy milk", "a lot of soya", "plenty of soya"),
            "milk": ("milk",),
        }

    def test_type_takes_terms_with_their_forms_and_values_take_those_of_terms_inside(self, tmp_path: Path) -> None:
        text = """\
            terms:
              - {written: espresso, type: drink, sounds_like: [expresso], synonyms: [short black]}
            slots:
              drink: {type: drink}
              order: ["[double] espresso", espressos]
            """
        domain = load(tmp_path, HELLO + dedent(text))
        assert forms(domain, "drink") == {"espresso": ("espresso", "short black", "expresso")}
        assert forms(domain, "order")["double espresso"] == ("double espresso", "double short black", "double expresso")
        assert forms(domain, "order")["espressos"] == ("espressos",)
        assert domain.slots["drink"].choices[0].sounds_like == ("expresso",)


class TestIntents:
    def test_short_forms(self, tmp_path: Path) -> None:
        (tmp_path / "actions.py").write_text("from os import getcwd as place\ndef price(slots): ...", encoding="utf-8")
        text = """\
            phrases: {want: "I (want|need)", really: really <want>}
            slots: {drink: [tea], size: [big], sugar: yes_no, day: date}
            intents:
              order:
                patterns: "<really> [{size}] {drink}"
                slots:
                  drink: What would you like?
                  size:
                  day: {required: true, ask: [Which day?, When?]}
                compute: actions:price
                action: {call: actions:place, timeout_s: 1.5, failure: Oh no.}
                confirm: "{drink}, {anything}?"
                reply: [Done., "Right."]
              listed:
                examples: [a, b]
                slots: [size, sugar]
                action: {webhook: "https://example.org/x"}
                ends: hangup
            """
        intents = load(tmp_path, text).intents
        order, listed = intents["order"], intents["listed"]
        assert order.patterns == ("(really (I (want|need))) [{size}] {drink}",)
        assert order.slots == (
            IntentSlot("drink", True, ("What would you like?",)),
            IntentSlot("size"),
            IntentSlot("day", True, ("Which day?", "When?")),
        )
        assert order.action == Action("order", call="actions:place", timeout_s=1.5, failure="Oh no.")
        assert (order.compute, order.replies) == ("actions:price", ("Done.", "Right."))
        assert listed.slots == (IntentSlot("size"), IntentSlot("sugar"))
        assert listed.action == Action("listed", webhook="https://example.org/x")
        assert listed.ends == "hangup"

    def test_a_module_is_not_run_to_be_checked(self, tmp_path: Path) -> None:
        (tmp_path / "actions.py").write_text("raise SystemExit\ndef price(slots): ...", encoding="utf-8")
        load(tmp_path, "intents: {a: {examples: b, reply: c, compute: 'actions:price'}}")


class TestIncludes:
    def test_lists_join_and_mappings_merge(self, tmp_path: Path) -> None:
        (tmp_path / "parts").mkdir()
        (tmp_path / "parts" / "a.yaml").write_text("terms: [b]\nslots: {t: date}\ninclude: b.yaml", encoding="utf-8")
        (tmp_path / "parts" / "b.yaml").write_text("terms: [c]\nname: From b", encoding="utf-8")
        domain = load(tmp_path, HELLO + "include: parts/*.yaml\nterms: [a]\nslots: {s: [x]}")
        assert [term.written for term in domain.terms] == ["a", "b", "c"]
        assert (list(domain.slots), domain.name) == (["s", "t"], "From b")


class TestKnowledge:
    def test_a_passage_a_heading(self, tmp_path: Path) -> None:
        page = """\
            Before any heading.

            # Opening *hours*
            ## Holidays
            Closed on [Christmas](https://example.org),
            open **otherwise**.

            - bring your `card`
            - be early!

            | day | hours |
            |-----|-------|
            | Sun | 9 to 5 |

            ```
            code
            ```
            <!-- comment -->
            ![picture](x.png)
            """
        (tmp_path / "opening-hours.md").write_text(dedent(page), encoding="utf-8")
        passages = read_passages(tmp_path / "opening-hours.md", name="knowledge/opening-hours.md")
        assert [(p.source, p.heading, p.text) for p in passages] == [
            ("knowledge/opening-hours.md#opening hours", "opening hours", "Before any heading."),
            (
                "knowledge/opening-hours.md#Holidays",
                "Holidays",
                "Closed on Christmas, open otherwise. bring your card. be early! Sun, 9 to 5.",
            ),
        ]

    def test_a_file_under_two_globs_is_read_once(self, tmp_path: Path) -> None:
        (tmp_path / "a.md").write_text("# A\nb", encoding="utf-8")
        assert len(load(tmp_path, "knowledge: ['*.md', a.md]").passages) == 1


class TestScaffold:
    @pytest.mark.parametrize("name", [None, 'Bob\'s: "Best" \\ #1'])
    def test_is_a_domain_that_works(self, name: str | None, tmp_path: Path) -> None:
        folder = tmp_path / "my-shop"
        written = create(folder, name)
        assert sorted(path for path in folder.rglob("*") if path.is_file()) == written
        domain = Domain.load(folder)
        assert domain.name == (name or "my shop")
        assert domain.intents
        assert domain.passages
        assert any(term.spoken for term in domain.terms)

    def test_overwrites_nothing_and_then_writes_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "domain.yaml").write_text("mine", encoding="utf-8")
        with pytest.raises(DomainError, match=r"domain.yaml is there already; type another folder: rejoinder init"):
            create(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["domain.yaml"]
        assert (tmp_path / "domain.yaml").read_text(encoding="utf-8") == "mine"

    def test_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("", encoding="utf-8")
        with pytest.raises(DomainError, match="cannot be written: Not a directory"):
            create(tmp_path / "file" / "shop")
