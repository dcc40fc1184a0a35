"""The Serve application of one domain: whole assistants as replicas, each with the app of `serve.app`."""

import asyncio
import gc
from collections.abc import Callable
from typing import Any

from ray import serve
from ray.serve import Application
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from rejoinder.assistant import Assistant, AssistantOptions
from rejoinder.serve.app import create_app
from rejoinder.serve.cluster.draining import let_calls_end
from rejoinder.serve.cluster.plan import DEPLOYMENT, HEALTH_TIMEOUT_S, Plan, Scale
from rejoinder.serve.cluster.rooted import Rooted
from rejoinder.serve.cluster.shared import SharedStates
from rejoinder.serve.metrics import start_logging
from rejoinder.workers import Workers

Load = Callable[[Plan], Assistant]


def load(plan: Plan) -> Assistant:
    """The assistant of a plan, with threads for the CPUs of one replica rather than of the machine."""
    loaded = Assistant.load(plan.domain, options=AssistantOptions(device=plan.device))
    loaded.warm()
    loaded.close()
    return Assistant(loaded.pipeline, Workers(plan.n_threads))


class Replica:
    """One process with all models."""

    async def __init__(self, plan: Plan, load: Load) -> None:  # type: ignore[misc]  # Serve awaits it
        start_logging()
        self._plan = plan
        self._states = await asyncio.to_thread(SharedStates.open, serve.get_replica_context().app_name)
        self._secrets = await self._states.secrets()
        self._assistant = await asyncio.to_thread(load, plan)
        gc.collect()
        gc.freeze()  # as in `serve.app.serve`

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """What Serve runs; it closes the assistant when the replica ends."""
        settings = self._plan.settings
        served = create_app(self._assistant, settings, states=self._states, secrets=self._secrets)
        let_calls_end(served.state.calls.admission)
        if settings.proxies:
            served.add_middleware(
                ProxyHeadersMiddleware,
                trusted_hosts=[str(network) for network in settings.proxies],
            )
        return Rooted(served)

    async def check_health(self) -> None:
        """Raise `TimeoutError` when the threads of the models hang; Serve then replaces the replica."""
        await self._assistant.workers.run(lambda: None, timeout_s=HEALTH_TIMEOUT_S / 2, wanted_in_s=0.0)


def build(arguments: dict[str, Any]) -> Application:
    """What a Serve config names as `import_path`; the config itself says how many replicas there are."""
    return application(Plan.model_validate(arguments), Scale())


def application(plan: Plan, scale: Scale, *, load: Load = load) -> Application:
    """The application of a plan; `load` opens its assistant on each replica."""
    deployed = serve.deployment(name=DEPLOYMENT, **scale.options(plan.settings))
    bound: Application = deployed(serve.ingress()(Replica)).bind(plan, load)
    return bound
