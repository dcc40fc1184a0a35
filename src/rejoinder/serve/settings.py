"""Settings of the server: from its file, the environment and the command line, the later of these first."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, ValidationError

from rejoinder.errors import SettingsError, one_of

PREFIX = "REJOINDER_"
"""Of the environment's variables: `REJOINDER_PORT` sets `port`."""

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
"""Names of this machine that no other one can reach."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Port = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=1)]


class Settings(BaseModel):
    """How the server listens and what it allows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Address to listen on; anything but this machine's own needs `keys`."""
    port: Port = 8080
    """Port to listen on; 0 takes any that is free."""
    keys: Path | None = None
    """File with the hashes of API keys, which `rejoinder serve --new-key` writes; without it no key is asked for."""
    origins: tuple[str, ...] = ()
    """Web pages that may call, besides the server's own: "https://shop.example"."""
    proxies: tuple[IPvAnyNetwork, ...] = ()
    """Reverse proxies in front of the server, whose word is taken for who calls and by which scheme."""
    tls_certificate: Path | None = None
    """Certificate chain in PEM format; with `tls_key` the server speaks HTTPS."""
    tls_key: Path | None = None
    """Private key of the certificate, in PEM format."""
    max_requests: Count = 8
    """Requests that are worked on at the same time; one more is asked to come back."""
    max_sessions: Count = 32
    """Live calls at the same time; one more is asked to come back."""
    requests_per_minute: Count = 600
    """Requests of one key, or one address where there are no keys; as many may come at once."""
    max_body_mb: Positive = 25.0
    """Largest request body."""
    max_audio_s: Positive = 600.0
    """Longest recording to transcribe."""
    longest_call_s: Positive = 7200.0
    """When a call over a WebSocket is ended: one that was forgotten must not take the room of others for ever."""
    body_timeout_s: Positive = 30.0
    """How long a client may take to send a request body."""
    stage_timeout_s: Positive = 60.0
    """When a stage that works on a request counts as hung."""
    drain_s: Positive = 20.0
    """On SIGTERM: how long requests and calls under way may go on."""
    wyoming_port: Port | None = None
    """Port of the Wyoming protocol (Home Assistant); 0 takes any that is free."""
    riva_port: Port | None = None
    """Port of Riva's gRPC services; 0 takes any that is free."""
    sip_port: Port | None = None
    """UDP port for telephone calls by SIP; 0 takes any that is free."""
    sip_transfer: str | None = None
    """SIP URI that callers by SIP are handed to who ask for a person: sip:desk@example.com"""
    sip_public_host: str | None = None
    """Address that callers by SIP are told to send audio to, where a router translates this machine's."""
    rtp_ports: tuple[Port, Port] = (16384, 16583)
    """First and last UDP port for the audio of telephone calls."""
    trusted: tuple[IPvAnyNetwork, ...] = ()
    """Networks that may use the doors whose protocols know no keys (Wyoming, SIP), besides this machine."""
    twilio_token: Path | None = None
    """File that holds Twilio's auth token; with it, Twilio's media streams are answered at /twilio."""
    twilio_transfer: str | None = None
    """Telephone number that Twilio's callers are handed to who ask for a person."""
    store: str | None = None
    """Database that keeps what was said, redacted: sqlite:///calls.db, or PostgreSQL's URL; without it, nothing is."""
    store_audio: bool = False
    """Keep the callers' audio, too."""
    store_days: Positive = 30.0
    """When what is kept is deleted."""
    otel_endpoint: str | None = None
    """Where to send OpenTelemetry traces by OTLP over HTTP: http://localhost:4318"""

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host in LOOPBACK

    @property
    def uses_tls(self) -> bool:
        """Whether the server speaks HTTPS."""
        return self.tls_certificate is not None

    def check(self) -> None:
        """Raise `SettingsError` where the settings contradict each other, or would let anyone in."""
        if not self.is_local and self.keys is None:
            raise SettingsError(
                f"host {self.host} can be reached from other machines, so callers need a key; type: "
                "rejoinder serve --new-key --keys keys.txt, and then serve with --keys keys.txt"
            )
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise SettingsError("tls_certificate and tls_key go together; one of them is missing")
        for name in ("keys", "tls_certificate", "tls_key", "twilio_token"):
            path = getattr(self, name)
            if path is not None and not path.is_file():
                raise SettingsError(f"{name}: {path}: there is no such file")
        if self.rtp_ports[0] > self.rtp_ports[1]:
            raise SettingsError(f"rtp_ports: {self.rtp_ports[0]} is above {self.rtp_ports[1]}; first the lower one")
        for origin in self.origins:
            scheme, _, host = origin.partition("://")
            if scheme not in {"http", "https"} or not host or "/" in host:
                raise SettingsError(f"origins: '{origin}' is no origin; write it as https://shop.example, with no path")


_PASSWORD = re.compile(r"(?<=:)[^:/@]+(?=@)")
"""Of a database's URL."""

_LISTS = frozenset({"origins", "proxies", "trusted", "rtp_ports"})
"""Settings that the environment gives as a list with commas."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """Settings, and where each value that is not the default was set."""

    settings: Settings
    sources: Mapping[str, str]

    def as_yaml(self) -> str:
        """The settings as a file that sets them again, but for passwords, each with where it came from."""
        values = self.settings.model_dump(mode="json")
        if values["store"] is not None:
            values["store"] = _PASSWORD.sub("***", values["store"])
        return "\n".join(  # JSON is YAML, too
            f"{name}: {json.dumps(value)}  # {self.sources.get(name, 'default')}" for name, value in values.items()
        )


def resolve(
    *, file: Path | None = None, environment: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> Resolved:
    """Settings by precedence: `flags` (None: not given), the environment, the YAML `file`, the defaults.

    Raises `SettingsError` with each value that is wrong and where it was set.
    """
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    if file is not None:
        for name, value in _read(file).items():
            values[name], sources[name] = value, str(file)
    for name in Settings.model_fields:
        variable = PREFIX + name.upper()
        if variable in environment:
            text = environment[variable]
            values[name] = [part for part in text.split(",") if part] if name in _LISTS else text
            sources[name] = variable
    for name, value in (flags or {}).items():
        if value is not None and value != ():
            values[name], sources[name] = value, "--" + name.replace("_", "-")
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems = [_problem(one, sources) for one in error.errors()]
        raise SettingsError("\n".join(problems)) from error
    return Resolved(settings, sources)


def _read(file: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise SettingsError(f"{file}{line}: {error.problem}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: not YAML that can be read") from error
    if not isinstance(content or {}, dict):
        raise SettingsError(f"{file}: must be a mapping, such as 'port: 8080'")
    return {str(name): value for name, value in (content or {}).items()}


def _problem(error: Any, sources: Mapping[str, str]) -> str:
    name = str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        known = one_of(tuple(Settings.model_fields), n_most=40)
        return f"{sources[name]}: there is no setting '{name}' ({known})"
    return f"{sources[name]}: {name}: {error['msg'].lower()}, not {error['input']!r}"
