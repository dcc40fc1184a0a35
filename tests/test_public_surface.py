"""The public surface is frozen here: whoever changes a name changes this file, on purpose, and the changelog."""

import dataclasses
import inspect
from pathlib import Path
from typing import get_args

import pytest

import rejoinder
from rejoinder import build, errors, events
from rejoinder.assistant import AssistantOptions
from rejoinder.cli import main


def public(thing: type) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


def test_names_of_the_package() -> None:
    assert set(rejoinder.__all__) == {"Assistant", "Domain", "RejoinderError", "Session", "SpokenReply", "__version__"}
    for name in rejoinder.__all__:
        assert getattr(rejoinder, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = rejoinder.Nothing


def test_the_type_checker_sees_the_same_names() -> None:
    source = Path(rejoinder.__file__).read_text()
    for name in set(rejoinder.__all__) - {"__version__"}:
        assert f"import {name} as {name}" in source


def test_assistant() -> None:
    assert public(rejoinder.Assistant) >= {"load", "ask", "hear", "conversation", "session", "domain", "close"}
    assert {field.name for field in dataclasses.fields(rejoinder.SpokenReply)} >= {
        *("transcript", "understanding", "text", "audio", "sample_rate", "timings_ms", "source", "ends"),
    }


def test_adapted_models() -> None:
    assert {stage.value for stage in build.Stage} == {"asr", "nlu", "reader", "voice"}
    assert {field.name for field in dataclasses.fields(build.Card)} == {
        *("id", "stage", "base", "created", "data", "recipe", "before", "after", "verdict", "reason", "hashes"),
        *("minutes", "consent"),
    }
    assert {field.name for field in dataclasses.fields(AssistantOptions)} == {
        *("device", "n_threads", "bias", "cache", "adapted", "candidates"),
    }


def test_session() -> None:
    assert public(rejoinder.Session) >= {
        "feed",
        "next_event",
        "events",
        "submit_text",
        "interrupt",
        "close",
        "set_bias",
    }
    for name in ("feed", "next_event", "close", "set_bias"):
        assert inspect.iscoroutinefunction(getattr(rejoinder.Session, name))


def test_events() -> None:
    assert {event.__name__ for event in get_args(events.Event)} == {
        *(
            "SpeechStarted",
            "PartialTranscript",
            "TurnEnded",
            "TurnDropped",
            "Understood",
            "ReplyStarted",
            "ReplyContinued",
            "ReplyAudio",
            "ReplyDone",
        ),
        *("BackchannelHeard", "ActionRun", "StageFailed", "SessionEnded"),
    }
    for event in get_args(events.Event):
        assert dataclasses.is_dataclass(event)
        assert "at_s" in {field.name for field in dataclasses.fields(event)}


def test_errors() -> None:
    tree = {error.__name__ for error in errors.RejoinderError.__subclasses__()}
    assert tree == {
        *("DomainError", "AudioError", "ModelError", "MissingExtraError", "ActionError", "SettingsError", "AdaptError"),
    }
    assert errors.AdaptError.__subclasses__() == [errors.ManifestError]


def test_commands_and_their_options() -> None:
    options = {
        name: {
            option
            for param in command.params
            for option in (*param.opts, *param.secondary_opts)
            if option.startswith("--")
        }
        - {"--device", "--verbose"}
        for name, command in main.commands.items()
    }
    assert options == {
        "init": set(),
        "check": set(),
        "ask": {"--audio", "--json", "--out", "--conversation", "--no-bias"},
        "talk": {"--loudspeaker"},
        "adapt": {
            *(
                "--instant",
                "--deep",
                "--manifest",
                "--canary",
                "--questions",
                "--base",
                "--lora",
                "--epochs",
                "--recipe",
            ),
            *("--seed", "--voice-data", "--consent", "--status", "--rollback", "--keep-work", "--json"),
            *("--ray", "--address", "--workers", "--cpus", "--tune"),
        },
        "evaluate": {
            *("--set", "--compare", "--conditions", "--noise", "--only", "--text", "--no-latency", "--callers"),
            *("--repeat", "--fail-under", "--out", "--keep-audio", "--junit", "--json", "--report"),
        },
        "loadtest": {"--set", "--callers", "--seconds", "--bound-ms", "--json"},
        "serve": {
            *("--config", "--print-config", "--new-key", "--name", "--host", "--port", "--keys", "--origin"),
            *("--tls-certificate", "--tls-key", "--max-sessions", "--max-requests"),
            *("--wyoming-port", "--riva-port", "--sip-port", "--trusted", "--twilio-token"),
            *("--sip-transfer", "--twilio-transfer", "--store", "--store-audio", "--otel-endpoint"),
            *("--ray", "--replicas", "--calls-per-replica", "--cpus", "--gpus"),
        },
        "deploy": {
            *("--config", "--address", "--drain-s", "--config-out", "--kuberay", "--image"),
            *("--replicas", "--calls-per-replica", "--cpus", "--gpus"),
        },
        "review": {
            *("--store", "--config", "--fine", "--correct", "--out-of-scope", "--text", "--intent", "--slot"),
            *("--forget", "--forget-key", "--json"),
        },
        "demo": {"--out"},
        "models": {"--json"},
        "doctor": {"--json"},
        "bench": set(),
    }
