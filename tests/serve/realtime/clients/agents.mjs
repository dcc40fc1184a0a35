// OpenAI's Agents SDK orders a latte, interrupts, runs the tool, and prints what it was told as JSON.
// node agents.mjs ws://…/v1/realtime order.pcm yes.pcm, beside a node_modules with @openai/agents-realtime
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.env.AGENTS_FOLDER}/`);
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const { RealtimeAgent, RealtimeSession, OpenAIRealtimeWebSocket, tool } = await load("@openai/agents-realtime");
const { z } = await load("zod");

const [url, order, yes] = process.argv.slice(2);
const FRAME_BYTES = 960; // 20 ms at 24 kHz
const told = { arguments: null, interrupted: false, said: [], errors: [] };
let rest = Buffer.concat([Buffer.alloc(14400), readFileSync(order)]);
let agreed = false;

const placeOrder = tool({
  name: "place_order",
  description: "Places an order.",
  parameters: z.object({ drink: z.string(), size: z.string().nullable() }),
  execute: async (given) => {
    told.arguments = given;
    return { number: 77 };
  },
});
const agent = new RealtimeAgent({ name: "Cafe", tools: [placeOrder] });
const transport = new OpenAIRealtimeWebSocket({ url, useInsecureApiKey: true });
const session = new RealtimeSession(agent, { transport, tracingDisabled: true });

session.on("error", (event) => told.errors.push(JSON.stringify(event)));
session.on("audio_interrupted", () => (told.interrupted = true));
session.on("audio", () => {
  if (agreed) return;
  agreed = true;
  setTimeout(() => (rest = readFileSync(yes)), 900); // any sooner, and it would be the rest of the order
});
transport.on("*", (event) => {
  if (event.type !== "response.done" || event.response.status !== "completed") return;
  for (const item of event.response.output) for (const part of item.content ?? []) told.said.push(part.transcript);
  if (told.said.some((said) => said?.includes("77"))) finish();
});
const finish = () => {
  console.log(JSON.stringify(told));
  process.exit(0);
};
setTimeout(finish, 90000);

await session.connect({ apiKey: "ek_test" });
setInterval(() => {
  const frame = Buffer.alloc(FRAME_BYTES);
  rest.copy(frame, 0, 0, FRAME_BYTES);
  rest = rest.subarray(FRAME_BYTES);
  session.sendAudio(frame.buffer.slice(frame.byteOffset, frame.byteOffset + FRAME_BYTES));
}, 20);
