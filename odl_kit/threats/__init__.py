"""What goes wrong when somebody wants it to: attacks on learning, each as a plain function.

poisoning        wrong labels: flipped, random, by a feature     inserted     examples that do not belong: noise, blur, back doors
model_poisoning  updates: turned, boosted, a little off, claims  provenance   where an example came from, and what an attacker can buy
online           a bot that learns from whoever talks most        evasion      FGSM and PGD, with the target's gradients or a copy's
estimation       gradients guessed from scores (NES), priors     boundary     decisions alone (HopSkipJump)
queries          a target that answers, and success against queries
"""
