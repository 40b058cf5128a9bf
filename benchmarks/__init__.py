"""What the package is measured by: ``python -m benchmarks.demo`` and ``benchmarks.quick``."""
