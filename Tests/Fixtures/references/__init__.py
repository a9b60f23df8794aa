"""References in JAX and float64, written from the published formulas alone."""
