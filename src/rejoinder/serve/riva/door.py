"""The gRPC server of Riva's services."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass
from riva.client.proto import health_pb2, riva_asr_pb2, riva_nlp_pb2, riva_tts_pb2

from rejoinder.errors import SettingsError
from rejoinder.serve.calls import Calls
from rejoinder.serve.riva.admitting import Admitting, Context
from rejoinder.serve.riva.hearing import Hearing
from rejoinder.serve.riva.speaking import Speaking
from rejoinder.serve.riva.understanding import Meaning

BYTES_PER_MB = 1_000_000

GRACE_S = 1.0
"""How long calls have to end when the server does; it has drained before."""

_KINDS: Mapping[tuple[bool, bool], Callable[..., Any]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
"""By whether the client and the server stream; the services have no other methods."""


@asynccontextmanager
async def serve_riva(calls: Calls, host: str, port: int) -> AsyncIterator[int]:
    """Serve while the block runs; yields the port. Raises `SettingsError` when the address cannot be had."""
    admitting, settings = Admitting(calls), calls.settings
    hearing, speaking, meaning = Hearing(admitting), Speaking(admitting), Meaning(admitting)
    server = grpc.aio.server(
        # Beyond these, gRPC itself refuses: calls that wait for admission must not pile up.
        maximum_concurrent_rpcs=4 * (settings.max_sessions + settings.max_requests),
        options=[
            ("grpc.max_receive_message_length", round(settings.max_body_mb * BYTES_PER_MB)),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_metadata_size", 16 * 1024),
            ("grpc.so_reuseport", 0),  # another server on this port is an error, not a partner
        ],
    )
    services: dict[Any, Mapping[str, Callable[..., Any]]] = {
        riva_asr_pb2.DESCRIPTOR.services_by_name["RivaSpeechRecognition"]: {
            "Recognize": hearing.recognize,
            "StreamingRecognize": hearing.stream,
            "GetRivaSpeechRecognitionConfig": hearing.config,
        },
        riva_tts_pb2.DESCRIPTOR.services_by_name["RivaSpeechSynthesis"]: {
            "Synthesize": speaking.synthesize,
            "SynthesizeOnline": speaking.stream,
            "GetRivaSynthesisConfig": speaking.config,
        },
        riva_nlp_pb2.DESCRIPTOR.services_by_name["RivaLanguageUnderstanding"]: {
            "AnalyzeIntent": meaning.analyze_intent,
            "NaturalQuery": meaning.natural_query,
            "GetRivaNLPConfig": meaning.config,
        },
    }
    known = frozenset(service.full_name for service in services)
    services[health_pb2.DESCRIPTOR.services_by_name["Health"]] = {"Check": _health(calls, known)}
    server.add_generic_rpc_handlers([_handler(service, methods) for service, methods in services.items()])
    bound = _bind(server, calls, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(GRACE_S)


def _handler(service: Any, methods: Mapping[str, Callable[..., Any]]) -> Any:
    """These methods of a service; the others are answered as unimplemented by gRPC itself."""
    handlers = {}
    for name, behaviour in methods.items():
        method = service.methods_by_name[name]
        request, response = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
        kind = _KINDS[method.client_streaming, method.server_streaming]
        handlers[name] = kind(
            behaviour, request_deserializer=request.FromString, response_serializer=response.SerializeToString
        )
    return grpc.method_handlers_generic_handler(service.full_name, handlers)


def _bind(server: Any, calls: Calls, address: str) -> int:
    settings = calls.settings
    try:
        if settings.tls_certificate is None or settings.tls_key is None:
            return int(server.add_insecure_port(address))
        pair = settings.tls_key.read_bytes(), settings.tls_certificate.read_bytes()
        return int(server.add_secure_port(address, grpc.ssl_server_credentials([pair])))
    except RuntimeError as error:
        raise SettingsError(f"riva_port: {address} cannot be listened on; is it taken?") from error


def _health(calls: Calls, services: frozenset[str]) -> Callable[[Any, Context], Any]:
    """Whether another call would be taken; asked without a key, by what watches over the server."""

    async def check(request: Any, context: Context) -> Any:
        if request.service and request.service not in services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service here")
        full = calls.admission.is_full or calls.admission.draining
        response = health_pb2.HealthCheckResponse
        return response(status=response.NOT_SERVING if full else response.SERVING)

    return check
