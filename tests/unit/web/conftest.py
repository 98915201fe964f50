"""An app without stores: tenants and nodes from a registry file, no socket ever opened."""

import json
from pathlib import Path

import pytest
from flask import Flask

from balancer.settings import Settings
from balancer.web.app import create_app
from balancer.web.services import of

SECRETS = ("the-secret-of-today", "the-secret-of-yesterday")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        database_url="postgresql:///nowhere",
        redis_url="unix:///nowhere",
        secrets=SECRETS,
        public_url="https://bbb.example.org",
        state_directory=tmp_path,
        body_limit_bytes=2_000_000,
    )


@pytest.fixture
def app(settings: Settings) -> Flask:
    registry = {"version": 1, "nodes": [], "tenants": [{"id": 1, "name": "default"}]}
    (settings.state_directory / "registry.json").write_text(json.dumps(registry))
    app = create_app(settings)
    of(app).registry.read_file()
    return app
