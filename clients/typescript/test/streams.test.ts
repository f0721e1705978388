import { once } from "node:events";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import {
  Agentrun,
  type AgentrunOptions,
  AuthenticationError,
  ConflictError,
  ConnectionFailedError,
  NotFoundError,
  StreamLostError,
  UnavailableError,
} from "../src/index.js";
import { frameOf, framesAfter, RECORDED, RUN_ID, SESSION_ID, TEXT } from "./recording.js";
import { cursorOf, problem, RunServer, streamHead, write } from "./server.js";

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
      { id: "c4", toolName: "order", toolInput: {}, toolOutput: "kept", isError: false },
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

test("a frame that would take all memory is given up", async () => {
  server.answering = async (_, response) => {
    streamHead(response);
    const chunk = Buffer.alloc(2 ** 23, "x");
    for (let sent = 0; sent <= 2 ** 26; sent += chunk.length) await write(response, chunk);
    return true;
  };
  await expect(clientWith().runs.stream("analyst", "Hi").text()).rejects.toThrow("max buffer size");
  expect(server.asked.length).toBe(1);
});
