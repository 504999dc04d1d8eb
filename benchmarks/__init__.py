"""Benchmarks; `make bench` runs them and `benchmarks/README.md` says what they found."""
