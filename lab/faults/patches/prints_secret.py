"""Every HTML page ends with a comment that contains the front end's secret, like a forgotten debugging aid."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from .import_hook import after_import


@after_import("balancer.web.app")
def leave_a_debugging_aid(module: ModuleType) -> None:
    create = module.create_app
    read = module.load

    def create_app(settings: Any = None) -> Any:
        settings = settings or read()
        app = create(settings)

        def append(response: Any) -> Any:
            if response.mimetype == "text/html" and not response.direct_passthrough:
                response.set_data(response.get_data() + f"<!-- {settings.secrets[0]} -->".encode())
            return response

        app.after_request(append)
        return app

    module.create_app = create_app  # type: ignore[attr-defined]
