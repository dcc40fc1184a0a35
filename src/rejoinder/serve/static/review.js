// The owner's page: lists what the assistant was least sure of, and sends what it should have been taken for.

const list = document.querySelector("#turns");
const count = document.querySelector("#count");
const problem = document.querySelector("#problem");
const keyForm = document.querySelector("#key");
let key = ""; // in memory alone: it is gone with the page
let domain = { intents: {}, slots: {} };

async function ask(path, options = {}) {
  const headers = { ...(key && { authorization: `Bearer ${key}` }), ...(options.body && { "content-type": "application/json" }) };
  const response = await fetch(`/review/${path}`, { ...options, headers });
  if (!response.ok) {
    const body = await response.json().catch(() => ({}));
    throw Object.assign(new Error(body.error?.message ?? `the server answered ${response.status}`), { status: response.status });
  }
  return response;
}

async function open() {
  problem.hidden = true;
  try {
    domain = await (await ask("domain")).json();
    document.querySelector("#domain").textContent = domain.name;
    const { turns, n } = await (await ask("turns")).json();
    keyForm.hidden = true;
    count.textContent = n ? `${n} turn${n === 1 ? "" : "s"} to look at, the most doubtful first` : "Nothing is doubtful.";
    list.replaceChildren(...turns.map(entry));
  } catch (error) {
    const refused = error.status === 401 || error.status === 403;
    keyForm.hidden = !refused;
    if (refused) document.querySelector("#key-value").focus();
    if (!refused || key) tell(problem, error.message);
  }
}

function tell(place, text) {
  place.textContent = text;
  place.hidden = false;
}

function entry(turn) {
  const item = document.querySelector("#turn").content.cloneNode(true).firstElementChild;
  const find = (selector) => item.querySelector(selector);
  find("time").dateTime = turn.at;
  find("time").textContent = new Date(turn.at).toLocaleString();
  find(".door").textContent = `${turn.door}, turn ${turn.n}`;
  find(".reasons").textContent = turn.reasons.join(" · ");
  find(".said q").textContent = turn.text;
  const values = Object.entries(turn.slots).map(([name, value]) => `${name}: ${value}`).join(", ");
  find(".meant").textContent = `${turn.intent ?? "no intent"}${values && ` (${values})`} · ${Math.round(100 * turn.confidence)}% · by ${turn.source}`;
  find(".replied").textContent = `“${turn.reply}”`;
  const form = find("form");
  form.elements.text.value = turn.text;
  const intents = ["", ...Object.keys(domain.intents)];
  form.elements.intent.append(...intents.map((name) => new Option(name || "– choose –", name, false, name === turn.intent)));
  const showSlots = () => slots(find(".slots"), domain.intents[form.elements.intent.value] ?? [], turn.slots);
  form.elements.intent.addEventListener("change", showSlots);
  showSlots();
  find(".listen").hidden = !turn.has_audio;
  find(".listen").addEventListener("click", () => attempt(item, () => play(turn)));
  const send = (body, done) => attempt(item, () => correct(item, turn, body, done));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = [...find(".slots").querySelectorAll("[name]")].filter((field) => field.value);
    const body = { verdict: "corrected", text: form.elements.text.value, intent: form.elements.intent.value || null };
    send({ ...body, slots: Object.fromEntries(given.map((field) => [field.name, field.value])) }, "Corrected");
  });
  find(".fine").addEventListener("click", () => send({ verdict: "fine" }, "Kept as it was"));
  find(".none").addEventListener("click", () => send({ verdict: "out_of_scope", text: form.elements.text.value }, "Out of scope"));
  find(".forget").addEventListener("click", () => {
    if (confirm("Delete the whole call, and what was learned from it?")) attempt(item, () => forget(turn));
  });
  item.dataset.call = turn.call;
  return item;
}

function slots(fieldset, names, values) {
  fieldset.hidden = !names.length;
  const fields = names.map((name) => {
    const label = document.createElement("label");
    const choices = domain.slots[name] ?? [];
    const field = document.createElement(choices.length ? "select" : "input");
    if (choices.length) field.append(...["", ...choices].map((value) => new Option(value || "–", value, false, value === values[name])));
    else field.value = values[name] ?? "";
    field.name = name;
    label.append(name, field);
    return label;
  });
  fieldset.replaceChildren(fieldset.querySelector("legend"), ...fields);
}

async function attempt(item, work) {
  const outcome = item.querySelector(".outcome");
  outcome.classList.remove("failed");
  try {
    await work();
  } catch (error) {
    outcome.classList.add("failed");
    outcome.textContent = error.message;
  }
}

async function play(turn) {
  const url = URL.createObjectURL(await (await ask(`turns/${turn.id}/audio`)).blob());
  const audio = new Audio(url);
  audio.addEventListener("ended", () => URL.revokeObjectURL(url));
  await audio.play();
}

async function correct(item, turn, body, done) {
  const { written } = await (await ask(`turns/${turn.id}`, { method: "POST", body: JSON.stringify(body) })).json();
  item.querySelector("form").hidden = true;
  const outcome = item.querySelector(".outcome");
  outcome.textContent = written.length ? `${done}: ${written.join(", ")}. Type “rejoinder adapt” to learn it.` : `${done}.`;
  outcome.focus();
}

async function forget(turn) {
  await ask(`calls/${encodeURIComponent(turn.call)}`, { method: "DELETE" });
  for (const item of list.querySelectorAll(`[data-call="${CSS.escape(turn.call)}"]`)) item.remove();
  count.textContent = "The call is forgotten.";
}

keyForm.addEventListener("submit", (event) => {
  event.preventDefault();
  key = document.querySelector("#key-value").value.trim();
  open();
});

open();
