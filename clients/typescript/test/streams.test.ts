import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import {
  Agentrun,
  type AgentrunOptions,
  AuthenticationError,
  ConflictError,
  ConnectionFailedError,
  NotFoundError,
  RunCancelledError,
  RunFailedError,
  RunPausedError,
  StreamLostError,
  UnavailableError,
} from "../src/index.js";
import {
  CONTINUED,
  frameOf,
  framesAfter,
  PAUSE,
  PAUSED_AT,
  RECORDED,
  RUN_ID,
  SESSION_ID,
  TEXT,
} from "./recording.js";
import { cursorOf, json, problem, RunServer, streamHead, write } from "./server.js";

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

test("a run is started with its key, its policy and what was asked for", async () => {
  const media = [{ type: "image/png", data: "aGk=" }];
  const stream = clientWith().runs.stream("an alyst", "Hi", {
    sessionId: SESSION_ID,
    media,
    options: { maxTokens: 5 },
    webhook: { url: "https://example.org" },
    generateFollowups: true,
    sessionPolicy: "enqueue",
    idempotencyKey: "k1",
  });
  expect(await stream.text()).toBe(TEXT);
  const [asked] = server.asked;
  expect(asked?.path).toBe("/api/agents/an%20alyst/runs/stream");
  expect(asked?.headers).toMatchObject({
    authorization: "Bearer t",
    accept: "text/event-stream",
    "content-type": "application/json",
    "idempotency-key": "k1",
    "x-session-policy": "enqueue",
  });
  expect(JSON.parse(asked?.body ?? "")).toEqual({
    message: "Hi",
    sessionId: SESSION_ID,
    media,
    options: { maxTokens: 5 },
    webhook: { url: "https://example.org" },
    generateFollowups: true,
  });
});

test("nothing is sent before a stream is read, and each has a key of its own", async () => {
  const { runs } = clientWith();
  const [one, other] = [runs.stream("analyst", "Hi"), runs.stream("analyst", "Hi")];
  expect(server.asked).toEqual([]);
  await Promise.all([one.text(), other.text()]);
  expect(server.keys.size).toBe(2);
});

test("events are typed, and what was void is not in the result", async () => {
  const stream = clientWith().runs.stream("analyst", "Hi");
  const named: Record<string, unknown> = {};
  for await (const event of stream) named[event.event] ??= event;
  expect(named).toMatchObject({
    START: { id: 1, timestamp: 1795378233367, runId: RUN_ID, agentId: "analyst" },
    TOOL_START: { callId: "c1", name: "calculate", arguments: { x: "17*23" } },
    TOOL_END: { callId: "c1", result: 391 },
    TOOL_ERROR: { callId: "c3", error: "dark" },
    STEP_RESET: { toEventId: 6, attempt: 2, reason: "EXECUTOR_LOST" },
    METRICS: { metrics: { inputTokens: 50 } },
    STOP: { status: "COMPLETED" },
    UNKNOWN: { name: "SOMETHING_NEW", data: "?" },
  });
  expect(await stream.result()).toMatchObject({
    runId: RUN_ID,
    sessionId: SESSION_ID,
    agentId: "analyst",
    status: "COMPLETED",
    tools: [
      { id: "c1", toolName: "calculate", toolInput: { x: "17*23" }, toolOutput: 391 },
      { id: "c3", toolName: "look", toolInput: {}, toolOutput: "dark", isError: true },
    ],
    metrics: { inputTokens: 50, outputTokens: 6, model: "demo" },
    error: undefined,
  });
});

test("a reader attaches after the last event, at the Function URL", async () => {
  const door = await RunServer.start();
  door.answering = async (_, response, number) => {
    if (number > 1) return false;
    streamHead(response);
    await write(response, frameOf(RECORDED[0] ?? expect.fail()));
    response.destroy();
    return true;
  };
  const client = clientWith({ streamUrl: `${door.url}/`, baseUrl: `${server.url}/live/` });
  expect(await client.runs.stream("analyst", "Hi").text()).toBe(TEXT);
  const [, again] = door.asked;
  expect([again?.method, again?.path]).toEqual(["GET", `/api/agents/analyst/runs/${RUN_ID}/stream`]);
  expect(again?.headers["last-event-id"]).toBe("1");
  expect(server.asked).toEqual([]);
  await client.health().catch(() => undefined);
  expect(server.asked[0]?.path).toBe("/live/api/v1/health");
  await door.stop();
});

