"""What docmail's speed is, measured: one module per question, each with a `main()` that prints its table."""
