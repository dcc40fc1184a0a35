/** The connection to the server: JSON messages and audio both ways, made anew when it is lost. */

const PROTOCOL = "rejoinder";
const KEY_PROTOCOL = "openai-insecure-api-key.";
const FIRST_WAIT_S = 0.5;
const LONGEST_WAIT_S = 10;
const ENDED = 1000;
const FINAL = { 1007: "broken", 1008: "broken", 4001: "elsewhere" };
const NO_KEY = /[^!#$%&'*+.^_`|~0-9A-Za-z-]/; // what cannot be sent as a subprotocol is no key either

export class Link {
  onmessage = () => {};
  /** Told of (reply, Int16Array). */
  onaudio = () => {};
  /** Told of "idle", "connecting", "open", "reconnecting", "down", "full", "locked", "forbidden", "broken", "elsewhere". */
  onstate = () => {};
  state = "idle";
  key = sessionStorage.getItem("key") ?? "";
  #socket = null;
  #wanted = false;
  #options = {};
  #resume = null;
  #attempts = 0;
  #timer = 0;

  constructor() {
    addEventListener("online", () => this.#timer && this.#retry());
  }

  get isOpen() {
    return this.state === "open";
  }

  /** Begin a conversation. */
  open({ bargeIn, greet }) {
    this.#wanted = true;
    this.#options = { barge_in: bargeIn, greet };
    this.#resume = null;
    this.#attempts = 0;
    this.#connect();
  }

  /** End the conversation. */
  close() {
    if (this.isOpen) this.send({ type: "goodbye" });
    this.#wanted = false;
    this.#forgetTimer();
    this.#socket?.close(ENDED);
    this.#socket = null;
    this.#become("idle");
  }

  send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** Send an Int16Array of samples. */
  sendAudio(samples) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(samples);
  }

  useKey(key) {
    this.key = key.trim();
    sessionStorage.setItem("key", this.key);
  }

  /** What the assistant is about, or null; asks nothing of the conversation. */
  async about() {
    const answer = await fetch("/talk", { headers: this.#authorization() });
    if (answer.status === 401) this.#become("locked");
    return answer.ok ? answer.json() : null;
  }

  #authorization() {
    return this.key ? { Authorization: `Bearer ${this.key}` } : {};
  }

  #connect() {
    this.#forgetTimer();
    this.#become(this.#attempts || this.#resume ? "reconnecting" : "connecting");
    if (NO_KEY.test(this.key)) return this.#give("locked");
    const url = new URL("/talk", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url, this.key ? [PROTOCOL, KEY_PROTOCOL + this.key] : [PROTOCOL]);
    socket.binaryType = "arraybuffer";
    let welcomed = false;
    socket.onopen = () => {
      const hello = { type: "hello", ...this.#options };
      socket.send(JSON.stringify(this.#resume ? { ...hello, resume: this.#resume } : hello));
    };
    socket.onmessage = ({ data }) => {
      if (socket !== this.#socket) return;
      if (typeof data !== "string") {
        this.onaudio(new DataView(data).getUint32(0, true), new Int16Array(data, 4).slice());
        return;
      }
      const message = JSON.parse(data);
      if (message.type === "welcome") {
        welcomed = true;
        this.#attempts = 0;
        this.#resume = message.resume;
        this.#become("open");
      }
      this.onmessage(message);
    };
    socket.onclose = ({ code }) => {
      if (socket !== this.#socket) return;
      this.#socket = null;
      if (code === ENDED || !this.#wanted) this.#give("idle");
      else if (code in FINAL) this.#give(FINAL[code]);
      else if (welcomed) this.#waitAndRetry("reconnecting", 0);
      else this.#diagnose();
    };
    this.#socket = socket;
  }

  /** A browser does not say why a WebSocket was refused; ordinary requests tell. */
  async #diagnose() {
    try {
      const ready = await fetch("/readyz", { cache: "no-store" });
      if (!this.#wanted) return;
      if (ready.status === 503) return this.#waitAndRetry("full", Number(ready.headers.get("Retry-After")) || 1);
      const { status } = await fetch("/talk", { cache: "no-store", headers: this.#authorization() });
      if (status === 401) return this.#give("locked");
      if (status === 403) return this.#give("forbidden");
    } catch {
      if (this.#wanted) return this.#waitAndRetry(this.#resume ? "reconnecting" : "down", 0);
    }
    if (this.#wanted) this.#waitAndRetry("reconnecting", 0);
  }

  #waitAndRetry(state, leastWait_s) {
    this.#become(state);
    const wait_s = Math.min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** this.#attempts) * (0.5 + Math.random());
    this.#attempts += 1;
    this.#timer = setTimeout(() => this.#retry(), 1000 * Math.max(wait_s, leastWait_s));
  }

  #retry() {
    if (!this.#wanted) return;
    const state = this.state; // what is shown stays, until it is known to be better
    this.#connect();
    if (state === "full" || state === "down") this.#become(state);
  }

  #give(state) {
    this.#wanted = false;
    this.#become(state);
  }

  #forgetTimer() {
    clearTimeout(this.#timer);
    this.#timer = 0;
  }

  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.onstate(state);
  }
}
