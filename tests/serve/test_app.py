"""What the app lets in, and what it says about itself."""

from pathlib import Path

import httpx
import pytest

from rejoinder.assistant import Assistant
from rejoinder.errors import SettingsError
from rejoinder.serve.app import create_app
from rejoinder.serve.security import add_key
from rejoinder.serve.settings import Settings
from tests.serve.live import serving


def test_a_key_opens_all_but_health(fake_assistant: Assistant, tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    key = add_key(file, "kiosk")
    settings = Settings(keys=file)
    with serving(create_app(fake_assistant, settings)) as url, httpx.Client(base_url=url) as http:
        assert http.get("/healthz").status_code == http.get("/readyz").status_code == 200
        for headers in ({}, {"authorization": "Bearer wrong"}):
            for path in ("/v1/models", "/metrics", "/openapi.json"):
                refused = http.get(path, headers=headers)
                assert refused.status_code == 401
                assert refused.json()["error"]["type"] == "authentication_error"
                assert refused.headers["x-request-id"]
        allowed = {"authorization": f"Bearer {key}"}
        assert http.get("/v1/models", headers=allowed).status_code == 200
        assert 'route="/v1/models"' in http.get("/metrics", headers=allowed).text


def test_an_unsafe_address_is_refused(fake_assistant: Assistant) -> None:
    with pytest.raises(SettingsError, match="--new-key"):
        create_app(fake_assistant, Settings(host="0.0.0.0"))


def test_a_page_of_a_listed_origin_may_call_from_a_browser(fake_assistant: Assistant) -> None:
    app = create_app(fake_assistant, Settings(origins=("https://shop.example",)))
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    with serving(app) as url, httpx.Client(base_url=url) as http:
        for origin, allowed in (("https://shop.example", True), ("https://evil.example", False)):
            preflight = http.options("/v1/realtime/calls", headers={"origin": origin, **asked})
            assert ("access-control-allow-origin" in preflight.headers) is allowed
        answer = http.get("/v1/models", headers={"origin": "https://shop.example"})
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
