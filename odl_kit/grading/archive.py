"""Notebooks out of a zip that nobody vouches for. Nothing is written to the disk, and no more is unpacked than is read."""
import io
import stat
import zipfile

from odl_kit.grading.graft import MAX_BYTES

ENTRIES = 20_000
STUDENT_BYTES, CLASS_BYTES = 64 * 2**20, 2 * 2**30      # that a student's zip, and that of a class, may unpack to
WANTED = (".ipynb", ".zip", ".yml")


def read(file, *, total=STUDENT_BYTES, inside_another=False):
    """(name with /, bytes, problem) of what a zip holds; file: path or open file. Only files that end like WANTED are read, the others
    come without bytes. A zip in it is read too, its name as a folder; one in that is not.

    problem is "" or why an entry is refused: it leaves its folder, is a link, is locked, damaged, too big. total: bytes to unpack in all.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            entries = [info for info in archive.infolist() if not info.is_dir()]
            if len(entries) > ENTRIES:
                yield "", b"", f"the zip holds {len(entries)} files, at most {ENTRIES} are read"
                return
            for info in entries:
                raw, problem = _entry(archive, info, min(total, MAX_BYTES if not info.filename.lower().endswith(".zip") else STUDENT_BYTES))
                total -= len(raw)
                if info.filename.lower().endswith(".zip") and not problem:
                    yield from _nested(info.filename, raw, inside_another)
                else:
                    yield _inner(info.filename), raw, problem
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        yield "", b"", f"the zip is damaged: {error}"


def _nested(name, raw, inside_another):
    if inside_another:
        yield _inner(name), b"", "a zip in a zip in a zip is not read"
        return
    for inner, content, problem in read(io.BytesIO(raw), inside_another=True):
        yield f"{_inner(name)[:-4]}/{inner or 'archive.zip'}", content, problem


def _entry(archive, info, limit):
    """(bytes, problem) of one entry."""
    name = info.filename
    if (problem := _trick(info)) or not name.lower().endswith(WANTED):
        return b"", problem
    try:
        with archive.open(info) as file:            # what the zip says about its sizes may be a lie: read, and stop
            raw = file.read(limit + 1)
    except RuntimeError:
        return b"", "it is locked with a password"
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError) as error:
        return b"", f"it is damaged: {error}"
    except Exception as error:                      # zlib.error, lzma.LZMAError: no common class
        return b"", f"it is damaged: {error}"
    if len(raw) > limit:
        return b"", f"it unpacks to more than {limit >> 20} MB, and is not read any further"
    return raw, ""


def _trick(info):
    name = info.filename
    if stat.S_ISLNK(info.external_attr >> 16):
        return "it is a symbolic link, and links are not followed"
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
        return f"its name in the zip leaves the folder: {name[:80]!r}"
    return ""


def _inner(name):
    """The name as a path that stays where it is."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", "..", ".")]
    return "/".join(parts) or "file"
