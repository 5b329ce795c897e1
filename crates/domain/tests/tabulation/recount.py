"""Counts elections, and reads files of rankings, with programs other than Throng: for each line of JSON on standard input,
writes one on standard output."""

import json
import sys

import votelib.io.blt
from preflibtools.instances import OrdinalInstance
from py3votecore.irv import IRV
from stvpoll.irv import calculate_irv
from stvpoll.tiebreak_strategies import TiebreakHistory, TiebreakRandom


def py_vote_core(options, rankings):
    """Of tied options, that which is last in the order of options is eliminated."""
    ballots = [{"ballot": list(ranking), "count": count} for ranking, count in rankings]
    result = IRV(ballots, tie_breaker=list(options))
    rounds = [{"counts": round["tallies"], "eliminated": round.get("loser")} for round in result.rounds]
    return {"rounds": rounds, "winner": result.winner}


def stvpoll(options, rankings):
    """Of tied options, that which had the fewest votes in an earlier round is eliminated, or else the last one."""
    # This order isn't random, in spite of the name.
    order = TiebreakRandom(tuple(options), shuffle=False)
    result = calculate_irv(tuple(options), rankings, tiebreak_strategies=(TiebreakHistory(), order))
    rounds = [
        {"counts": round["vote_count"], "eliminated": round["selected"][0] if round["status"] == "Excluded" else None}
        for round in result.as_dict()["rounds"]
    ]
    # It wants more than half of all ballots, even of those that are exhausted, and excludes even the last option below that.
    return {"rounds": rounds, "winner": result[0] if result else rounds[-1]["eliminated"]}


def blt(text):
    rankings, seats, options, title = votelib.io.blt.loads(text)
    rankings = [[[option.number for option in ranking], count] for ranking, count in rankings.items()]
    return {"seats": seats, "title": title, "labels": [option.name for option in options], "rankings": rankings}


def soi(text):
    read = OrdinalInstance()
    read.parse_str(text, "soi")
    rankings = [[[number for (number,) in order], read.multiplicity[order]] for order in read.orders]
    counts = {"options": read.num_alternatives, "voters": read.num_voters, "orders": read.num_unique_orders}
    labels = [read.alternatives_name[number + 1] for number in range(read.num_alternatives)]
    return {"type": read.data_type, "file_name": read.file_name, "title": read.title, "labels": labels, "rankings": rankings} | counts


for line in sys.stdin:
    asked = json.loads(line)
    if "options" in asked:
        election = (asked["options"], [(tuple(ranking), count) for ranking, count in asked["rankings"]])
        response = {"option_order": py_vote_core(*election), "previous_rounds": stvpoll(*election)}
    else:
        response = {"blt": blt(asked["blt"]), "soi": soi(asked["soi"])}
    print(json.dumps(response), flush=True)
