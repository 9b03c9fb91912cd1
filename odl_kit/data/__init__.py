"""datasets (load, split), partition (who owns which example), messages (who writes them, and how), text (messages to windows of tokens),
cards (what every folder of datasets/ has in common), pretrained (nets that were trained before the lab begins), images (another
camera, a shaky hand), sounds (another microphone, a fan), stream (day by day, while the world changes);
less data: coresets (which examples to keep), bits (rounded and packed), dictionary (sparse codes), storage (what each of them takes).
"""
