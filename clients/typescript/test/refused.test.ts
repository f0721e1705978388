/** What is refused before it is sent, and answers that are none of the API's. */

import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Agentrun, AgentrunError, ApiError, approve, ConnectionFailedError } from "../src/index.js";
import { json, RunServer } from "./server.js";

let server: RunServer;
let client: Agentrun;

beforeAll(async () => {
  server = await RunServer.start();
  client = new Agentrun({ baseUrl: server.url, token: "t", retryDelayMs: 0 });
});
beforeEach(() => {
  server.reset();
});
afterAll(() => server.stop());

test.each([
  "foo",
  "api.example",
  "ftp://api.example",
  "https://",
  "https://u:p@api.example",
  "https://api.example?a=b",
  "https://api.example/live#top",
  "http://localhost:abc",
  "http://localhost:99999",
  "http://local host",
  "http://[::1",
  " http://localhost",
])("%j is no base URL", (url) => {
  expect(() => new Agentrun({ baseUrl: url, token: "t" })).toThrow(TypeError);
  expect(() => new Agentrun({ baseUrl: server.url, streamUrl: url, token: "t" })).toThrow(TypeError);
});

test.each(["", "/", "/of/mine", "http://localhost:8000", "HTTPS://[::1]:8000/live/", "http://münchen.example"])(
  "%j is a base URL",
  (baseUrl) => {
    expect(new Agentrun({ baseUrl, token: "t" })).toBeInstanceOf(Agentrun);
  },
);

test.each(["", "secret\n", "sec ret", "secrét"])("%j is no token, and is not sent", async (token) => {
  for (const given of [token, (): Promise<string> => Promise.resolve(token)]) {
    const careless = new Agentrun({ baseUrl: server.url, token: given, retryDelayMs: 0 });
    const calls = [careless.runs.get("r"), careless.runs.stream("analyst", "Hi").text()];
    for (const call of calls) {
      const error = await call.catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(AgentrunError);
      expect(error).not.toBeInstanceOf(ConnectionFailedError);
      expect(String(error)).not.toContain("sec");
    }
  }
  expect(server.asked).toEqual([]);
});

test("whether the API is up is asked without a token", async () => {
  server.answering = (_, response) => json(response, { status: "UP" });
  expect(await new Agentrun({ baseUrl: server.url, token: "" }).health()).toEqual({ status: "UP" });
  expect(server.asked[0]?.headers.authorization).toBeUndefined();
});

test.each(["", ".", ".."])("%j cannot be an id", async (id) => {
  const calls = [
    (): Promise<unknown> => client.runs.get(id),
    (): Promise<unknown> => client.runs.background(id, "Hi"),
    (): Promise<unknown> => client.runs.cancel(id),
    (): Promise<unknown> => client.runs.getMany(id, ["r"]),
    (): Promise<unknown> => client.runs.streamTicket("analyst", id),
    (): Promise<unknown> => client.runs.attach("analyst", id).result(),
    (): Promise<unknown> => client.agents.get(id),
    (): Promise<unknown> => client.approvals.get(id),
    (): Promise<unknown> => client.approvals.resolve(id, "APPROVED"),
    (): Promise<unknown> => client.sessions.get(id),
    (): Promise<unknown> => client.sessions.runs(id),
    (): Promise<unknown> => client.sessions.messages(id),
    (): Promise<unknown> => client.sessions.delete(id),
  ];
  // A promise is rejected; what returns a stream throws at once.
  for (const call of calls) await expect(call()).rejects.toThrow(TypeError);
  expect(() => client.runs.stream(id, "Hi")).toThrow(TypeError);
  expect(() => client.runs.resume("analyst", id, approve())).toThrow(TypeError);
  expect(server.asked).toEqual([]);
});

const PAGE = `<html>Sign in${"!".repeat(1_000)}</html>`;

const ASKED: [string, string, (asked: Agentrun) => Promise<unknown>][] = [
  ["a new stream", "event stream", ({ runs }) => runs.stream("analyst", "Hi").text()],
  ["a later one", "event stream", ({ runs }) => runs.attach("analyst", "r", { after: 3 }).text()],
  ["a record", "JSON", ({ runs }) => runs.get("r")],
  ["an answer", "JSON", ({ runs }) => runs.create("analyst", "Hi")],
];

test.each(ASKED)("a page in place of %s is an error at once", async (_what, kind, ask) => {
  server.answering = (_, response) => {
    response.writeHead(200, { "Content-Type": "text/html" }).end(PAGE);
    return true;
  };
  const error = await ask(client).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(ApiError);
  const detail = `The answer is no ${kind}: ${PAGE.slice(0, 200)}`;
  expect(error).toMatchObject({ status: 200, detail });
  expect(server.asked.length).toBe(1);
});
