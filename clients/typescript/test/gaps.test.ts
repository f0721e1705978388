/** Events that are lost or spoiled on their way are asked for again. */

import { once } from "node:events";
import { EventSource } from "eventsource";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Agentrun, approve, type EventSourceClass, type RunStream } from "../src/index.js";
import { CONTINUED, frameOf, framesAfter, PAUSE, PAUSED_AT, RUN_ID } from "./recording.js";
import { type Asked, cursorOf, json, RunServer, streamHead } from "./server.js";

const EVENTS = [
  { id: 1, event: "START", data: JSON.stringify({ runId: RUN_ID }) },
  { id: 2, event: "CONTENT_DELTA", data: "one " },
  { id: 3, event: "CONTENT_DELTA", data: "two " },
  { id: 4, event: "CONTENT_DELTA", data: "three" },
  { id: 5, event: "STOP", data: "{}" },
];
let server: RunServer;
let client: Agentrun;

beforeAll(async () => {
  server = await RunServer.start();
  // None of this waits until a connection has been silent for too long.
  client = new Agentrun({ baseUrl: server.url, token: "t", retryDelayMs: 0, silenceMs: 600_000 });
});
beforeEach(() => {
  server.reset();
  server.events = EVENTS;
});
afterAll(() => server.stop());

/** Leave events out of the first answers whose path ends with `/stream`. */
function lose(ids: number[], answers: number): void {
  server.answering = ({ path, ...asked }, response) => {
    if (!path.endsWith("/stream") || answers === 0) return false;
    answers -= 1;
    const left = server.events.filter(({ id }) => !ids.includes(id));
    streamHead(response);
    response.end(Buffer.concat(framesAfter(left, cursorOf({ path, ...asked }))));
    return true;
  };
}

async function idsOf(stream: RunStream): Promise<number[]> {
  const ids: number[] = [];
  for await (const { id } of stream) ids.push(id);
  return ids;
}

const cursors = (): (string | undefined)[] =>
  server.askedFor("/stream").map(({ headers }) => headers["last-event-id"] as string | undefined);

test("an event that is missing is asked for", async () => {
  lose([3], 1);
  const stream = client.runs.stream("analyst", "Hi");
  expect(await idsOf(stream)).toEqual([1, 2, 3, 4, 5]);
  expect(stream.textSoFar).toBe("one two three");
  expect(cursors()).toEqual([undefined, "2"]);
});

test("so is the first, by the same request", async () => {
  lose([1], 1);
  expect(await idsOf(client.runs.stream("analyst", "Hi"))).toEqual([1, 2, 3, 4, 5]);
  expect(server.askedFor("/runs/stream").length).toBe(2);
  expect(server.keys.size).toBe(1);
});

test("so is the first after the one that is known", async () => {
  lose([3], 1);
  expect(await idsOf(client.runs.attach("analyst", RUN_ID, { after: 2 }))).toEqual([3, 4, 5]);
});

test("an event that stays missing does not exist", async () => {
  lose([2, 4], 9);
  expect(await idsOf(client.runs.stream("analyst", "Hi"))).toEqual([1, 3, 5]);
  expect(cursors()).toEqual([undefined, "1", "3"]);
});

test("the first event after a pause that was decided is missed, too", async () => {
  server.events = CONTINUED;
  lose([PAUSED_AT + 1], 1);
  const losing = server.answering;
  let isDecided = false;
  server.answering = (asked, response, number) => {
    if (asked.path.endsWith(RUN_ID)) {
      const paused = { status: "PAUSED", requiredAction: PAUSE };
      return json(response, { id: RUN_ID, ...(isDecided ? { status: "COMPLETED" } : paused) });
    }
    if (!asked.path.endsWith("/continue")) return losing?.(asked, response, number);
    isDecided = true;
    response.destroy();
    return true;
  };
  const ids = await idsOf(client.runs.resume("analyst", RUN_ID, approve()));
  expect(ids).toEqual([5, 6, 7, 8, 9, 10, 11]);
});

test("an EventSource asks again, with another ticket", async () => {
  const losing = (asked: Asked, isFirst: boolean): Uint8Array[] =>
    framesAfter(isFirst ? EVENTS.filter(({ id }) => id !== 3) : EVENTS, cursorOf(asked));
  const url = `${server.url}/api/agents/analyst/runs/${RUN_ID}/stream?ticket=t`;
  server.answering = (asked, response) => {
    if (asked.path.endsWith("/stream-ticket")) return json(response, { url }, 201);
    streamHead(response);
    const isFirst = server.askedFor("/stream").length === 1;
    response.end(Buffer.concat(losing(asked, isFirst)));
    return true;
  };
  const options = { EventSource: EventSource as unknown as EventSourceClass };
  const stream = client.runs.eventSource("analyst", RUN_ID, options);
  expect(await idsOf(stream)).toEqual([1, 2, 3, 4, 5]);
  expect(server.askedFor("/stream-ticket").length).toBe(2);
});

const SPOILED: Record<string, string> = {
  "no id": 'data: {"event":"CONTENT_DELTA","data":"one "}',
  "no whole id": 'id: 2.5\ndata: {"event":"CONTENT_DELTA","data":"one "}',
  "no number for an id": 'id: two\ndata: {"event":"CONTENT_DELTA","data":"one "}',
  "half of its JSON": 'id: 2\ndata: {"event":',
  "other JSON": "id: 2\ndata: null",
  "no text": 'id: 2\ndata: {"event":"CONTENT_DELTA"}',
};

test.each(Object.entries(SPOILED))("a frame with %s is asked for again", async (_what, frame) => {
  server.answering = async (_, response, number) => {
    if (number > 1) return false;
    streamHead(response);
    const first = framesAfter(EVENTS.slice(0, 1), 0);
    response.write(Buffer.concat([...first, Buffer.from(`${frame}\n\n`)]));
    await once(response, "close");
    return true;
  };
  const stream = client.runs.stream("analyst", "Hi");
  expect(await idsOf(stream)).toEqual([1, 2, 3, 4, 5]);
  expect(cursors()).toEqual([undefined, "1"]);
});

test("an event that comes twice is handed on once", async () => {
  server.answering = (_, response) => {
    const twice = EVENTS.flatMap((event) => [frameOf(event), frameOf(EVENTS[0] ?? event)]);
    streamHead(response);
    response.end(Buffer.concat(twice));
    return true;
  };
  expect(await idsOf(client.runs.stream("analyst", "Hi"))).toEqual([1, 2, 3, 4, 5]);
});
