"""Makes a poll, votes in it and prints its result, with a client made by openapi-python-client."""

import sys
from uuid import UUID

from throng_client import AuthenticatedClient, Client
from throng_client.api.polls import create_poll
from throng_client.api.voting import cast_ballot, show_results
from throng_client.models import AdminPoll, CastBallot, PollDefinition, Problem, Results, Submission

url, token = sys.argv[1:]
client = Client(base_url=url)

poll = create_poll.sync(
    client=AuthenticatedClient(base_url=url, token=token),
    body=PollDefinition(slug="python", title="Which letter?", options=["Alpha", "Beta"], opens_at="now"),
)
assert isinstance(poll, AdminPoll), poll

ballot = Submission(choices=[1], ballot_id=UUID("018f4d1e-7c00-7000-8000-000000000001"))
cast = cast_ballot.sync(poll.slug, client=client, body=ballot)
assert isinstance(cast, CastBallot), cast
print(cast.status.value)

results = show_results.sync(poll.slug, client=client)
assert isinstance(results, Results), results
for option in results.options:
    print(f"{option.label}: {option.count}")

unknown = Submission(choices=[9], ballot_id=UUID("018f4d1e-7c00-7000-8000-000000000002"))
refused = cast_ballot.sync(poll.slug, client=client, body=unknown)
assert isinstance(refused, Problem), refused
print(refused.code)
