"""`python -m searchsvc`: the same as the command `searchsvc`."""

from searchsvc.cli import main

main()
