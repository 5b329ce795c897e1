#!/bin/bash
# STVPoll 0.5.6's instant-runoff count wants more than half of all ballots, also of those that rank no option that is left. So two
# options that have the same number of first places, and are ranked by these ballots alone, end without a winner: it breaks the tie
# and excludes one, then excludes the other too. So does an election without a tie, as soon as too many ballots have no option
# left. py-vote-core 2.0.0, of the same publisher, elects the last option in both. In the second election A has 4 votes of the 7
# that count.
#
# Installs the pinned packages in a temporary directory with python3 and pip; seconds. Exits with 1 if it is otherwise here.
set -euo pipefail

work=$(mktemp -d /tmp/finding.XXXXXX)
trap 'rm -rf "$work"' EXIT
python3 -m pip install --quiet --no-deps --root-user-action ignore --target "$work" \
  stvpoll==0.5.6 py-vote-core==2.0.0 more-itertools==11.2.1 typing-extensions==4.16.0
echo "versions: STVPoll 0.5.6; py-vote-core 2.0.0; $(python3 --version)"

PYTHONPATH=$work python3 - <<'PYTHON'
import sys
from py3votecore.irv import IRV
from stvpoll.irv import calculate_irv
from stvpoll.tiebreak_strategies import TiebreakHistory, TiebreakRandom

def count(*ballots):
    options = tuple(sorted({option for ranking, _ in ballots for option in ranking}))
    order = TiebreakRandom(options, shuffle=False)
    result = calculate_irv(options, ballots, tiebreak_strategies=(TiebreakHistory(), order)).as_dict()
    rounds = [(round["status"], *round["selected"]) for round in result["rounds"]]
    other = IRV([{"ballot": list(ranking), "count": count} for ranking, count in ballots], tie_breaker=list(options))
    print(ballots, "STVPoll:", result["winners"], rounds, "py-vote-core:", other.winner)
    return result["winners"], rounds, other.winner

tie = count((("A",), 2), (("B",), 2))
no_tie = count((("A",), 4), (("B",), 3), (("C",), 2))
if tie != ((), [("Excluded", "B"), ("Excluded", "A")], "A") or no_tie[0] != () or no_tie[2] != "A":
    print("it behaves differently here")
    sys.exit(1)
PYTHON
