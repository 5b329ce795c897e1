// Sends a vote and shows its result without leaving the page. Where this can't run, the form does the same by itself.
//
// A vote has an id, made here. Every try of it carries the same one, so however often it is sent, it counts once.

const TRIES_MAX = 6;
const TRY_MS_MAX = 10_000;
const WAIT_MS_FIRST = 500;
const WAIT_MS_MAX = 15_000;

showLocalTimes();
const form = document.querySelector("form[data-ballots]");
if (form && "timeout" in AbortSignal) enhance(form);

function enhance(form) {
  const fieldset = form.querySelector("fieldset");
  const button = form.querySelector("button");
  const message = form.querySelector(".message");
  const status = form.querySelector(".status");
  let ballot = null;

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    ballot ??= newBallot();
    const fault = faultOf(ballot.choices);
    if (fault) {
      ballot = null;
      refuse(fault);
      return;
    }
    wait("Sending your vote…");
    const answer = await send(form.dataset.ballots, ballot, () => wait("Many are voting. Still trying…"));
    if (answer.results !== undefined) {
      showOutcome(form, ballot.choices, answer.results);
    } else if (answer.refused) {
      sendAsForm(answer.maybeCounted);
    } else {
      // Where it may have been counted, only the very same vote may be sent again.
      fieldset.disabled = answer.maybeCounted;
      if (!answer.maybeCounted) ballot = null;
      refuse(answer.maybeCounted
        ? "We could not hear back. Try again: your vote counts once."
        : "Too many people are voting at this moment. Your vote is not counted yet: try again.");
      button.textContent = "Try again";
    }
  });

  function newBallot() {
    const sent = form.elements.namedItem("ballot_id");
    const choices = new FormData(form).getAll("choice").map(Number);
    return { ballot_id: sent?.value ?? newBallotId(), choices };
  }

  function faultOf({ length }) {
    if (length < Number(form.dataset.min)) return form.dataset.tooFew;
    if (length > Number(form.dataset.max)) return form.dataset.tooMany;
    return null;
  }

  function wait(text) {
    fieldset.disabled = true;
    button.disabled = true;
    message.textContent = "";
    status.textContent = text;
  }

  function refuse(text) {
    button.disabled = false;
    status.textContent = "";
    message.textContent = text;
    button.focus();
  }

  // The server's page says best why it takes no such vote.
  function sendAsForm(maybeCounted) {
    fieldset.disabled = false;
    if (maybeCounted && !form.elements.namedItem("ballot_id")) {
      const id = document.createElement("input");
      Object.assign(id, { type: "hidden", name: "ballot_id", value: ballot.ballot_id });
      form.append(id);
    }
    form.submit();
  }
}

// Sends until there is an answer: {results} once it is counted, {refused} if it isn't taken, neither after so many
// tries. {maybeCounted} tells whether a try may have been counted whose answer was lost.
async function send(address, ballot, onRetry) {
  let maybeCounted = false;
  for (let tries = 1; ; tries++) {
    let retryAfterMs = 0;
    try {
      const response = await fetch(address, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(ballot),
        signal: AbortSignal.timeout(TRY_MS_MAX),
      });
      if (response.ok) return { results: (await response.json()).results };
      const notTaken = response.status === 503 || response.status === 429;
      if (response.status < 500 && !notTaken) return { refused: true, maybeCounted };
      if (!notTaken) maybeCounted = true;
      retryAfterMs = Number(response.headers.get("Retry-After")) * 1000 || 0;
    } catch {
      maybeCounted = true;
    }
    if (tries === TRIES_MAX) return { maybeCounted };
    onRetry();
    // A crowd that was refused together must not come back together.
    const backoffMs = Math.max(retryAfterMs, WAIT_MS_FIRST * 2 ** (tries - 1));
    const waitMs = Math.min(backoffMs, WAIT_MS_MAX) * (0.5 + Math.random());
    await new Promise((resolve) => setTimeout(resolve, Math.max(waitMs, Math.min(retryAfterMs, WAIT_MS_MAX))));
  }
}

// Puts the outcome in the form's place, in the markup the server would have sent.
function showOutcome(form, choices, results) {
  const outcome = document.querySelector("template").content.firstElementChild.cloneNode(true);
  const list = outcome.querySelector(".results");
  if (list && results) {
    const model = list.firstElementChild;
    list.replaceChildren(...results.options.map((option) => resultRow(model, option, choices)));
    outcome.querySelector(".voters").textContent = counted(results.voters, "voter");
  } else if (list) {
    list.remove();
  }
  form.replaceWith(outcome);
  // So that reloading shows the outcome again, as it does after the form's own redirect.
  history.replaceState(null, "", `${form.getAttribute("action")}?voted=${[...choices].sort((a, b) => a - b)}`);
  outcome.querySelector("h2").focus();
}

function resultRow(model, option, choices) {
  const row = model.cloneNode(true);
  const own = choices.includes(option.id);
  row.classList.toggle("own", own);
  if (!own) row.querySelector(".tick").remove();
  row.querySelector("bdi").textContent = option.label;
  row.querySelector(".share").textContent = `${option.percent}%`;
  row.querySelector(".fill").setAttribute("width", `${option.percent}%`);
  row.querySelector(".count").textContent = counted(option.count, "vote");
  return row;
}

function counted(number, word) {
  return `${number.toLocaleString("en-US")} ${word}${number === 1 ? "" : "s"}`;
}

// A UUID of version 7 (RFC 9562): its time comes first, so the server's index grows at its end.
function newBallotId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  let ms = Date.now();
  for (let at = 5; at >= 0; at--) {
    bytes[at] = ms % 256;
    ms = Math.floor(ms / 256);
  }
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
}

function showLocalTimes() {
  for (const time of document.querySelectorAll("time")) {
    const options = { dateStyle: "long", timeStyle: "short" };
    time.textContent = new Date(time.dateTime).toLocaleString(document.documentElement.lang, options);
  }
}
