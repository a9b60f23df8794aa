"""``python python/benchmarks`` runs the side-by-side benchmarks."""

from run import main

main()
