"""datasets (load, split), partition (who owns which example), messages (who writes them, and how), text (messages to windows of tokens),
cards (what every folder of datasets/ has in common) and pretrained (nets that were trained before the lab begins).
"""
