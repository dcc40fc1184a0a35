/** What the page says of each state: [title, hint, the label of the large button]. */

export const STATES = {
  idle: ["Ready when you are", "Press to talk", "Start talking"],
  ended: ["The conversation is over", "Press to begin another one", "Start talking"],
  connecting: ["Connecting…", "One moment", "Cancel"],
  listening: ["Listening", "Say what you need", "End the conversation"],
  muted: ["Muted", "You are not heard. You can type", "End the conversation"],
  typing: ["Ready to read", "Without a microphone: type below", "Use the microphone"],
  hearing: ["Hearing you", "Take your time", "End the conversation"],
  thinking: ["Working it out", "One moment", "End the conversation"],
  speaking: ["Speaking", "Interrupt whenever you like", "End the conversation"],
  reconnecting: ["Reconnecting…", "The connection was lost. Nothing is forgotten, keep talking", "End the conversation"],
  down: ["The server does not answer", "Trying again until it does", "Cancel"],
  full: ["All lines are busy", "The server is full. You are next: trying again", "Cancel"],
  locked: ["A key is needed", "This server lets in those who have one", "Enter a key"],
  forbidden: ["Not allowed from here", "Open this page at the server's own address", "Try again"],
  broken: ["The server ended the call", "It did not understand this page. Reload it and try again", "Try again"],
  elsewhere: ["Continued elsewhere", "This conversation goes on in another window", "Start a new one"],
  asking: ["May this page use the microphone?", "Answer the browser's question above", "Waiting for your answer"],
  refused: ["The microphone is blocked", "Allow it in the browser's address bar, then try again. Typing works without", "Try again"],
  absent: ["No microphone found", "Plug one in, then try again. Typing works without", "Try again"],
  busy: ["The microphone is not free", "Another program may be using it. Typing works without", "Try again"],
  insecure: ["No microphone over plain HTTP", "Browsers give it to HTTPS pages and to 127.0.0.1 only. Typing works", "Try again"],
  lost: ["The microphone is gone", "Plug it in again, then press. Typing works without", "Use the microphone"],
};

/** States of a conversation that goes on. */
export const LIVE = new Set(["listening", "muted", "typing", "hearing", "thinking", "speaking", "reconnecting"]);

/** States of which a screen reader is told; the others come and go with each turn. */
export const SPOKEN = new Set(
  "ended connecting reconnecting down full locked forbidden broken elsewhere asking refused absent busy insecure lost".split(" "),
);

export const PROBLEMS = new Set("down full locked forbidden broken elsewhere refused absent busy insecure lost".split(" "));
