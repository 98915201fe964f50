"""Placement always takes the first node that may have a meeting, whatever its load."""

from __future__ import annotations

from .import_hook import place_with

place_with(("score, meetings / weight, weight DESC, id", "id"))
