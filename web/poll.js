// Sends a vote and shows its result without leaving the page. Where this can't run, the form does the same by itself.
//
// The form has an id for the ballot before it can be sent. Every try carries the same one, so however often it is sent,
// it counts once. Once a try may have been counted, the choices stay as they were sent.

const TRIES_MAX = 6;
const TRY_MS_MAX = 10_000;
const WAIT_MS_FIRST = 500;
const WAIT_MS_MAX = 15_000;

// When the result is asked for again after a vote that is counted a moment later.
const FOLLOW_MS = [500, 1_000, 2_000, 4_000];

// The errors with which Throng says that it took nothing. Any other 5xx, and any error without Throng's own body, may be
// a proxy's, which lost the response to a vote that was counted.
const NOTHING_TAKEN = ["overloaded", "rate_limited", "store_unavailable", "queue_unavailable"];

// The proof of work for the page's ballot, a promise, once it was begun: where the poll always requires one, or has refused
// the ballot without.
let proving = null;

showLocalTimes();
followShow();
const form = document.querySelector("form[data-ballots]");
if (form && "timeout" in AbortSignal) enhance(form);

function enhance(form) {
  const fieldset = form.querySelector("fieldset");
  const button = form.querySelector("button");
  const message = form.querySelector(".message");
  const status = form.querySelector(".status");
  const code = form.elements.namedItem("code");
  const texts = JSON.parse(form.dataset.texts);
  let ballot = null;
  let maybeCounted = form.elements.namedItem("retry") !== null;

  // The proof of work is mostly done by the time the voter has chosen.
  fieldset.addEventListener("change", () => proofOf(form)?.catch(() => {}), { once: true });
  // A proof is of one voter.
  code?.addEventListener("input", () => { proving = null; });

  // The inline script has replaced what was of another poll, or of long ago.
  if (history.state?.ballot) showAgain(form, history.state);

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    if (!ballot || !maybeCounted) ballot = filledIn();
    const fault = faultOf(ballot);
    if (fault) {
      refuse(fault);
      return;
    }
    wait(texts.sending);
    const sent = await send(form, ballot, (failure) => wait(`${reason(failure)} ${texts.still_trying}`));
    maybeCounted ||= sent.maybeCounted;
    if (sent.counted) {
      const { results, status: fate } = sent.counted;
      keep(form, ballot);
      showOutcome(form, ballot, results).querySelector("h2").focus();
      if (results && fate === "accepted") follow(form, ballot, results);
    } else if (sent.refused) {
      sendAsForm();
    } else {
      fieldset.disabled = maybeCounted;
      refuse(`${reason(sent)} ${maybeCounted ? texts.maybe_counted : texts.not_counted_yet}`);
      button.textContent = texts.try_again;
    }
  });

  function reason({ offline, notTaken }) {
    if (offline) return texts.offline;
    if (notTaken === "rate_limited") return texts.rate_limited;
    return notTaken ? texts.crowded : texts.unreachable;
  }

  // Back from another page, the form is as it was left.
  addEventListener("pageshow", ({ persisted }) => {
    if (!persisted) return;
    fieldset.disabled = maybeCounted && ballot !== null;
    button.disabled = false;
    status.textContent = "";
  });

  function filledIn() {
    const fields = [...new FormData(form)].filter(([, value]) => value !== "");
    const chosen = fields.filter(([name]) => name === "choice").map(([, value]) => Number(value));
    const ballot = { ballot_id: form.elements.namedItem("ballot_id").value };
    if (form.dataset.kind === "ranked") return { ...ballot, ranking: chosen };
    if (form.dataset.kind !== "score") return { ...ballot, choices: chosen };
    const scores = fields.filter(([name]) => name.startsWith("score-"));
    return { ...ballot, scores: Object.fromEntries(scores.map(([name, value]) => [name.slice(6), Number(value)])) };
  }

  function faultOf({ choices, ranking, scores }) {
    const options = choices ?? ranking ?? Object.keys(scores);
    if (options.length < Number(form.dataset.min)) return form.dataset.tooFew;
    if (options.length > Number(form.dataset.max)) return form.dataset.tooMany;
    return new Set(options).size < options.length ? form.dataset.twice : null;
  }

  function wait(text) {
    fieldset.disabled = true;
    button.disabled = true;
    message.textContent = "";
    status.textContent = text;
  }

  function refuse(text) {
    if (!maybeCounted) fieldset.disabled = false;
    button.disabled = false;
    status.textContent = "";
    message.textContent = text;
    button.focus();
  }

  // The server's page says best why it takes no such vote.
  function sendAsForm() {
    fieldset.disabled = false;
    if (maybeCounted && !form.elements.namedItem("retry")) {
      const retry = document.createElement("input");
      Object.assign(retry, { type: "hidden", name: "retry", value: "1" });
      form.append(retry);
    }
    form.submit();
  }
}

