"""``python -m converter``: the command ``transship``."""

from converter.cli.main import main

if __name__ == "__main__":
    main(prog_name="transship")