test("progress renews the budget of attempts, and their lack uses it up", async () => {
  server.answering = async (asked, response) => {
    streamHead(response);
    await write(response, framesAfter(RECORDED, cursorOf(asked))[0] ?? expect.fail());
    response.end();
    return true;
  };
  expect(await clientWith({ maxReattaches: 1 }).runs.stream("analyst", "Hi").text()).toBe(TEXT);
  expect(server.asked.length).toBe(RECORDED.length);

  server.reset();
  server.answering = async (_, response) => {
    streamHead(response);
    await write(response, frameOf(RECORDED[0] ?? expect.fail()));
    response.end();
    return true;
  };
  const told: number[] = [];
  const lost = clientWith({ maxReattaches: 4 }).runs.stream("analyst", "Hi", {
    onReattach: ({ failures }) => told.push(failures),
  });
  const error = await lost.text().catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(StreamLostError);
  expect(error).toMatchObject({ runId: RUN_ID, lastEventId: 1 });
  expect(server.asked.length).toBe(5);
  expect(told).toEqual([1, 2, 3, 4]);
});

test("a silent connection is cut, and a server that does not answer is given up", async () => {
  let number = 0;
  server.answering = async (_, response) => {
    number += 1;
    if (number > 2) return false;
    if (number === 1) streamHead(response);
    return Promise.resolve(true);
  };
  expect(await clientWith({ silenceMs: 40 }).runs.stream("analyst", "Hi").text()).toBe(TEXT);
  expect(server.keys.size).toBe(1);

  const dead = await RunServer.start();
  const { url } = dead;
  await dead.stop();
  const gone = clientWith({ baseUrl: url, maxRetries: 1 });
  await expect(gone.runs.stream("analyst", "Hi").text()).rejects.toThrow(ConnectionFailedError);
  await expect(gone.runs.get("r")).rejects.toThrow(ConnectionFailedError);
  server.answering = () => true;
  const slow = clientWith({ timeoutMs: 30, maxRetries: 0 });
  await expect(slow.runs.get("r")).rejects.toThrow("No answer in 30 ms.");
});

test("a token that has expired is asked for once more", async () => {
  let valid = "t1";
  const given: string[] = [];
  server.answering = async (asked, response) => {
    if (asked.headers.authorization !== `Bearer ${valid}`)
      return problem(response, 401, "unauthorized");
    if (valid === "t2") return false;
    valid = "t2";
    streamHead(response);
    await write(response, frameOf(RECORDED[0] ?? expect.fail()));
    response.destroy();
    return true;
  };
  const tokens = ["t1", "old", "t2"];
  const token = (): Promise<string> => {
    given.push(tokens[given.length] ?? "none");
    return Promise.resolve(given.at(-1) ?? "");
  };
  expect(await clientWith({ token }).runs.stream("analyst", "Hi").text()).toBe(TEXT);
  expect(given).toEqual(tokens);
  await expect(clientWith({ token }).runs.get("r")).rejects.toThrow(AuthenticationError);
  expect(given.length).toBe(5);
  const before = server.asked.length;
  await expect(clientWith().runs.stream("analyst", "Hi").text()).rejects.toThrow(
    AuthenticationError,
  );
  expect(server.asked.length).toBe(before + 1);
});

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

test("a pause ends a run's own stream, and stands in the middle of a replay", async () => {
  server.events = CONTINUED.slice(0, PAUSED_AT);
  const paused = clientWith().runs.stream("analyst", "Hi");
  const error = await paused.text().catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(RunPausedError);
  expect(error).toMatchObject({ requiredAction: PAUSE });
  expect(server.asked.length).toBe(1);

  // It still waits: nothing follows.
  const { status, text } = await clientWith().runs.attach("analyst", RUN_ID).result();
  expect([status, text]).toEqual(["PAUSED", "I will order. "]);
  expect(server.asked.slice(1).map(({ headers }) => headers["last-event-id"])).toEqual([
    undefined,
    "4",
  ]);

  server.events = CONTINUED;
  const replayed = await clientWith().runs.attach("analyst", RUN_ID).result();
  expect(replayed).toMatchObject({
    status: "COMPLETED",
    text: "I will order. Ordered.",
    requiredAction: undefined,
    followups: ["?"],
    metrics: { inputTokens: 9 },
    tools: [
      { id: "c1", toolInput: { shares: 5 }, toolOutput: "done", isError: false },
      { id: "c2", toolInput: { shares: 10 }, toolOutput: "Not now.", isError: true },
    ],
  });
});

