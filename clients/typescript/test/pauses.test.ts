import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import {
  Agentrun,
  type AgentrunOptions,
  NotFoundError,
  RunFailedError,
  RunPausedError,
} from "../src/index.js";
import { CONTINUED, framesAfter, PAUSE, PAUSED_AT, RECORDED, RUN_ID, TEXT } from "./recording.js";
import { problem, RunServer, streamHead } from "./server.js";

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

test.each([
  { status: 503, asked: 3 },
  { status: 404, asked: 2 },
])("a pause in a replay ends it if $status answers what follows", async ({ status, asked }) => {
  server.events = CONTINUED.slice(0, PAUSED_AT);
  server.answering = (_, response, number) => number > 1 && problem(response, status, "of-a-kind");
  const client = clientWith({ maxReattaches: 2 });
  const { status: ended, requiredAction } = await client.runs.attach("analyst", RUN_ID).result();
  expect([ended, requiredAction]).toEqual(["PAUSED", PAUSE]);
  expect(server.asked.length).toBe(asked);
});

test("a pause that was decided does not hide that what follows is gone", async () => {
  server.events = CONTINUED.slice(0, PAUSED_AT + 1);
  server.answering = (_, response, number) => number > 1 && problem(response, 404, "of-a-kind");
  const stream = clientWith().runs.attach("analyst", RUN_ID);
  await expect(stream.result()).rejects.toThrow(NotFoundError);
});

test("attaching after the end gives what the run has come to", async () => {
  server.events = [
    RECORDED[0] ?? expect.fail(),
    { id: 2, event: "CONTENT_DELTA", data: "Well" },
    { id: 3, event: "ERROR", data: "No." },
  ];
  const stream = clientWith().runs.attach("analyst", RUN_ID, { after: 3 });
  const error = await stream.text().catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(RunFailedError);
  expect(error).toMatchObject({ message: "No.", runId: RUN_ID });
  expect(await stream.result()).toMatchObject({ status: "FAILED", text: "Well", error: "No." });
});

test("a stream that begins in the middle still gives the whole answer", async () => {
  const stream = clientWith().runs.attach("analyst", RUN_ID, { after: 1_000_013 });
  const { text, tools } = await stream.result();
  expect([text, tools.length, stream.textSoFar]).toEqual([TEXT, 3, "391.👩‍🚀"]);
});
