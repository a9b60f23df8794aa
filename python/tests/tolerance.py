"""How far float32 may be from the reference in float64, in one place.

Each is the largest difference allowed, relative to the largest magnitude of the array: single
elements may lose all of their digits where sums cancel.
"""

SCORES = 2e-6
LOSS = 1e-6
# Adam divides the gradient by its own size, so an error in a small gradient grows to one of the
# learning rate; the fixtures use a large epsilon to keep that in bounds.
ONE_STEP = 2e-5
THREE_STEPS = 5e-5
# A stream adds up in another order than a whole history does.
STREAM = 1e-5
