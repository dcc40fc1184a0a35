/** The conversation as cards: what was heard, what was understood, the reply, and where the time went. */

import { element } from "./element.js";
import { milliseconds, waterfall } from "./waterfall.js";

const SOURCES = {
  pattern: "a pattern of the domain",
  classifier: "the intent classifier",
  slot: "the answer to a question",
  command: "a command that always works",
  knowledge: "the knowledge base",
  llm: "the language model",
  none: "out of scope",
};

/** One card. Each `set…` may be called again, with more. */
export class Card {
  #heard = element("p", { className: "heard" });
  #meaning = element("div", { className: "meaning" });
  #reply = element("p", { className: "reply" });
  #notes = element("p", { className: "notes" });
  #latency = element("div");
  #assistant;
  turn = {};
  replyText = "";

  constructor(list, assistant) {
    this.#assistant = assistant;
    this.item = element("li", { className: "turn" }, [this.#heard, this.#meaning, this.#reply, this.#notes, this.#latency]);
    list.append(this.item);
  }

  /** What the caller said; called again when they went on. */
  setTurn(turn) {
    this.turn = turn;
    this.replyText = "";
    this.#reply.replaceChildren();
    this.#latency.replaceChildren();
    this.#notes.replaceChildren();
    this.item.classList.remove("interrupted");
    const said = turn.text || "Nothing that could be understood";
    this.#heard.replaceChildren(
      element("span", { className: "speaker" }, "You"),
      element("q", { className: turn.text ? "" : "nothing" }, said),
      ...(turn.isTyped ? [element("span", { className: "aside" }, "typed")] : []),
      ...(turn.continues ? [element("span", { className: "aside" }, "went on")] : []),
    );
  }

  setMeaning({ intent, confidence, slots, source, answer_source: answerSource }) {
    const name = intent ?? (source === "knowledge" ? "Answered from the knowledge" : source === "none" ? "Out of scope" : source);
    const percent = Math.round(100 * confidence);
    const bar = element("meter", { className: "confidence", min: 0, max: 1, value: confidence, ariaLabel: "Confidence" });
    const values = Object.entries(slots).flatMap(([slot, value]) => [element("dt", {}, slot), element("dd", {}, value)]);
    this.#meaning.replaceChildren(
      element("span", { className: "intent" }, name),
      element("span", { className: "sure" }, [bar, element("span", {}, `${percent}%`)]),
      element("span", { className: "source" }, `by ${SOURCES[source] ?? source}${answerSource ? `, ${answerSource}` : ""}`),
      ...(values.length ? [element("dl", { className: "slots" }, this.#pairs(values))] : []),
    );
  }

  #pairs(values) {
    return values.flatMap((_, n) => (n % 2 ? [] : [element("div", {}, values.slice(n, n + 2))]));
  }

  setReply(text) {
    this.replyText = text;
    this.#reply.replaceChildren(element("span", { className: "speaker" }, this.#assistant), text);
  }

  addReply(text) {
    this.setReply(`${this.replyText} ${text}`);
  }

  note(text, kind = "") {
    this.#notes.append(element("span", { className: kind }, text));
  }

  action({ name, ok, took_s: took }) {
    this.note(`${name} ${ok ? "done in" : "failed after"} ${milliseconds(took)}`, ok ? "good" : "bad");
  }

  interrupted(heard_s) {
    this.item.classList.add("interrupted");
    this.note(`Interrupted after ${heard_s.toFixed(1)} s`, "warn");
  }

  /** Draw the latency as far as it is known. */
  time(more) {
    Object.assign(this.turn, more);
    if (this.turn.decision_s === undefined || this.turn.at_s === undefined) return; // a greeting answers nobody
    const isOpen = this.#latency.querySelector("details")?.open ?? false;
    const drawn = waterfall(this.turn);
    drawn.open = isOpen;
    this.#latency.replaceChildren(drawn);
  }
}
