import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Agentrun, approve, ConflictError, reject } from "../src/index.js";
import { CONTINUED, framesAfter, PAUSE, PAUSED_AT, RUN_ID } from "./recording.js";
import { json, problem, RunServer, streamHead } from "./server.js";

const DECISIONS = [
  { id: "c1", action: "APPROVE", arguments: { shares: 5 } },
  { id: "c2", action: "REJECT", reason: "Not now." },
] as const;
const AFTER_PAUSE = [5, 6, 7, 8, 9, 10, 11];
let server: RunServer;
let client: Agentrun;
/** What happens to each decision that is sent: done, and whether it is answered. */
let fates: ("answered" | "lost before" | "lost after" | "refused")[];
let isDecided: boolean;

beforeAll(async () => {
  server = await RunServer.start();
  client = new Agentrun({ baseUrl: server.url, token: "t", retryDelayMs: 0 });
});
beforeEach(() => {
  server.reset();
  server.events = CONTINUED;
  isDecided = false;
  server.answering = (asked, response) => {
    if (asked.path === `/api/v1/runs/${RUN_ID}`) {
      const paused = { status: "PAUSED", requiredAction: PAUSE };
      const run = isDecided ? { status: "COMPLETED", output: "I will order. Ordered." } : paused;
      return json(response, { id: RUN_ID, ...run });
    }
    if (!asked.path.endsWith("/continue")) return false;
    const fate = fates.shift();
    if (fate === "lost before") response.destroy();
    if (fate === "refused" || (isDecided && fate !== "lost before"))
      return problem(response, 409, "conflict");
    isDecided ||= fate !== "lost before";
    if (fate === "lost after") response.destroy();
    if (fate !== "answered") return true;
    streamHead(response);
    response.end(Buffer.concat(framesAfter(CONTINUED, PAUSED_AT)));
    return true;
  };
});
afterAll(() => server.stop());

test("a decision is sent, and what follows is streamed", async () => {
  fates = ["answered"];
  const options = { approvalId: PAUSE.approvalId };
  const stream = client.runs.resume("analyst", RUN_ID, DECISIONS, options);
  const ids: number[] = [];
  for await (const { id } of stream) ids.push(id);
  expect(ids).toEqual(AFTER_PAUSE);
  expect(server.asked.map(({ path }) => path)).toEqual([
    `/api/agents/analyst/runs/${RUN_ID}/continue`,
  ]);
  expect(JSON.parse(server.asked[0]?.body ?? "")).toEqual({ decisions: DECISIONS });
  expect([stream.textSoFar, await stream.text()]).toEqual(["Ordered.", "I will order. Ordered."]);
});

test("all calls are decided together, and a budget is given", async () => {
  fates = ["answered", "answered"];
  await client.runs.resume("analyst", RUN_ID, approve(), { budget: { maxCostUsd: 2 } }).text();
  isDecided = false;
  await client.runs.resume("analyst", RUN_ID, reject("No.")).text();
  const bodies = server.askedFor("/continue").map(({ body }) => JSON.parse(body) as unknown);
  expect(bodies).toEqual([
    { action: "APPROVE", budget: { maxCostUsd: 2 } },
    { action: "REJECT", reason: "No." },
  ]);
});

test.each([
  { name: "is sent again if it was not decided", fates: ["lost before", "answered"], sent: 2 },
  { name: "is not sent again if it was", fates: ["lost after"], sent: 1 },
] as const)("a decision whose answer is lost $name", async (given) => {
  fates = [...given.fates];
  const ids: number[] = [];
  for await (const { id } of client.runs.resume("analyst", RUN_ID, approve())) ids.push(id);
  expect(ids).toEqual(AFTER_PAUSE);
  expect(server.askedFor("/continue").length).toBe(given.sent);
});

test("a 409 after a decision of one's own that was lost is no error", async () => {
  fates = ["lost before", "answered"];
  const before = server.answering;
  server.answering = (asked, response, number) => {
    // The lost decision arrives late: right after it was looked for.
    if (asked.path.endsWith("/continue") && fates.length === 1) isDecided = true;
    return before?.(asked, response, number);
  };
  const ids: number[] = [];
  for await (const { id } of client.runs.resume("analyst", RUN_ID, approve())) ids.push(id);
  expect(ids).toEqual(AFTER_PAUSE);
});

test("a 409 at once is somebody else's decision", async () => {
  fates = ["refused"];
  const stream = client.runs.resume("analyst", RUN_ID, approve());
  await expect(stream.text()).rejects.toThrow(ConflictError);
  expect(server.askedFor("/continue").length).toBe(1);
});

test("a decision is not sent again to a later pause", async () => {
  fates = ["lost before", "answered"];
  const later = { ...PAUSE, approvalId: `${RUN_ID}.later` };
  const before = server.answering;
  server.events = [
    ...CONTINUED.slice(0, -2),
    { id: 10, event: "PAUSED", data: JSON.stringify(later) },
  ];
  server.answering = (asked, response, number) =>
    asked.path === `/api/v1/runs/${RUN_ID}` && server.askedFor("/continue").length > 0
      ? json(response, { id: RUN_ID, status: "PAUSED", requiredAction: later })
      : before?.(asked, response, number);
  const { status, requiredAction } = await client.runs.resume("analyst", RUN_ID, approve()).result();
  expect([status, requiredAction?.approvalId]).toEqual(["PAUSED", later.approvalId]);
  expect(server.askedFor("/continue").length).toBe(1);
});
