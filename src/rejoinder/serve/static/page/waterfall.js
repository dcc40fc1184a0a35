/** Where the time of one turn went. All positions count seconds from the last sample of what the caller said. */

import { element } from "./element.js";

/**
 * The stages of a turn as {name, from_s, to_s, ahead}, in order, and the total.
 *
 * `turn` has what the server told (`turn_ended` and the first `reply_audio`) and `measured_s`, where the page could
 * measure it: from the last sample of speech at the microphone to the first sample of the reply at the loudspeaker.
 */
export function stages(turn) {
  const took = turn.timings_s ?? {};
  const isTyped = turn.isTyped;
  // The session's clock went on while the last words were looked at again.
  const pause_s = isTyped ? 0 : Math.max(0, turn.at_s - turn.speech_end_s - (took.wait ?? 0));
  const first_s = pause_s + (turn.decision_s ?? 0);
  const total_s = Math.max(first_s, turn.measured_s ?? 0);
  const found = [];
  let at_s = isTyped ? 0 : Math.min(turn.pause_s, pause_s);
  if (!isTyped) found.push({ id: "pause", name: "Your pause", from_s: 0, to_s: pause_s });
  for (const [id, name] of [["recognize", "Recognize"], ["understand", "Understand"], ["respond", "Respond"]]) {
    if (took[id] === undefined || (isTyped && id === "recognize")) continue;
    const to_s = at_s + took[id];
    found.push({ id, name, from_s: at_s, to_s, ahead: !isTyped && to_s <= pause_s + 0.001 });
    at_s = to_s;
  }
  found.push({ id: "first", name: turn.draft_hit ? "Send the draft" : "First sound ready", from_s: pause_s, to_s: first_s });
  if (turn.measured_s) found.push({ id: "play", name: "To your loudspeaker", from_s: first_s, to_s: total_s });
  return { stages: found, total_s };
}

export function milliseconds(seconds) {
  return seconds < 0.0095 ? `${(1000 * seconds).toFixed(1)} ms` : `${Math.round(1000 * seconds)} ms`;
}

/** The stages drawn: a summary, and a table that opens. */
export function waterfall(turn) {
  const { stages: rows, total_s } = stages(turn);
  const share = (seconds) => `${(100 * Math.min(1, seconds / (total_s || 1))).toFixed(2)}%`;
  const bar = (row, className) => {
    const span = element("span", { className: `${className} ${row.id}${row.ahead ? " ahead" : ""}` });
    span.style.setProperty("--from", share(row.from_s));
    span.style.setProperty("--length", share(Math.max(0, row.to_s - row.from_s)));
    return span;
  };
  const inLine = rows.filter((row) => ["pause", "first", "play"].includes(row.id));
  const summary = element("summary", {}, [
    element("span", { className: "total" }, milliseconds(total_s)),
    element("span", { className: "meaning-of-total" }, turn.isTyped ? "to first sound" : "last word to first sound"),
    turn.draft_hit ? element("span", { className: "badge" }, "Draft was ready") : null,
    element("span", { className: "whole", ariaHidden: "true" }, inLine.map((row) => bar(row, "part"))),
  ]);
  const body = rows.map((row) =>
    element("tr", {}, [
      element("th", { scope: "row" }, row.name),
      element("td", { className: "lane", ariaHidden: "true" }, bar(row, "bar")),
      element("td", { className: "took" }, [
        milliseconds(row.to_s - row.from_s),
        row.ahead ? element("span", { className: "unseen" }, ", done ahead") : null,
      ]),
    ]),
  );
  const note = rows.some((row) => row.ahead)
    ? "Hatched: done ahead, in the pause. It cost no time."
    : turn.isTyped ? "" : "Some of the work was left when the pause had become long enough.";
  return element("details", { className: "latency" }, [
    summary,
    element("table", {}, [element("caption", { className: "unseen" }, "Where the time went"), element("tbody", {}, body)]),
    note ? element("p", { className: "note" }, note) : null,
  ]);
}
