"""Slides in a request's XML body (reference 3.2.8)."""

import xml.etree.ElementTree as ElementTree
from posixpath import basename
from urllib.parse import urlsplit

from lab.simulator.settings import NodeSettings


def documents_in(body: bytes, settings: NodeSettings) -> list[str]:
    """Return the file names of the presentation modules that a node accepts; raises ParseError for malformed XML."""
    root = ElementTree.fromstring(body)  # noqa: S314  the balancer under test wrote it, expat bounds entities
    modules = [module for module in root.iter("module") if module.get("name") == "presentation"]
    return [
        document.get("filename") or document.get("name") or document.get("url") or ""
        for module in modules
        for document in module.iter("document")
        if may_fetch(document.get("url"), settings)
    ]


def linked_document(url: str, name: str, settings: NodeSettings) -> list[str]:
    """Return the slides to which a create without a body links (preUploadedPresentation)."""
    return [name or basename(urlsplit(url).path) or url] if url and may_fetch(url, settings) else []


def may_fetch(url: str | None, settings: NodeSettings) -> bool:
    """Return whether a node downloads from a URL; if not, it silently drops the document. None: it is inline."""
    if url is None or not settings.profile.limits_document_sources:
        return True
    parts = urlsplit(url)
    return parts.scheme in settings.document_protocols and parts.hostname not in settings.document_blocked_hosts
