"""What operators see, and what they must not."""

import json
import logging
import sys

from rejoinder.serve.metrics import JsonLines, Metrics
from rejoinder.serve.security import Admission


def test_requests_stages_and_room_are_shown() -> None:
    metrics = Metrics()
    calls = Admission(4, "calls")
    metrics.watch("sessions", "Live calls.", calls)
    metrics.request("/v1/audio/speech", 200, 0.2)
    metrics.stages({"recognize": 0.04, "understand": 0.001})
    metrics.refused("overloaded")
    with calls.enter():
        lines = metrics.exposition().decode().splitlines()
    for line in (
        'rejoinder_requests_total{route="/v1/audio/speech",status="200"} 1.0',
        'rejoinder_request_seconds_bucket{le="0.25",route="/v1/audio/speech"} 1.0',
        'rejoinder_stage_seconds_bucket{le="0.02",stage="recognize"} 0.0',
        'rejoinder_stage_seconds_bucket{le="0.05",stage="recognize"} 1.0',
        'rejoinder_refused_total{code="overloaded"} 1.0',
        "rejoinder_sessions 1.0",
        "rejoinder_sessions_limit 4.0",
    ):
        assert line in lines


def test_a_log_line_is_json_and_quotes_no_exception() -> None:
    try:
        raise ValueError("my number is 555 1234")
    except ValueError:
        record = logging.LogRecord(
            "rejoinder.serve", logging.ERROR, __file__, 1, "%s failed", ("a stage",), sys.exc_info()
        )
    record.route = "/v1/audio/speech"
    entry = json.loads(JsonLines().format(record))
    assert entry["message"] == "a stage failed"
    assert entry["route"] == "/v1/audio/speech"
    assert entry["error"] == "ValueError"
    assert "test_metrics.py" in entry["at"][0]
    assert "555" not in json.dumps(entry)