// Sends until there is a response that settles it: {counted} with its body, or {refused}. After so many tries, what the
// last one met. {maybeCounted} tells whether a try may have been counted whose response was lost.
async function send(form, ballot, onRetry) {
  let maybeCounted = false;
  for (let tries = 1; ; tries++) {
    const sent = await sendOnce(form, ballot);
    maybeCounted ||= !sent.counted && !sent.refused && !sent.notTaken && !sent.notSent;
    if (sent.counted || sent.refused || tries === TRIES_MAX) return { ...sent, maybeCounted };
    onRetry(sent);
    // A crowd that was refused together must not come back together.
    const retryAfterMs = Math.min(sent.retryAfterMs ?? 0, WAIT_MS_MAX);
    const backoffMs = Math.min(Math.max(retryAfterMs, WAIT_MS_FIRST * 2 ** (tries - 1)), WAIT_MS_MAX);
    await pause(Math.max(backoffMs * (0.5 + Math.random()), retryAfterMs));
  }
}

// One try, with a proof of work where one is known to be required. If one is missing or has expired, it is made from the
// challenge in the response, once. Besides what `post` returns: {notSent}, where there is no proof.
async function sendOnce(form, ballot, isLast = false) {
  let proof;
  try {
    proof = await proofOf(form);
  } catch {
    return { notSent: true, offline: !navigator.onLine };
  }
  const sent = await post(form.dataset.ballots, { ...ballot, proof, voter: voterOf(form) });
  if (!sent.unproven || isLast) return sent;
  proving = prove(form, sent.challenge);
  return sendOnce(form, ballot, true);
}

// One request: {counted}, {refused}, with {unproven} and a {challenge} if a valid proof was missing, or {notTaken}; none of
// them where that isn't known.
async function post(address, ballot) {
  let response, body;
  try {
    response = await fetch(address, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(ballot),
      signal: AbortSignal.timeout(TRY_MS_MAX),
    });
    body = await response.json();
  } catch {
    return { offline: !navigator.onLine };
  }
  if (response.ok) return body?.ballot_id === ballot.ballot_id ? { counted: body } : {};
  const isOurs = response.headers.get("Content-Type")?.startsWith("application/problem+json");
  if (!isOurs || typeof body?.code !== "string") return {};
  if (NOTHING_TAKEN.includes(body.code)) {
    return { notTaken: body.code, retryAfterMs: Number(response.headers.get("Retry-After")) * 1_000 || 0 };
  }
  // Only the operator can do something about the last one.
  const isRefused = response.status < 500 || body.code === "voter_keys_missing";
  return isRefused ? { refused: true, unproven: response.status === 428, challenge: body.challenge } : {};
}

// The proof of work for the form's ballot, a promise; undefined where none is known to be required.
function proofOf(form) {
  if (form.dataset.proof === "always") proving ??= prove(form);
  return proving ?? undefined;
}

// Solves the challenge, or a new one. A failure is forgotten, so that the next try begins anew.
async function prove(form, challenge) {
  try {
    return await solve(form, challenge ?? await newChallenge(form));
  } catch (error) {
    proving = null;
    throw error;
  }
}

// The code or token that names the voter; undefined in other polls. A code may be pasted with spaces of any kind, which no
// header may have.
function voterOf({ elements }) {
  return elements.namedItem("code")?.value.replace(/[\s-]/g, "") ?? elements.namedItem("voter")?.value;
}

async function newChallenge(form) {
  const { dataset, elements } = form;
  const address = `${dataset.challenge}?ballot_id=${elements.namedItem("ballot_id").value}`;
  const voter = voterOf(form);
  const headers = voter ? { "Throng-Voter": voter } : {};
  const response = await fetch(address, { headers, signal: AbortSignal.timeout(TRY_MS_MAX) });
  if (!response.ok) throw new Error(`no challenge: ${response.status}`);
  return (await response.json()).challenge;
}

async function solve({ dataset, elements }, challenge) {
  const solver = new Worker(dataset.solver);
  try {
    const proof = await new Promise((resolve, reject) => {
      solver.onmessage = ({ data }) => resolve(data);
      solver.onerror = reject;
      solver.postMessage(challenge);
    });
    // For the form, should it be sent by itself.
    elements.namedItem("proof").value = proof;
    return proof;
  } finally {
    solver.terminate();
  }
}

// Waits so long, or until there is a network again.
async function pause(ms) {
  await new Promise((resolve) => {
    setTimeout(resolve, ms);
    addEventListener("online", resolve, { once: true });
  });
}

// The options that a ballot counts for.
function countedFor({ choices, ranking, scores }) {
  return choices ?? ranking?.slice(0, 1) ?? Object.keys(scores).filter((id) => scores[id] > 0).map(Number);
}

