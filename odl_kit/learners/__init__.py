"""plan (what learns), train, saving (ops that keep only what learns), memory (what it costs) and cohort (many copies at once)."""
