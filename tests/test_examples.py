"""The two domains that ship: they load, every pattern speaks, their functions do what they say."""

import json
import os
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from rejoinder.domain import Domain
from rejoinder.domain.grammar import sample, sentences
from rejoinder.tts.lexicon import compile_lexicon

EXAMPLES = Path(__file__).parent.parent / "examples"
DATA = Path(os.environ.get("REJOINDER_DATA", EXAMPLES.parent.parent / "shared" / "data"))


def module(folder: Path) -> ModuleType:
    spec = spec_from_file_location(f"actions_of_{folder.name}", folder / "actions.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(params=["cafe", "pharmacy"])
def folder(request: pytest.FixtureRequest) -> Path:
    return EXAMPLES / str(request.param)


def test_every_pattern_speaks(folder: Path) -> None:
    domain = Domain.load(folder)
    for intent in domain.intents.values():
        for pattern in intent.patterns:
            found = sample(pattern, domain.slots, n=20)
            assert found
            assert all(text and "  " not in text and not set(text) & set("{}[]()|") for text in found)


def test_every_pronunciation_can_be_read(folder: Path) -> None:
    terms = Domain.load(folder).terms
    assert len(compile_lexicon(terms).pronunciations) >= sum(term.spoken is not None for term in terms) > 0


class TestCafe:
    def test_recordings_say_only_what_the_domain_knows(self) -> None:
        cafe = Domain.load(EXAMPLES / "cafe")
        known = {name: {choice.value for choice in slot.choices} for name, slot in cafe.slots.items()}
        lines = (EXAMPLES / "cafe" / "recordings.jsonl").read_text(encoding="utf-8").splitlines()
        assert len(lines) == 40
        for line in map(json.loads, lines):
            assert (EXAMPLES / "cafe" / line["audio_filepath"]).is_file()
            assert line["intent"] in cafe.intents
            assert all(value in known[slot] for slot, value in line["slots"].items())

    @pytest.mark.data
    @pytest.mark.skipif(not DATA.is_dir(), reason="needs the data sets; set REJOINDER_DATA")
    def test_slots_are_those_of_the_data_set(self) -> None:
        import yaml

        cafe = Domain.load(EXAMPLES / "cafe")
        wanted = yaml.safe_load((DATA / "cafe" / "orders.yaml").read_text(encoding="utf-8"))["slots"]
        assert {name: sorted(values) for name, values in wanted.items()} == {
            name: sorted(choice.value for choice in slot.choices) for name, slot in cafe.slots.items()
        }

    def test_every_drink_has_a_price(self) -> None:
        actions = module(EXAMPLES / "cafe")
        drinks = [choice.value for choice in Domain.load(EXAMPLES / "cafe").slots["coffeeDrink"].choices]
        assert {
            drink: actions.price({"coffeeDrink": drink})["price"] for drink in drinks
        }.keys() == actions.PRICES.keys()

    def test_price_adds_up(self) -> None:
        order = {"coffeeDrink": "latte", "size": "large", "milkAmount": "some soy milk", "sugarAmount": "sugar"}
        assert module(EXAMPLES / "cafe").price(order) == {"price": "$5.00", "extras": "some soy milk and sugar"}

    def test_orders_are_numbered(self) -> None:
        actions = module(EXAMPLES / "cafe")
        assert [actions.place_order({"coffeeDrink": "latte"})["order"] for _ in range(2)] == ["1", "2"]
        assert len(actions.orders) == 2


class TestPharmacy:
    def test_has_forty_medicines_that_are_pronounced(self) -> None:
        domain = Domain.load(EXAMPLES / "pharmacy")
        assert sum(term.type == "drug" and term.spoken is not None for term in domain.terms) >= 40

    def test_tables_name_only_medicines_of_the_domain(self) -> None:
        actions = module(EXAMPLES / "pharmacy")
        known = {term.written for term in Domain.load(EXAMPLES / "pharmacy").terms if term.type == "drug"}
        named = {*actions.GENERICS, *actions.GENERICS.values(), *actions.SPECIAL, *actions.NOT_IN_STOCK_AS_GENERIC}
        assert named | {name for pair in actions.INTERACTIONS for name in pair} <= known

    def test_interactions_hold_for_brands_and_in_either_order(self) -> None:
        interaction = module(EXAMPLES / "pharmacy").interaction
        for pair in ({"drug": "Xarelto", "other_drug": "aspirin"}, {"drug": "aspirin", "other_drug": "rivaroxaban"}):
            assert "may raise the risk of bleeding" in interaction(pair)["answer"]
        assert "same active ingredient" in interaction({"drug": "Lipitor", "other_drug": "atorvastatin"})["answer"]

    def test_no_pair_is_ever_called_safe(self) -> None:
        domain, interaction = Domain.load(EXAMPLES / "pharmacy"), module(EXAMPLES / "pharmacy").interaction
        drugs = [choice.value for choice in domain.slots["drug"].choices]
        for drug in drugs:
            for other in drugs:
                answer = interaction({"drug": drug, "other_drug": other})["answer"]
                assert answer.endswith("Please ask the pharmacist before you take them together.")

    def test_generics_copays_and_refills(self) -> None:
        actions = module(EXAMPLES / "pharmacy")
        assert actions.generic({"drug": "Lipitor"})["answer"].startswith("Yes, the generic for Lipitor is atorvastatin")
        assert actions.generic({"drug": "metformin"})["answer"] == "Metformin is a generic already."
        assert actions.generic({"drug": "Xarelto"})["answer"].startswith("Xarelto is rivaroxaban. We have no generic")
        assert [
            actions.copay({"drug": d})["answer"].split("$")[1][:2] for d in ("metformin", "Lipitor", "Ozempic")
        ] == [
            "10",
            "40",
            "75",
        ]
        assert "ready" in actions.refill_status({"prescription": "4152637"})["status"]
        assert "can't find" in actions.refill_status({"prescription": "0000000"})["status"]
        assert actions.order_refill({"drug": "metformin"}) == {"confirmation": "1 0 0 1"}

    def test_medical_advice_goes_to_the_pharmacist(self) -> None:
        intents = Domain.load(EXAMPLES / "pharmacy").intents
        assert {name for name, intent in intents.items() if intent.ends == "transfer"} == {
            "dosage",
            "emergency",
            "pharmacist",
        }


def test_no_sentence_belongs_to_two_intents(folder: Path) -> None:
    domain = Domain.load(folder)
    owners: dict[str, str] = {}
    for intent in domain.intents.values():
        for pattern in intent.patterns:
            for text in sentences(pattern, domain.slots, limit=300):
                assert owners.setdefault(text, intent.name) == intent.name, text
