"""Slides in a request's XML body (reference 3.2.8)."""

import xml.etree.ElementTree as ElementTree


def documents_in(body: bytes) -> list[str]:
    """Return the file names in the presentation modules; raises ParseError for malformed XML."""
    root = ElementTree.fromstring(body)  # noqa: S314  the balancer under test wrote it, expat bounds entities
    modules = [module for module in root.iter("module") if module.get("name") == "presentation"]
    return [
        document.get("filename") or document.get("name") or document.get("url") or ""
        for module in modules
        for document in module.iter("document")
    ]
