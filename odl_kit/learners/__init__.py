"""plan (what learns), train, saving (ops that keep only what learns), memory (what it costs) and cohort (many copies at once);
optimizers (sgd, adam, lars), qas (integer weights learn);
recompute (forget and run again) with schedules (what to run again) and tradeoff (the best for a budget),
layerwise (one block at a time), small_steps (a batch in pieces);
sparse (what each part gives if it learns) with cohort_plans (its runs), search (the plan for a budget), kept (results on file);
sample_complexity (how many examples it takes);
distil (a small net learns from a large one);
transfer (a new head, features, L2-SP), stages (select, fine-tune, validate, deploy), instances (density ratio, TrAdaBoost),
subspace (PCA, alignment, CCA), similarity (MMD, A-distance, CKA);
domains (a new domain without labels: norms, Tent, CORAL), selfsup (features without labels: turns, views, pixels), clusters (k-means),
topics (what messages are about);
enrol (a user from a few examples, new classes, pseudo-labels), regularise (EWC, LwF: not to forget), replay (old examples in a byte
budget), statistics (adaptation without a backward pass), drift (alarms without labels), gate (may the shadow serve?);
episodes (few-shot tasks, prototypes), tinytl (biases and branches), tinytrain (the task chooses), cost (bytes and MACs of a plan)."""
