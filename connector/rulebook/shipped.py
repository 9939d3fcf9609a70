"""The files that come with the product: in the wheel beside the code, in a checkout at the top."""

from pathlib import Path

_IN_WHEEL = Path(__file__).parent.parent
_IN_CHECKOUT = _IN_WHEEL.parent


def shipped_folder() -> Path:
    """Give the folder of the shipped packs and their cases."""
    return _shipped("rules")


def example_config() -> Path:
    """Give the commented example of a configuration."""
    return _shipped("config.example.yaml")


def _shipped(name: str) -> Path:
    in_wheel = _IN_WHEEL / name
    return in_wheel if in_wheel.exists() else _IN_CHECKOUT / name


def shipped_packs() -> dict[str, Path]:
    """Give the shipped packs by name."""
    files = sorted(shipped_folder().glob("*.yaml"))
    return {path.stem: path for path in files if not path.stem.endswith("_test")}
