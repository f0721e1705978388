import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Agentrun, type RunEvent } from "../src/index.js";
import { frameOf, framesAfter, REASONING, RECORDED, TEXT } from "./recording.js";
import { cursorOf, RunServer, streamHead, write } from "./server.js";

const AT_ONCE = 24;
let server: RunServer;

beforeAll(async () => {
  server = await RunServer.start();
});
beforeEach(() => {
  server.reset();
});
afterAll(() => server.stop());

async function atOnce(jobs: (() => Promise<void>)[]): Promise<void> {
  const waiting = jobs.values();
  const work = async (): Promise<void> => {
    for (const job of waiting) await job();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

/** Read a run; check that each event came once, in order, and that the text is right. */
async function readWhole(client: Agentrun): Promise<void> {
  const stream = client.runs.stream("analyst", "17 * 23?");
  const events: RunEvent[] = [];
  for await (const event of stream) events.push(event);
  expect(events.map(({ id }) => id)).toEqual(RECORDED.map(({ id }) => id));
  expect([stream.textSoFar, stream.reasoningSoFar]).toEqual([TEXT, REASONING]);
  const { status, tools } = await stream.result();
  expect([status, tools.map(({ id }) => id)]).toEqual(["COMPLETED", ["c1", "c4", "c3"]]);
}

test.each(["breaks", "ends as if all were well"])(
  "a stream that %s at any byte is read whole",
  async (how) => {
    // A run for each event: its connections are cut a byte later each, until the event has come.
    const cuts = new Map<number, number>();
    server.answering = async (asked, response) => {
      const aimed = Number(asked.headers.authorization?.slice("Bearer ".length));
      const after = cursorOf(asked);
      const frames = framesAfter(RECORDED, after);
      if (after >= aimed) return false;
      const before = RECORDED.filter(({ id }) => id > after && id < aimed).length;
      const start = Buffer.concat(frames.slice(0, before)).length;
      const cut = cuts.get(aimed) ?? 0;
      cuts.set(aimed, cut + 1);
      const bytes = Buffer.concat(frames).subarray(0, start + cut);
      streamHead(response);
      await write(response, bytes);
      if (how === "breaks") response.destroy();
      else response.end();
      return true;
    };
    const jobs = RECORDED.map(async ({ id }) => {
      const options = { baseUrl: server.url, token: String(id), retryDelayMs: 0 };
      await readWhole(new Agentrun({ ...options, maxReattaches: 1_000 }));
    });
    await Promise.all(jobs);
    expect(server.keys.size).toBe(RECORDED.length);
    for (const event of RECORDED)
      expect(cuts.get(event.id)).toBe(frameOf(event, true).length + 1);
  },
);

test("200 streams that double, delay and break off at random are read whole", async () => {
  const random = seeded(20261130);
  const client = new Agentrun({ baseUrl: server.url, token: "t", retryDelayMs: 0 });
  server.answering = async (asked, response) => {
    if (!asked.path.endsWith("/stream")) return false;
    if (random() < 0.1) {
      response.destroy();
      return true;
    }
    // A reader that asks for what follows may still be sent what it has had.
    const frames = framesAfter(RECORDED, Math.max(0, cursorOf(asked) - 2 * Number(random() < 0.3)));
    if (frames.length === 0) return false;
    streamHead(response);
    for (const frame of frames) {
      const split = Math.floor(random() * frame.length);
      await write(response, frame.subarray(0, split));
      if (random() < 0.1) {
        if (random() < 0.5) response.destroy();
        else response.end();
        return true;
      }
      if (random() < 0.2) await new Promise((resolve) => setTimeout(resolve, 2 * random()));
      await write(response, frame.subarray(split));
      if (random() < 0.2) await write(response, frame);
    }
    response.end();
    return true;
  };
  await atOnce(Array.from({ length: 200 }, () => () => readWhole(client)));
  expect(server.keys.size).toBe(200);
  expect(server.asked.length).toBeGreaterThan(400);
});

/** Mulberry32. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
