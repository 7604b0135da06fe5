"""Which file COACH_LOCAL_MODEL names: a path, or a model of the Hugging Face hub, fetched once.

Invariant: what `find` returns is a file on this disk that begins as a GGUF does; else LocalModelFailed
says what is wrong and what to do. A hub id is owner/name, owner/name:Q4_K_M or owner/name/file.gguf.
"""

from __future__ import annotations

import re
from pathlib import Path

from coach_core.errors import LocalModelFailed

_HUB = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:/(?P<file>[\w./-]+\.gguf)|:(?P<kind>[\w.-]+))?")
_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
_BEST = ("q4_k_m", "q4_k_s", "q5_k_m", "q4_0", "q4_1", "q8_0", "q3_k_m")


def find(spec: str, home: Path) -> Path:
    """The GGUF that `spec` names, fetched from the hub if it is not here yet."""
    return present(spec, home) or _fetch(spec, home)


def present(spec: str, home: Path) -> Path | None:
    """The GGUF that `spec` names if it is on this disk; None for a hub id that is not."""
    if not spec:
        raise LocalModelFailed("No local model is set. Put COACH_LOCAL_MODEL=path/model.gguf into .env.")
    path = Path(spec).expanduser()
    if path.is_file():
        return _checked(path)
    if path.is_dir():
        files = [p.name for p in path.glob("*.gguf")]
        if not files:
            raise LocalModelFailed(f"There is no GGUF file in the folder {spec}. Check COACH_LOCAL_MODEL.")
        return _checked(path / _choose(files, ""))
    hub = _HUB.fullmatch(spec)
    if hub is None or spec.startswith((".", "/", "~")):
        raise LocalModelFailed(f"There is no file {spec}. Check COACH_LOCAL_MODEL: a GGUF file or a hub id.")
    folder = home / "models" / f"models--{hub['repo'].replace('/', '--')}" / "snapshots"
    here = {str(p.relative_to(p.parents[len(p.relative_to(folder).parts) - 2])): p for p in folder.rglob("*.gguf")}
    wanted = hub["file"] or (_choose(list(here), hub["kind"] or "") if here else "")
    return _checked(here[wanted]) if wanted in here and _whole(wanted, here) else None


def model_name(spec: str) -> str:
    """What a person calls the model."""
    return Path(spec).stem if spec.endswith(".gguf") else spec.rstrip("/").rsplit("/", 1)[-1]


def _fetch(spec: str, home: Path) -> Path:
    hub = _HUB.fullmatch(spec)
    assert hub is not None  # present() has looked
    import httpx2
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    try:
        files = [f for f in HfApi().list_repo_files(hub["repo"]) if f.lower().endswith(".gguf")]
        if hub["file"] and hub["file"] not in files:
            raise LocalModelFailed(f"The hub has no file {hub['file']} in {hub['repo']}. Check COACH_LOCAL_MODEL.")
        if not files:
            raise LocalModelFailed(f"{hub['repo']} on the hub holds no GGUF file. Choose a repository that does.")
        wanted = hub["file"] or _choose(files, hub["kind"] or "")
        paths = [hf_hub_download(hub["repo"], f, cache_dir=home / "models") for f in _parts(wanted)]
    except GatedRepoError as error:
        raise LocalModelFailed(f"{hub['repo']} on the hub asks for consent first. Choose another model.") from error
    except RepositoryNotFoundError as error:
        raise LocalModelFailed(f"The hub knows no model {hub['repo']}. Check COACH_LOCAL_MODEL.") from error
    except (HfHubHTTPError, httpx2.HTTPError, OSError) as error:
        raise LocalModelFailed(
            f"{spec} could not be fetched from the hub. Check the network, or give the path of a GGUF file."
        ) from error
    return _checked(Path(paths[0]))


def _choose(files: list[str], kind: str) -> str:
    """The file of that quantisation, or of the best one for a processor; the first part of a split file."""
    firsts = sorted(f for f in files if not (part := _PART.search(f)) or int(part[1]) == 1)
    for wanted in (kind.lower(),) if kind else _BEST:
        if named := [f for f in firsts if wanted in f.lower()]:
            return min(named, key=len)
    if kind:
        raise LocalModelFailed(f"There is no {kind} among the model's files. Check COACH_LOCAL_MODEL.")
    return min(firsts or files, key=len)


def _parts(first: str) -> list[str]:
    """All files of a split GGUF, by the name of its first."""
    part = _PART.search(first)
    if part is None:
        return [first]
    return [f"{first[: part.start()]}-{n:05d}-of-{part[2]}.gguf" for n in range(1, int(part[2]) + 1)]


def _whole(first: str, here: dict[str, Path]) -> bool:
    return all(name in here for name in _parts(first))


def _checked(path: Path) -> Path:
    try:
        with path.open("rb") as file:
            begins = file.read(4)
    except OSError as error:
        raise LocalModelFailed(f"The file {path} cannot be read. Check COACH_LOCAL_MODEL.") from error
    if begins != b"GGUF":
        raise LocalModelFailed(f"The file {path.name} is no GGUF model. Check COACH_LOCAL_MODEL.")
    return path
