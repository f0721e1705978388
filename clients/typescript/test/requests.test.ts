import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import * as agentrun from "../src/index.js";
import { Agentrun, ApiError, type AgentRun, RunFailedError } from "../src/index.js";
import { json, problem, RunServer } from "./server.js";

let server: RunServer;
let client: Agentrun;

beforeAll(async () => {
  server = await RunServer.start();
  client = new Agentrun({ baseUrl: server.url, token: "t", retryDelayMs: 0 });
});
beforeEach(() => {
  server.reset();
});
afterEach(() => {
  vi.useRealTimers();
});
afterAll(() => server.stop());

const RESPONSE = {
  runId: "r",
  sessionId: "s",
  agentId: "analyst",
  content: "391",
  status: "COMPLETED",
  tools: [],
  reasoningSteps: ["a", "b"],
};

test("create answers once, and repeats a lost request with its key", async () => {
  server.answering = (_, response, number) => {
    if (number === 1) response.destroy();
    // The run goes on for longer than one answer may take, however often.
    else if (number < 8) return problem(response, 503, "unavailable", { runId: "r" });
    else return json(response, RESPONSE);
    return true;
  };
  const { text, reasoning, status } = await client.runs.create("analyst", "Hi");
  expect([text, reasoning, status]).toEqual(["391", "ab", "COMPLETED"]);
  expect(new Set(server.asked.map(({ headers }) => headers["idempotency-key"])).size).toBe(1);
  expect(server.asked[0]?.path).toBe("/api/agents/analyst/runs");
});

test("a run that failed is never asked for again", async () => {
  server.answering = (_, response) => problem(response, 502, "run-failed", { runId: "r" });
  const error = await client.runs.create("analyst", "Hi").catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(RunFailedError);
  expect(error).toMatchObject({ runId: "r", message: "As told." });
  expect(server.asked.length).toBe(1);
});

test.each([
  [400, "InvalidRequestError"],
  [401, "AuthenticationError"],
  [403, "PermissionDeniedError"],
  [404, "NotFoundError"],
  [405, "ApiError"],
  [409, "ConflictError"],
  [413, "PayloadTooLargeError"],
  [415, "UnsupportedMediaTypeError"],
  [429, "TooManyRunsError"],
  [500, "InternalServerError"],
  [503, "UnavailableError"],
] as const)("status %i is %s", async (status, name) => {
  const params = [{ name: "message", reason: "too long" }];
  server.answering = (_, response) =>
    problem(response, status, "of-a-kind", { invalidParams: params }, { "Retry-After": "0" });
  const error = await client.runs.background("analyst", "Hi").catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(agentrun[name]);
  expect(error).toBeInstanceOf(agentrun.AgentrunError);
  expect(error).toMatchObject({
    name,
    status,
    type: "urn:problem-type:of-a-kind",
    title: "of-a-kind",
    detail: "As told.",
    invalidParams: params,
    retryAfterMs: 0,
    message: `${String(status)}: As told.`,
  });
  expect(server.asked.length).toBe(status === 429 || status >= 500 ? 4 : 1);
});

test("an answer of a proxy that is no problem document is an error, too", async () => {
  server.answering = (_, response) => {
    const isFirst = server.asked.length === 1;
    response.writeHead(403, "Forbidden").end(isFirst ? "<html>No</html>" : '{"message":"No"}');
    return true;
  };
  for (const asked of [1, 2]) {
    const error = await client.health().catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ message: "403: Forbidden", invalidParams: [] });
    expect(server.asked.length).toBe(asked);
  }
});

test("an answer that breaks off is asked for again", async () => {
  server.answering = (_, response, number) => {
    if (number > 1) return json(response, { status: "UP" });
    response.writeHead(200, { "Content-Length": "100" });
    response.write('{"status":', () => response.destroy());
    return true;
  };
  expect(await client.health()).toEqual({ status: "UP" });
});

test("many runs are read 100 at a time, each once", async () => {
  server.answering = ({ query }, response) =>
    json(
      response,
      (query.get("runIds") ?? "").split(",").flatMap((id) => (id === "7" ? [] : { id })),
    );
  const ids = Array.from({ length: 250 }, (_, number) => String(number));
  const found = await client.runs.getMany("analyst", [...ids, ...ids], { fields: "summary" });
  expect([found.size, found.has("7"), found.get("249")?.id]).toEqual([249, false, "249"]);
  expect(server.asked.map(({ query }) => query.get("runIds")?.split(",").length)).toEqual([
    100, 100, 50,
  ]);
  expect(server.asked[0]?.query.get("fields")).toBe("summary");
});

