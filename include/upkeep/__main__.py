"""``python -m upkeep``: the command line."""

from upkeep.cli import main

main()
