"""A bundle as one file: an uncompressed tar, the same bytes for the same bundle, opened with suspicion."""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from edgetl import digest
from edgetl.cache import out_of_space
from edgetl.errors import BundleError

__all__ = ["pack", "unpack"]

SUFFIX = ".tar"
MAX_MEMBERS = 1000
MAX_BYTES = 8 << 30


def pack(folder: Path, archive: Path) -> Path:
    """Write a folder's files as a tar whose bytes depend on their names and contents alone.

    Weights do not compress; an uncompressed archive cannot expand past its own size.
    """
    partial = archive.with_name(f"{archive.name}.partial")
    try:
        with tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as tar:
            for name in digest.tree_files(folder):
                info = tarfile.TarInfo(name)
                info.size = (folder / name).stat().st_size
                with (folder / name).open("rb") as file:
                    tar.addfile(info, file)
        partial.replace(archive)
    finally:
        partial.unlink(missing_ok=True)
    return archive


def unpack(archive: Path, into: Path) -> Path:
    """Extract an archive into a folder that does not exist yet; whole, or not at all.

    Raises
    ------
    BundleError : it is no archive, or a member is absolute, leaves the folder, is a link or a device,
        is there twice, or is larger than the archive could hold.
    EnvironmentLacks : there is no space to unpack it.
    """
    work: Path | None = None
    try:
        with out_of_space(into.parent):
            into.parent.mkdir(parents=True, exist_ok=True)
            work = Path(tempfile.mkdtemp(prefix=f"{into.name}.", suffix=".partial", dir=into.parent))
            with tarfile.open(archive, "r:") as tar:
                _extract(tar, work, limit=min(MAX_BYTES, archive.stat().st_size))
            work.rename(into)
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise BundleError(
            f"{archive.name} is no bundle archive that can be read: {error}",
            hint="a bundle is a folder, or the .tar that edgetl build --archive writes",
        ) from error
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)
    return into


def _extract(tar: tarfile.TarFile, work: Path, limit: int) -> None:
    seen: set[str] = set()
    total, end = 0, 0
    for member in tar:
        total += member.size
        _check_member(member, seen)
        if total > limit:
            raise BundleError(
                f"{member.name} is larger than the archive", hint="copy it again", file=member.name
            )
        seen.add(member.name)
        source = tar.extractfile(member)
        target = work / member.name
        if target.exists() or any(str(place) in seen for place in PurePosixPath(member.name).parents):
            raise BundleError(
                f"{member.name} is a file and a folder", hint="do not trust it", file=member.name
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            shutil.copyfileobj(source or io.BytesIO(), file)
        if target.stat().st_size != member.size:
            raise BundleError(f"{member.name} is cut short", hint="copy the archive again", file=member.name)
        end = member.offset_data + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    rest = _after(tar, end)
    if len(rest) < 2 * tarfile.BLOCKSIZE or rest.strip(b"\0"):  # tarfile takes a header cut short for the end
        raise BundleError("the archive does not end as it was written", hint="copy it again")


def _after(tar: tarfile.TarFile, end: int) -> bytes:
    """What follows the last member; more than a writer's padding is not read."""
    assert tar.fileobj is not None
    tar.fileobj.seek(end)
    return bytes(tar.fileobj.read(2 * tarfile.RECORDSIZE))


def _check_member(member: tarfile.TarInfo, seen: set[str]) -> None:
    """Refuse what is no plain file with a plain relative name of its own."""
    name, place = member.name, PurePosixPath(member.name)
    if not member.isreg() or member.issparse():
        problem = f"{name} in the archive is not a plain file"
    elif place.is_absolute() or ".." in place.parts or "\\" in name or str(place) != name or not place.parts:
        problem = f"{name} in the archive leaves the folder"
    elif name in seen or len(seen) >= MAX_MEMBERS:
        problem = f"{name} is there twice, or there are too many files"
    else:
        return
    raise BundleError(problem, hint="do not trust it", file=name)
