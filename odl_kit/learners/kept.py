"""Results that took seconds to compute, kept as small JSON files in the folder of learners.native, so that the second time is instant."""
import hashlib
import json
import os
import tempfile
from pathlib import Path

import torch

from odl_kit.learners import native


def kept(name, key, compute):
    """compute(), or what it gave when it was last called with this `key`: plain JSON data.

    name: begins the file's name. key: list of str, numbers, bytes, paths (their contents count) and tensors; whatever the result depends
    on, the source files of the computation too. A file that is damaged, or a folder that cannot be written, is as if nothing had been
    kept. ODL_CACHE moves the folder. An interrupted computation leaves nothing behind.
    """
    path = native.cache_folder() / f"{name}-{digest(key)}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        result = compute()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(".part", path.stem, path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(result, file)
        os.replace(draft, path)     # whole or not at all: another process may be doing the same
    except OSError:
        pass
    return json.loads(json.dumps(result))       # the same types, the first time and later


def digest(key):
    """20 hex digits of a list of str, numbers, bytes, paths and tensors; the dtype and shape of a tensor count. TypeError for all else."""
    found = hashlib.sha256(torch.__version__.encode())
    for part in key:
        if isinstance(part, torch.Tensor):
            part = part.detach().cpu().contiguous()
            found.update(f"{part.dtype} {tuple(part.shape)}".encode() + part.numpy().tobytes())
        elif isinstance(part, Path):
            found.update(part.read_bytes())
        elif isinstance(part, bytes | str | int | float):
            found.update(repr(part).encode())
        else:
            raise TypeError(f"{part!r} is a {type(part).__name__}: a key is made of str, numbers, bytes, paths and tensors")
    return found.hexdigest()[:20]
