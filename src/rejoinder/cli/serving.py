"""`rejoinder serve`: what it takes, and what it says before the log begins."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rejoinder.cli.commands import main, settings_of, shared_options
from rejoinder.cli.deploying import SCALING, scale_options, serve_on_ray
from rejoinder.errors import require_extra

if TYPE_CHECKING:
    from rejoinder.serve.settings import Settings

_PATH = click.Path(path_type=Path)


@main.command(
    epilog="""\b
Examples:
  rejoinder serve my-shop
  rejoinder serve my-shop --sip-port 5060 --trusted 10.1.0.0/16 --store sqlite:///calls.db
  rejoinder serve --new-key --keys keys.txt --name kiosk
  rejoinder serve my-shop --host 0.0.0.0 --keys keys.txt --tls-certificate chain.pem --tls-key key.pem
  rejoinder serve --config server.yaml --print-config

\b
Each setting may also stand in the file of --config or in the environment: REJOINDER_PORT=9000. The
command line comes first, then the environment, then the file. --print-config shows all of them."""
)
@click.argument("folder", metavar="[DOMAIN]", required=False, type=_PATH)
@click.option("--config", metavar="FILE", type=_PATH, help="YAML file with settings.")
@click.option("--print-config", is_flag=True, help="Show every setting and where it comes from, and stop.")
@click.option(
    "--new-key", is_flag=True, help="Print a new API key, once, add its hash to the file of --keys, and stop."
)
@click.option("--name", default="default", show_default=True, help="Whom the new key is for; it tells keys apart.")
@click.option("--host", help="Address to listen on; other than this machine's own, it needs --keys.")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one.")
@click.option("--keys", metavar="FILE", type=_PATH, help="Hashes of the API keys that are let in.")
@click.option("--origin", "origins", metavar="URL", multiple=True, help="Web page that may call; may be repeated.")
@click.option("--tls-certificate", metavar="FILE", type=_PATH, help="Certificate chain (PEM): speak HTTPS.")
@click.option("--tls-key", metavar="FILE", type=_PATH, help="Its private key (PEM).")
@click.option("--wyoming-port", type=int, help="Open the door for Home Assistant (Wyoming) on this port.")
@click.option("--riva-port", type=int, help="Open the door for Riva's clients (gRPC) on this port.")
@click.option("--sip-port", type=int, help="Take telephone calls (SIP) on this UDP port.")
@click.option("--sip-transfer", metavar="URI", help="Whom callers by SIP are handed to who ask for a person.")
@click.option("--trusted", metavar="NETWORK", multiple=True, help="Network that may use Wyoming and SIP; repeatable.")
@click.option("--twilio-token", metavar="FILE", type=_PATH, help="Twilio's auth token: take its calls at /twilio.")
@click.option("--twilio-transfer", metavar="NUMBER", help="Whom Twilio's callers are handed to.")
@click.option("--store", metavar="URL", help="Keep what was said, redacted, for rejoinder review: sqlite:///calls.db")
@click.option("--store-audio", is_flag=True, default=None, help="Keep the callers' audio, too.")
@click.option("--otel-endpoint", metavar="URL", help="Send OpenTelemetry traces there, by OTLP over HTTP.")
@click.option("--max-sessions", type=int, help="Live calls at the same time.")
@click.option("--max-requests", type=int, help="Requests that are worked on at the same time.")
@click.option("--ray", "on_ray", is_flag=True, help="Serve by Ray, with as many processes as there are --replicas.")
@scale_options
@shared_options
@click.pass_context
def serve(
    ctx: click.Context,
    /,
    folder: Path | None,
    *,
    config: Path | None,
    print_config: bool,
    new_key: bool,
    name: str,
    on_ray: bool,
    **flags: Any,
) -> None:
    """Serve the assistant of DOMAIN: a page to talk to, and the protocols that programs and telephones speak.

    Open http://127.0.0.1:8080 and talk. OpenAI's clients find REST, Realtime and WebRTC at /v1; Home Assistant, Riva's
    clients, SIP and Twilio have doors of their own. Only this machine is let in until there are --keys.
    """
    require_extra("serve", "fastapi")
    from rejoinder.serve.settings import resolve

    scaling = {name: flags.pop(name) for name in SCALING}
    resolved = resolve(file=config, flags=flags)
    if print_config:
        click.echo(resolved.as_yaml())
    elif new_key:
        _print_new_key(resolved.settings, name)
    elif folder is None:
        raise click.UsageError("which DOMAIN? Type: rejoinder serve FOLDER", ctx)
    elif on_ray:
        serve_on_ray(ctx, folder, resolved.settings, scaling)
    else:
        _serve(ctx, folder, resolved.settings)


def _print_new_key(settings: "Settings", name: str) -> None:
    from rejoinder.serve.security import add_key

    if settings.keys is None:
        raise click.UsageError("where is the key's hash to be kept? Add: --keys FILE")
    click.echo(add_key(settings.keys, name))
    click.echo(f"Keep it: only its hash is in {settings.keys}. Calls send it as 'Authorization: Bearer …'.", err=True)


def _serve(ctx: click.Context, folder: Path, settings: "Settings") -> None:
    from rejoinder.assistant import Assistant, AssistantOptions
    from rejoinder.serve.app import serve as run
    from rejoinder.serve.metrics import start_logging

    settings.check()  # before the models are loaded, which takes seconds
    start_logging(verbose=settings_of(ctx).verbose)
    assistant = Assistant.load(folder, options=AssistantOptions(device=settings_of(ctx).device))
    assistant.warm()
    run(assistant, settings, listening=lambda url: click.echo(f"Serving {assistant.domain.name} on {url}"))
