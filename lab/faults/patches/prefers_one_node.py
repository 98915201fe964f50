"""Placement always chooses the first node that may take a meeting, whatever its load."""

from __future__ import annotations

from .import_hook import place_with

place_with(("score, meetings / weight, weight DESC, id", "id"))
