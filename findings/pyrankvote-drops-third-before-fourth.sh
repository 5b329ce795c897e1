#!/bin/bash
# pyrankvote 2.0.6 rejects an option of an instant-runoff election if it and all below it have no more votes together than the
# one above it, and judges each option by itself. So of 10, 9, 3, 2 and 2 votes it rejects the third and the fifth option and
# keeps the fourth, which has fewer votes than the third. And "no more" includes an equal number: with 6 A>B, 4 B and 2 C>B it
# elects A at once, with exactly half of the votes, where its documentation says "more than 50%". With C's votes where they
# would have gone, it breaks the tie by second choices and elects B.
#
# Installs the pinned packages in a temporary directory with python3 and pip; seconds. Exits with 1 if it is otherwise here.
set -euo pipefail

work=$(mktemp -d /tmp/finding.XXXXXX)
trap 'rm -rf "$work"' EXIT
python3 -m pip install --quiet --no-deps --root-user-action ignore --target "$work" pyrankvote==2.0.6 tabulate==0.9.0
echo "versions: pyrankvote 2.0.6; $(python3 --version)"

PYTHONPATH=$work python3 - <<'PYTHON'
import sys
import pyrankvote
from pyrankvote import Ballot, Candidate

def rounds(*ballots):
    names = sorted({name for ranking, _ in ballots for name in ranking})
    options = {name: Candidate(name) for name in names}
    cast = [Ballot([options[name] for name in ranking]) for ranking, count in ballots for _ in range(count)]
    result = pyrankvote.instant_runoff_voting(list(options.values()), cast)
    return [sorted((row.candidate.name, int(row.number_of_votes), row.status) for row in round.candidate_results)
            for round in result.rounds]

first = rounds(("A", 10), ("B", 9), ("C", 3), ("D", 2), ("E", 2))[0]
print("10, 9, 3, 2, 2 votes, first round:", first)
half = rounds(("AB", 6), ("B", 4), ("CB", 2))
print("6 A>B, 4 B, 2 C>B:", half)
moved = rounds(("AB", 6), ("B", 6))
print("6 A>B, 6 B:", moved)
status = {name: status for name, _, status in first}
# D and E have the same number of votes: which of them is the fourth is up to chance.
drops_third = status["C"] == "Rejected" and sorted([status["D"], status["E"]]) == ["Hopeful", "Rejected"]
elects_half = len(half) == 1 and ("A", 6, "Elected") in half[0] and ("B", 6, "Elected") in moved[-1]
if not (drops_third and elects_half):
    print("it behaves differently here")
    sys.exit(1)
PYTHON
