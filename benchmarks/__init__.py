"""How fast is it, and compared with what? One question a module: ``python -m benchmarks`` asks all of them."""
