"""The Flask application: services and blueprints."""

from flask import Flask

from balancer import log
from balancer.settings import Settings, load
from balancer.web import callbacks, failures, health, index, join, meeting_list, meetings, playback, recordings
from balancer.web.canonical_paths import CanonicalPaths
from balancer.web.services import EXTENSION, Services


def create_app(settings: Settings | None = None) -> Flask:
    """An app that has not connected to anything yet. ``Services.open`` does that, after the fork.

    Raises SettingsError if the settings are not given and cannot be read.
    """
    settings = settings or load()
    log.configure(settings.log_level, settings.log_format)
    app = Flask(__name__, static_folder=None)
    app.url_map.merge_slashes = False
    app.extensions[EXTENSION] = Services.create(settings)
    for part in (index, meetings, join, meeting_list, recordings, playback, callbacks, health):
        app.register_blueprint(part.blueprint)
    failures.register(app)
    app.wsgi_app = CanonicalPaths(app.wsgi_app)  # type: ignore[method-assign]
    return app
