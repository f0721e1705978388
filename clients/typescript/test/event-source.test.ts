import { EventSource } from "eventsource";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Agentrun, type EventSourceClass } from "../src/index.js";
import { CONTINUED, framesAfter, PAUSED_AT, RECORDED, RUN_ID, TEXT } from "./recording.js";
import { cursorOf, json, problem, RunServer, streamHead, write } from "./server.js";

let server: RunServer;
let client: Agentrun;
/** How often a ticket lets an EventSource in. */
let uses: number;
let status: string;
const made: EventSource[] = [];

class Watched extends EventSource {
  constructor(url: string) {
    super(url);
    made.push(this);
  }
}
const options = { EventSource: Watched as unknown as EventSourceClass };

beforeAll(async () => {
  server = await RunServer.start();
  client = new Agentrun({ baseUrl: server.url, token: "t", retryDelayMs: 0 });
});
beforeEach(() => {
  server.reset();
  made.length = 0;
  uses = Number.POSITIVE_INFINITY;
  status = "RUNNING";
  const left = new Map<string, number>();
  server.answering = async (asked, response) => {
    if (asked.path.endsWith("/stream-ticket")) {
      const ticket = `ticket-${String(left.size)}`;
      left.set(ticket, uses);
      const url = `${server.url}/api/agents/analyst/runs/${RUN_ID}/stream?ticket=${ticket}`;
      return json(response, { ticket, expiresAt: "", url }, 201);
    }
    if (asked.path === `/api/v1/runs/${RUN_ID}`) return json(response, { id: RUN_ID, status });
    const ticket = asked.query.get("ticket") ?? "";
    const rest = left.get(ticket) ?? 0;
    left.set(ticket, rest - 1);
    if (rest <= 0) return problem(response, 401, "unauthorized");
    const frames = framesAfter(server.events, cursorOf(asked));
    if (frames.length === 0) return false;
    streamHead(response);
    // Four events for each connection; the reader has to come back for the rest.
    await write(response, Buffer.concat(frames.slice(0, 4)));
    response.destroy();
    return true;
  };
});
afterAll(() => server.stop());

async function readAll(after?: number): Promise<{ ids: number[]; text: string }> {
  const stream = client.runs.eventSource("analyst", RUN_ID, { ...options, after });
  const ids: number[] = [];
  for await (const { id } of stream) ids.push(id);
  expect(made.every(({ readyState }) => readyState === EventSource.CLOSED)).toBe(true);
  return { ids, text: stream.textSoFar };
}

test("an EventSource reads a run with one ticket, and no token in its URL", async () => {
  const { ids, text } = await readAll();
  expect([ids, text]).toEqual([RECORDED.map(({ id }) => id), TEXT]);
  expect([made.length, server.askedFor("/stream-ticket").length]).toEqual([1, 1]);
  const streams = server.askedFor("/stream");
  expect(streams.length).toBe(Math.ceil(RECORDED.length / 4));
  expect(streams.every(({ headers }) => headers.authorization === undefined)).toBe(true);
});

test("a ticket that no longer holds is replaced", async () => {
  uses = 2;
  const { ids, text } = await readAll();
  expect([ids, text]).toEqual([RECORDED.map(({ id }) => id), TEXT]);
  expect(made.length).toBe(3);
});

test("it begins after an event, and ends at a pause that still waits", async () => {
  server.events = CONTINUED.slice(0, PAUSED_AT);
  status = "PAUSED";
  expect((await readAll(1)).ids).toEqual([2, 3, 4]);
});

test("leaving the loop closes it", async () => {
  for await (const { id } of client.runs.eventSource("analyst", RUN_ID, options)) if (id > 1) break;
  expect(made.map(({ readyState }) => readyState)).toEqual([EventSource.CLOSED]);
});
