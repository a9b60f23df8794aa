"""JSON with each array on a line of its own."""

import json

import jax
import numpy as np


def number(value):
    """Format a float with ten significant digits, always with a point or an exponent."""
    text = f"{0.0 if abs(value) < 1e-14 else value:.10g}"
    return text if "." in text or "e" in text else text + ".0"


def flat(values):
    """Format numbers as a JSON list on one line."""
    texts = (number(v) if isinstance(v, float) else json.dumps(v) for v in values)
    return f"[{','.join(texts)}]"


def render(value, indent=""):
    """Format nested dictionaries and lists as JSON, each array on a line of its own."""
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        array = np.asarray(value)
        assert np.isfinite(array).all()
        return f'{{"shape":{flat(array.shape)},"values":{flat(array.ravel().tolist())}}}'
    if isinstance(value, float):
        return number(value)
    if isinstance(value, list) and not (value and isinstance(value[0], dict)):
        return flat(value)
    if not isinstance(value, dict | list) or not value:
        return json.dumps(value)
    inner = indent + " "
    if isinstance(value, list):
        parts, ends = [render(v, inner) for v in value], "[]"
    else:
        if all(type(v) in (str, int, float, bool) for v in value.values()):
            return json.dumps(value)
        parts, ends = [f"{json.dumps(k)}: {render(v, inner)}" for k, v in value.items()], "{}"
    return ends[0] + ",".join(f"\n{inner}{part}" for part in parts) + f"\n{indent}{ends[1]}"
