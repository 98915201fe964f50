"""Settings of a balancer under test."""

from pathlib import Path

from balancer.settings import Settings, load
from tests.integration.web.cluster import SECRET


def settings_for(database_url: str, redis_url: str, directory: Path, **given: str) -> Settings:
    """Settings with short timeouts; given: others, by their names in lower case."""
    values = {
        "BALANCER_ENV_FILE": "/dev/null",
        "BALANCER_DATABASE_URL": database_url,
        "BALANCER_REDIS_URL": redis_url,
        "BALANCER_SECRETS": f"{SECRET} another-secret-of-the-front-end",
        "BALANCER_PUBLIC_URL": "https://bbb.example.org",
        "BALANCER_STATE_DIRECTORY": str(directory),
        "BALANCER_NODE_CONNECT_TIMEOUT": "1",
        "BALANCER_NODE_READ_TIMEOUT": "1",
        "BALANCER_CREATE_TIMEOUT": "2",
        "BALANCER_POLL_TIMEOUT": "1",
        "BALANCER_LOG_LEVEL": "error",
    }
    return load(values | {f"BALANCER_{name.upper()}": value for name, value in given.items()})
