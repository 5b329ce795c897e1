#!/bin/bash
# VoteKit 3.5.0's IRV has a parameter `tiebreak`, which "defaults to None, in which case a ValueError is raised if a tiebreak is
# needed" (its documentation). No error is raised: if the order of first places doesn't break a tie, chance does. It says so on
# standard output only, and the winner of the same ballots differs from call to call.
#
# Installs the pinned package and what it requires (some 600 MB) in a temporary directory with python3, its module venv and pip;
# a minute or two. Exits with 1 if it is otherwise here.
set -euo pipefail

work=$(mktemp -d /tmp/finding.XXXXXX)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet votekit==3.5.0
echo "versions: VoteKit 3.5.0; $(python3 --version)"

"$work/venv/bin/python" - <<'PYTHON'
import collections, contextlib, io, re, sys
from votekit import RankBallot, RankProfile
from votekit.elections import IRV

ballots = [RankBallot(ranking=[{name}], weight=2) for name in "AB"]
outcomes, printed = collections.Counter(), io.StringIO()
for seed in range(40):
    try:
        with contextlib.redirect_stdout(printed):
            elected = IRV(RankProfile(ballots=ballots), rng_seed=seed).get_elected()
        outcomes["elected " + "".join(sorted(elected[0]))] += 1
    except ValueError as error:
        outcomes[f"ValueError: {error}"] += 1
text = re.sub(r"\s+", " ", IRV.__init__.__doc__)
documented = "None, in which case a ValueError is raised if a tiebreak is needed" in text
print("documented:", documented, "- 2 ballots for A and 2 for B, 40 times:", dict(outcomes))
print("printed:", sorted(set(printed.getvalue().splitlines())))
if not (documented and set(outcomes) == {"elected A", "elected B"}):
    print("it behaves differently here")
    sys.exit(1)
PYTHON
