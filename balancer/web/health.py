"""Health checks for service managers and edges: is the process alive, and can it do its work?"""

from flask import Blueprint, Response, jsonify

from balancer.errors import BalancerError, StorageUnavailableError
from balancer.storage.postgresql import schema
from balancer.web.services import Services, services

blueprint = Blueprint("health", __name__)


@blueprint.get("/livez")
def livez() -> Response:
    """200 as long as the process answers."""
    return jsonify({"alive": True})


@blueprint.get("/readyz")
def readyz() -> Response:
    """200, or 503 with reasons: no usable store, a schema that this release cannot use, no known node."""
    reasons = unready(services())
    answer = jsonify({"ready": not reasons, "reasons": reasons})
    answer.status_code = 503 if reasons else 200
    return answer


def unready(needed: Services) -> list[str]:
    """Why this process cannot do its work; empty if it can. Either of the two stores is enough for joins."""
    reasons: list[str] = []
    away: list[str] = []
    try:
        with needed.database.transaction() as connection:
            waiting = [migration.name for migration in schema.pending(connection, upgrading=True)]
        if waiting:
            reasons.append(f"migrations not applied: {', '.join(waiting)}")
    except StorageUnavailableError as error:
        away.append(str(error))
    except BalancerError as error:
        reasons.append(str(error))
    try:
        needed.placements.check()
    except StorageUnavailableError as error:
        away.append(str(error))
    if len(away) == 2:
        reasons += away
    try:
        if not needed.registry.nodes():
            reasons.append("no node is registered")
    except StorageUnavailableError as error:
        reasons.append(str(error))
    return reasons