test("a replay that breaks off at a pause that was decided goes on after it", async () => {
  server.events = CONTINUED;
  server.answering = async (_, response, number) => {
    if (number > 1) return false;
    streamHead(response);
    response.end(Buffer.concat(framesAfter(CONTINUED.slice(0, PAUSED_AT), 0)));
    return Promise.resolve(true);
  };
  const { status } = await clientWith().runs.attach("analyst", RUN_ID).result();
  expect([status, server.asked.length]).toEqual(["COMPLETED", 2]);
});

test("attaching after the end gives what the run's record says", async () => {
  server.answering = (asked, response) =>
    asked.path === `/api/v1/runs/${RUN_ID}` &&
    json(response, { id: RUN_ID, sessionId: SESSION_ID, status: "FAILED", errorMessage: "No." });
  const after = RECORDED.at(-1)?.id ?? 0;
  const stream = clientWith().runs.attach("analyst", RUN_ID, { after });
  const error = await stream.text().catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(RunFailedError);
  expect(error).toMatchObject({ message: "No.", runId: RUN_ID });
});

test("a stream that begins in the middle still gives the whole answer", async () => {
  server.answering = (asked, response) =>
    asked.path === `/api/v1/runs/${RUN_ID}` &&
    json(response, { id: RUN_ID, status: "COMPLETED", output: TEXT });
  const stream = clientWith().runs.attach("analyst", RUN_ID, { after: 1_000_013 });
  expect([await stream.text(), stream.textSoFar]).toEqual([TEXT, "日本語 391.👩‍🚀".slice(4)]);
});

test("a frame of 5 MiB arrives whole", async () => {
  const long = "é🙂\n".repeat(5 * 2 ** 17);
  server.events = [
    RECORDED[0] ?? expect.fail(),
    { id: 2, event: "CONTENT_DELTA", data: long },
    { id: 3, event: "STOP", data: "{}" },
  ];
  expect(Buffer.byteLength(long)).toBeGreaterThan(4.3 * 2 ** 20);
  expect((await clientWith().runs.stream("analyst", "Hi").text()) === long).toBe(true);
});

test("a refusal of the first request is thrown, one that may pass is tried again", async () => {
  server.answering = (_, response) => problem(response, 409, "conflict", { runId: "other" });
  const busy = clientWith().runs.stream("analyst", "Hi");
  const error = await busy.text().catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(ConflictError);
  expect(error).toMatchObject({ status: 409, type: "urn:problem-type:conflict", runId: "other" });
  expect(server.asked.length).toBe(1);

  server.reset();
  server.answering = (_, response, number) =>
    number <= 3 && problem(response, [429, 503, 500][number - 1] ?? 0, "unavailable");
  expect(await clientWith().runs.stream("analyst", "Hi").text()).toBe(TEXT);
  expect([server.asked.length, server.keys.size]).toEqual([4, 1]);

  server.answering = (_, response) => problem(response, 503, "unavailable");
  await expect(clientWith().runs.stream("analyst", "Hi").text()).rejects.toThrow(UnavailableError);
  server.answering = (_, response) => problem(response, 404, "resource-not-found");
  await expect(clientWith().runs.attach("analyst", "r").text()).rejects.toThrow(NotFoundError);
});

test("Retry-After is waited for", async () => {
  server.answering = (_, response, number) =>
    number === 1 && problem(response, 429, "too-many-runs", {}, { "Retry-After": "0.25" });
  const waits: number[] = [];
  const onReattach = ({ delayMs }: { delayMs: number }): number => waits.push(delayMs);
  await clientWith().runs.stream("analyst", "Hi", { onReattach }).text();
  expect(waits).toEqual([250]);
});

test("the first wait is what the stream asks for, and half of it is left to chance", async () => {
  server.answering = async (_, response, number) => {
    if (number > 1) return false;
    streamHead(response);
    await write(response, new TextEncoder().encode("retry: 20\nid: 1\n"));
    response.destroy();
    return true;
  };
  const waits: number[] = [];
  const client = new Agentrun({ baseUrl: server.url, token: "t" });
  const onReattach = ({ delayMs }: { delayMs: number }): number => waits.push(delayMs);
  expect(await client.runs.stream("analyst", "Hi", { onReattach }).text()).toBe(TEXT);
  expect(waits[0]).toBeGreaterThanOrEqual(10);
  expect(waits[0]).toBeLessThanOrEqual(20);
});

test("a frame that is spoiled is asked for again", async () => {
  server.answering = async (_, response, number) => {
    if (number > 1) return false;
    streamHead(response);
    await write(response, new TextEncoder().encode('id: 1\ndata: {"event":\n\n'));
    await once(response, "close");
    return true;
  };
  expect(await clientWith().runs.stream("analyst", "Hi").text()).toBe(TEXT);
});
