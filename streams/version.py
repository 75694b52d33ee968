"""The version of this program: for `--version` and the metrics."""


def installed_version() -> str:
    """The version of the installed package; `0` in a checkout that is not installed."""
    from importlib.metadata import PackageNotFoundError, version  # slow to import: `--help` does without

    try:
        return version("stream-pricing")
    except PackageNotFoundError:
        return "0"