// The vote stays with the page's place in this browser's history, so that reloading shows the outcome. The address, which
// may be passed on and is logged, says nothing of it, and from now on it has no code or token.
function keep(form, ballot) {
  const address = new URL(location.href);
  for (const name of ["code", "voter"]) address.searchParams.delete(name);
  history.replaceState({ poll: form.dataset.ballots, ballotId: ballot.ballot_id, ballot, votedAt: Date.now() }, "", address);
}

// Shows the outcome of a vote that was sent before a reload. Where only voters see the result, sending the same ballot
// again, which counts once, is how to ask for it; not where a voter is a network, which may be another one by now, or has
// a code, which isn't kept.
async function showAgain(form, { ballot }) {
  if (!outcomeOf().querySelector(".results")) {
    showOutcome(form, ballot, null);
    return;
  }
  const isForgotten = ["network", "code"].includes(form.dataset.policy);
  const results = await resultsNow(form)
    ?? (isForgotten ? null : (await sendOnce(form, ballot)).counted?.results);
  if ((results || isForgotten) && form.isConnected) showOutcome(form, ballot, results);
}

// The latest result, or null where it is not to be had.
async function resultsNow(form) {
  try {
    const response = await fetch(form.dataset.results, { signal: AbortSignal.timeout(TRY_MS_MAX) });
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

// Shows later results until the vote is in them.
async function follow(form, ballot, shown) {
  const own = countedFor(ballot);
  const count = (results, id) => results.options.find((option) => option.id === id)?.count ?? 0;
  for (const ms of FOLLOW_MS) {
    await pause(ms);
    const results = await resultsNow(form);
    if (!results || results.seq <= shown.seq) continue;
    const outcome = document.querySelector(".outcome");
    outcome.classList.add("still");
    showResults(outcome, own, results);
    if (own.every((id) => count(results, id) > count(shown, id))) return;
  }
}

function outcomeOf() {
  return document.querySelector("template").content.firstElementChild;
}

// Puts the outcome in the form's place, in the markup the server would have sent.
function showOutcome(form, ballot, results) {
  const outcome = outcomeOf().cloneNode(true);
  if (results) showResults(outcome, countedFor(ballot), results);
  else outcome.querySelectorAll(".results, .voters, .base").forEach((part) => part.remove());
  form.replaceWith(outcome);
  // A new ballot gets an id of its own, though its page has the same address.
  outcome.querySelector("a").addEventListener("click", () => history.replaceState(null, ""));
  return outcome;
}

function showResults(outcome, own, results) {
  const list = outcome.querySelector(".results");
  if (!list) return;
  const model = outcomeOf().querySelector(".result");
  const votes = JSON.parse(list.dataset.count);
  list.replaceChildren(...results.options.map((option) => resultRow(model, option, own, votes)));
  const voters = outcome.querySelector(".voters");
  voters.textContent = counted(results.voters, JSON.parse(voters.dataset.count));
}

function resultRow(model, option, own, votes) {
  const row = model.cloneNode(true);
  const isOwn = own.includes(option.id);
  row.classList.toggle("own", isOwn);
  if (!isOwn) row.querySelector(".tick").remove();
  row.querySelector("bdi").textContent = option.label;
  row.querySelector(".share").textContent = `${option.percent}%`;
  row.querySelector(".fill").setAttribute("width", `${option.percent}%`);
  row.querySelector(".count").textContent = counted(option.count, votes);
  return row;
}

function counted(number, { one, other }) {
  return (number === 1 ? one : other).replace("#", number.toLocaleString(document.documentElement.lang));
}

// On a show's page: looks every few seconds whether its poll is still the one to show, in the same state. If not, the page is loaded
// again, but not while a vote is on its way. Each visitor looks at a time of their own.
function followShow() {
  const { show, shown } = document.querySelector("main[data-show]")?.dataset ?? {};
  if (!show) return;
  const look = async () => {
    try {
      const isSending = () => document.querySelector("fieldset:disabled, form button[type=submit]:disabled") !== null;
      const response = document.hidden || isSending() ? null : await fetch(show);
      if (response?.ok) {
        const { current, polls } = await response.json();
        const state = polls.find((poll) => poll.slug === current)?.state;
        const isOther = (current === null ? "" : `${current} ${state}`) !== shown;
        // The voter may have voted meanwhile.
        if (isOther && !isSending()) location.reload();
      }
    } catch {
      // It is looked at again.
    }
    setTimeout(look, 2_000 + Math.random() * 2_000);
  };
  setTimeout(look, Math.random() * 2_000);
}

function showLocalTimes() {
  for (const time of document.querySelectorAll("time")) {
    const options = { dateStyle: "long", timeStyle: "short" };
    time.textContent = new Date(time.dateTime).toLocaleString(document.documentElement.lang, options);
  }
}
