"""The forms of attention that several models offer."""

from __future__ import annotations

from typing import Literal

Attention = Literal["softmax", "linear", "linear_causal", "linear_decayed", "linear_official"]
STREAMS_NOT_BECAUSE = (
    'it reads a history as a whole, unless attention="linear_causal" or "linear_decayed"'
)
