"""``python -m edgetl`` is the ``edgetl`` command."""

from edgetl.cli.main import run

if __name__ == "__main__":
    run()
