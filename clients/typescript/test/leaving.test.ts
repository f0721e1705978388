import { getEventListeners } from "node:events";
import type { ServerResponse } from "node:http";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Agentrun, type AgentrunOptions, RunCancelledError } from "../src/index.js";
import { frameOf, framesAfter, RECORDED, RUN_ID, TEXT } from "./recording.js";
import { problem, RunServer, streamHead, write } from "./server.js";

let server: RunServer;

beforeAll(async () => {
  server = await RunServer.start();
});
beforeEach(() => {
  server.reset();
});
afterAll(() => server.stop());

function clientWith(options: Partial<AgentrunOptions> = {}): Agentrun {
  return new Agentrun({ baseUrl: server.url, token: "t", retryDelayMs: 0, ...options });
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** Answer every stream with these frames, and leave it open. */
function leaveOpen(...frames: Uint8Array[]): void {
  server.answering = async (asked, response) => {
    if (!asked.path.endsWith("/stream")) return false;
    streamHead(response);
    for (const frame of frames) await write(response, frame);
    return true;
  };
}

test("an abort closes the connection at once, and the run goes on", async () => {
  leaveOpen(frameOf(RECORDED[0] ?? expect.fail()));
  const abort = new AbortController();
  const stream = clientWith().runs.stream("analyst", "Hi", { signal: abort.signal });
  const reading = stream.text().catch((error: unknown) => error);
  await until(() => stream.lastEventId === 1);
  abort.abort(new Error("enough"));
  expect(await reading).toMatchObject({ message: "enough" });
  await until(() => server.open === 0);
  expect(server.asked.length).toBe(1);
  await expect(stream.text()).rejects.toThrow("enough");
});

test("an abort ends a wait between two tries", async () => {
  server.answering = (_, response) => {
    response.destroy();
    return true;
  };
  const abort = new AbortController();
  const client = clientWith({ retryDelayMs: 600_000, maxRetryDelayMs: 600_000 });
  const waits: number[] = [];
  const stream = client.runs.stream("analyst", "Hi", {
    signal: abort.signal,
    onReattach: ({ delayMs }) => waits.push(delayMs),
  });
  const reading = stream.text().catch((error: unknown) => error);
  const asking = client.runs.get("r", { signal: abort.signal }).catch((error: unknown) => error);
  await until(() => waits.length === 1 && server.asked.length === 2);
  abort.abort();
  expect(await reading).toMatchObject({ name: "AbortError" });
  expect(await asking).toMatchObject({ name: "AbortError" });
  expect(waits[0]).toBeGreaterThanOrEqual(300_000);
});

test.each(["in mid-stream", "before the run is known"])(
  "an abort %s cancels the run if that is wanted",
  async (when) => {
    let answer: (() => void) | undefined;
    server.answering = async (asked, response) => {
      if (asked.path === `/api/v1/runs/${RUN_ID}/cancel`) {
        response.writeHead(204).end();
        return true;
      }
      if (when !== "in mid-stream") await new Promise<void>((resolve) => (answer = resolve));
      streamHead(response);
      await write(response, frameOf(RECORDED[0] ?? expect.fail()));
      return true;
    };
    const abort = new AbortController();
    const stream = clientWith().runs.stream("analyst", "Hi", {
      signal: abort.signal,
      cancelOnAbort: true,
    });
    const reading = stream.text().catch((error: unknown) => error);
    await until(() => stream.lastEventId === 1 || answer !== undefined);
    abort.abort();
    answer?.();
    expect(await reading).toMatchObject({ name: "AbortError" });
    expect(server.askedFor("/cancel").length).toBe(1);
    await until(() => server.open === 0);
  },
);

test("an abort with a refused start ends, though there is no run to cancel", async () => {
  const abort = new AbortController();
  server.answering = (_, response) => {
    abort.abort();
    return problem(response, 429, "too-many-runs", {}, { "Retry-After": "3600" });
  };
  const stream = clientWith().runs.stream("analyst", "Hi", {
    signal: abort.signal,
    cancelOnAbort: true,
  });
  await expect(stream.text()).rejects.toMatchObject({ name: "AbortError" });
  expect(server.asked.length).toBe(1);
});

test("a loop that is left early closes the connection, and another one reads on", async () => {
  leaveOpen(...framesAfter(RECORDED, 0).slice(0, 6));
  const stream = clientWith().runs.stream("analyst", "Hi");
  for await (const event of stream) if (event.event === "TOOL_START") break;
  await until(() => server.open === 0);
  expect(stream.lastEventId).toBe(4);
  server.answering = undefined;
  const ids: number[] = [];
  for await (const { id } of stream) ids.push(id);
  expect(ids).toEqual(RECORDED.map(({ id }) => id).filter((id) => id > 4));
  expect(stream.textSoFar).toBe(TEXT);
  expect(server.keys.size).toBe(1);
});

test("a long wait leaves no listener behind", async () => {
  const warnings: string[] = [];
  const warn = ({ name }: Error): number => warnings.push(name);
  process.on("warning", warn);
  server.answering = (_, response, number) => {
    if (number > 40) return false;
    if (number % 3 === 1) response.destroy();
    else if (number % 3 === 2) return problem(response, 503, "unavailable");
    else {
      streamHead(response);
      response.end();
    }
    return true;
  };
  const { signal } = new AbortController();
  const client = clientWith({ maxReattaches: 100, maxRetries: 100 });
  const stream = client.runs.stream("analyst", "Hi", { signal, cancelOnAbort: true });
  const counts = new Set<number>();
  for await (const event of stream) {
    expect(event.id).toBeGreaterThan(0);
    counts.add(getEventListeners(signal, "abort").length);
  }
  expect(Math.max(...counts)).toBe(2);
  expect(getEventListeners(signal, "abort").length).toBe(0);
  await client.runs.get("r", { signal }).catch(() => undefined);
  expect(getEventListeners(signal, "abort").length).toBe(0);
  await new Promise(setImmediate);
  process.off("warning", warn);
  expect(warnings).toEqual([]);
});

test("two loops cannot read one stream", async () => {
  leaveOpen(frameOf(RECORDED[0] ?? expect.fail()));
  const stream = clientWith().runs.stream("analyst", "Hi");
  const events = stream[Symbol.asyncIterator]();
  await events.next();
  await expect(stream.text()).rejects.toThrow("Another loop");
  await events.return();
  await until(() => server.open === 0);
});

test("cancel stops the run that is being read", async () => {
  let open: ServerResponse | undefined;
  server.answering = async (asked, response) => {
    if (asked.path.endsWith("/cancel")) {
      response.writeHead(204).end();
      open?.end(frameOf({ id: 2, event: "CANCELLED", data: "On request." }));
      return true;
    }
    open = response;
    streamHead(response);
    await write(response, frameOf(RECORDED[0] ?? expect.fail()));
    return true;
  };
  const stream = clientWith().runs.stream("analyst", "Hi");
  const reading = stream.text().catch((error: unknown) => error);
  await stream.cancel();
  const error = await reading;
  expect(error).toBeInstanceOf(RunCancelledError);
  expect(error).toMatchObject({ message: "On request.", runId: RUN_ID });
});
