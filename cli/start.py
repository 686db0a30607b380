"""The entry point of the command. Ctrl-C ends it in one line from the first moment on."""


def run() -> None:
    try:
        from .main import run as go  # imported here, since this takes a tenth of a second

        go()
    except KeyboardInterrupt:  # before a verb began, and nothing was written
        import sys

        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
