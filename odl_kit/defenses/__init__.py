"""What keeps a learner safe: look at data before learning from it, and take a new model only from the one who may send it.

validation    a contract: type, shape, range, finite     quarantine    far from its class's prototype: held until somebody decides
perceptual    a DCT hash finds copies of known images    audio         faults of a recording; a chain of tags over labelled clips
labels        labels that the other examples contradict  updates       a signed package: manifest, signature, then safetensors
atrest        a file that only its key opens, and erase  install       a device takes a package, or refuses it and stays as it was
keys          make, keep and read the keys               console       `odl update`
detection     whose updates are unlike the others'        watch         a stage that sets them aside, and its audit log
cusum         small steps in one direction ring          two_sample    new data against a clean reference: KS, PSI
provenance    a cap on each source; hashes of what was listed
hardening     adversarial training, distillation, answers that say less
unpairing     a published copy that is a poor map of the big model
"""