test("ten runs are watched for a minute with twenty requests", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"], now: 0 });
  let inFlight = 0;
  const counted: typeof fetch = async (input, init) => {
    inFlight += 1;
    const response = await fetch(input, init);
    const text = await response.text();
    inFlight -= 1;
    return new Response(text, response);
  };
  const times: number[] = [];
  server.answering = ({ query }, response) => {
    times.push(Date.now());
    const isOver = (id: string): boolean => Date.now() >= (id === "0" ? 12_000 : 60_000);
    const ids = (query.get("runIds") ?? "").split(",");
    const status = (id: string): string => (isOver(id) ? "COMPLETED" : "RUNNING");
    return json(
      response,
      ids.map((id) => ({ id, status: status(id) })),
    );
  };
  const ids = Array.from({ length: 10 }, (_, number) => String(number));
  const told: string[] = [];
  const onUpdate = ({ id, status }: AgentRun): number => told.push(`${id} ${status}`);
  const watching = new Agentrun({ baseUrl: server.url, token: "t", fetch: counted }).runs;
  let result: Map<string, AgentRun> | undefined;
  void watching.waitAll("analyst", ids, { onUpdate }).then((found) => (result = found));
  while (!result) {
    for (let turns = 0; turns < 5 || inFlight > 0; turns += 1) await new Promise(setImmediate);
    await vi.advanceTimersByTimeAsync(1_000);
  }
  expect(times.filter((time) => time < 60_000).length).toBe(20);
  expect([...result.keys()]).toEqual(ids);
  // Each is told of twice: when first seen, and when it has ended; that one is asked for no more.
  expect(told.length).toBe(20);
  expect(server.asked.at(-1)?.query.get("runIds")).toBe(ids.slice(1).join(","));
});

test("a run that stays unknown is not waited for", async () => {
  server.answering = (asked, response) =>
    asked.path.endsWith("/status") && json(response, [{ id: "a", status: "PAUSED" }]);
  const found = await client.runs.waitAll("analyst", ["a", "b"], { pollEveryMs: 0 });
  expect([...found.keys()]).toEqual(["a"]);
  expect(server.asked.length).toBe(3);
  await expect(client.runs.wait("analyst", "c", { pollEveryMs: 0 })).rejects.toThrow(
    agentrun.NotFoundError,
  );
});

test("lists go on over all pages, as far as they are read", async () => {
  server.answering = ({ query }, response) => {
    const page = Number(query.get("cursor") ?? 0);
    const content = page === 1 ? [] : [{ id: `${String(page)}a` }, { id: `${String(page)}b` }];
    return json(response, { content, size: 2, ...(page < 2 && { nextCursor: String(page + 1) }) });
  };
  const ids: string[] = [];
  for await (const { id } of client.runs.list({ status: "RUNNING", agentId: "a" })) ids.push(id);
  expect(ids).toEqual(["0a", "0b", "2a", "2b"]);
  expect(String(server.asked[1]?.query)).toBe("status=RUNNING&agentId=a&cursor=1");
  server.asked.length = 0;
  for await (const { id } of client.sessions.list()) if (id === "0b") break;
  for await (const { approvalId } of client.approvals.pending()) {
    expect(approvalId).toBeUndefined();
    break;
  }
  expect(server.asked.map(({ path }) => path)).toEqual([
    "/api/sessions",
    "/api/v1/approvals/pending",
  ]);
});

test("every other call has its method and path", async () => {
  server.answering = ({ method }, response) => {
    if (method !== "DELETE") return json(response, {});
    response.writeHead(204).end();
    return true;
  };
  await client.runs.cancel("r/1");
  await client.runs.get("r");
  await client.runs.streamTicket("a", "r");
  await client.runs.background("a", "Hi");
  await client.sessions.get("s");
  await client.sessions.runs("s");
  await client.sessions.messages("s");
  await client.sessions.delete("s");
  await client.agents.list({ includeInactive: true });
  await client.agents.get("a");
  await client.approvals.get("p");
  await client.approvals.resolve("p", "REJECTED", { reason: "No." });
  await client.health();
  expect(server.asked.map(({ method, path }) => `${method} ${path}`)).toEqual([
    "POST /api/v1/runs/r%2F1/cancel",
    "GET /api/v1/runs/r",
    "POST /api/agents/a/runs/r/stream-ticket",
    "POST /api/agents/a/runs/background",
    "GET /api/sessions/s",
    "GET /api/sessions/s/runs",
    "GET /api/sessions/s/messages",
    "DELETE /api/sessions/s",
    "GET /api/agents",
    "GET /api/agents/a",
    "GET /api/v1/approvals/p",
    "POST /api/v1/approvals/p/resolve",
    "GET /api/v1/health",
  ]);
  expect(server.asked.at(-2)?.body).toBe('{"decision":"REJECTED","reason":"No."}');
});

test("a decision by the approval's id is not sent twice", async () => {
  let isDecided = false;
  server.answering = ({ path, method }, response) => {
    if (path.startsWith("/api/v1/runs/")) return json(response, { id: "r", status: "RUNNING" });
    const approval = { runId: "r", status: isDecided ? "APPROVED" : "PENDING" };
    if (method === "GET") return json(response, approval);
    isDecided = server.askedFor("/resolve").length > 1;
    response.destroy();
    return true;
  };
  expect(await client.approvals.resolve("p", "APPROVED")).toMatchObject({ id: "r" });
  expect(server.asked.map(({ method }) => method)).toEqual(["POST", "GET", "POST", "GET", "GET"]);
});
