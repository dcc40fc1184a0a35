"""A small working domain folder to begin with: what `rejoinder init` writes."""

from importlib.resources import as_file, files
from pathlib import Path

from rejoinder.errors import DomainError


def create(folder: str | Path, name: str | None = None) -> list[Path]:
    """Write a domain that works into `folder`, named `name` or after the folder; return the files written.

    Never overwrites: raises `DomainError`, with nothing written, when a file of that name is there already.
    """
    folder = Path(folder)
    name = name or folder.resolve().name.replace("-", " ").replace("_", " ").strip() or "My business"
    with as_file(files("rejoinder").joinpath("data", "scaffold")) as template:
        sources = sorted(path for path in template.rglob("*") if path.suffix in (".yaml", ".py", ".md"))
        targets = {source: folder / source.relative_to(template) for source in sources}
        for target in targets.values():
            if target.exists():
                raise DomainError(f"{target} is there already; type another folder: rejoinder init FOLDER")
        try:
            for source, target in targets.items():
                target.parent.mkdir(parents=True, exist_ok=True)
                text = source.read_text(encoding="utf-8").replace("name: My business", f"name: {_quoted(name)}", 1)
                target.write_text(text, encoding="utf-8")
        except OSError as error:
            raise DomainError(f"{folder} cannot be written: {error.strerror}") from None
    return sorted(targets.values())


def _quoted(name: str) -> str:
    """The name as YAML reads it back, whatever marks are in it."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return name if name.replace(" ", "").isalnum() else f'"{escaped}"'
