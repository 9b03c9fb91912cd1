"""datasets (load, split), partition (who owns which example), messages (who writes them, and how), text (messages to windows of tokens)
and cards (what every folder of datasets/ has in common).
"""
