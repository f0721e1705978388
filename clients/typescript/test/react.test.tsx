import "./page.js";
import { StrictMode } from "react";
import { createRoot, type Root } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { Agentrun } from "../src/index.js";
import {
  type AssistantMessage,
  useAgentRun,
  type UseAgentRunOptions,
  type UseAgentRunResult,
} from "../src/react/index.js";
import { LiveRuns } from "./live.js";
import { until } from "./page.js";
import { PAUSE } from "./recording.js";
import { RunServer } from "./server.js";

let server: RunServer;
let client: Agentrun;
let runs: LiveRuns;
let roots: Root[];

beforeAll(async () => {
  server = await RunServer.start();
  client = new Agentrun({ baseUrl: server.url, token: "t", retryDelayMs: 0 });
});
beforeEach(() => {
  server.reset();
  sessionStorage.clear();
  runs = new LiveRuns(server);
  roots = [];
});
afterEach(() => {
  for (const root of roots) root.unmount();
});
afterAll(() => server.stop());

/** A chat that is on the page; `now` is what the hook has returned last. */
class Chat {
  now!: UseAgentRunResult;
  renders = 0;
  readonly root: Root;

  constructor(options: Partial<UseAgentRunOptions> = {}, isStrict = true) {
    const Component = (): string => {
      this.renders += 1;
      this.now = useAgentRun({ client, agent: "analyst", ...options });
      return this.now.messages.map(({ text }) => text).join("|");
    };
    this.root = createRoot(document.body.appendChild(document.createElement("div")));
    this.root.render(isStrict ? <StrictMode>{<Component />}</StrictMode> : <Component />);
    roots.push(this.root);
  }

  get shown(): string[] {
    return this.now.messages.map(({ role, text }) => `${role}: ${text}`);
  }

  /** Whether it shows this status. */
  is(status: UseAgentRunResult["status"]): boolean {
    return this.now.status === status;
  }
}

async function shown(options: Partial<UseAgentRunOptions> = {}, isStrict = true): Promise<Chat> {
  const chat = new Chat(options, isStrict);
  await until(() => chat.renders > 0);
  await new Promise((resolve) => setTimeout(resolve, 5));
  return chat;
}

async function sent(chat: Chat, message: string): Promise<void> {
  const before = runs.all.length;
  chat.now.send(message);
  await until(() => runs.all.length > before && chat.is("streaming"));
}

test("a message is sent, and its answer streams in", async () => {
  const chat = await shown();
  expect([chat.now.status, chat.now.messages]).toEqual(["idle", []]);
  await sent(chat, "Hi");
  expect(() => {
    chat.now.send("again");
  }).toThrow("under way");
  const { last } = runs;
  last.say("REASONING_DELTA", "Hm.");
  last.say("TOOL_START", { id: "c1", name: "look", arguments: {} });
  last.say("CONTENT_DELTA", "Hel");
  await until(() => chat.shown[1] === "assistant: Hel");
  expect(chat.now.messages[1]).toMatchObject({
    id: "run-1",
    status: "RUNNING",
    reasoning: "Hm.",
    tools: [{ callId: "c1", name: "look", state: "running" }],
  });
  last.say("STEP_RESET", { toEventId: 1, attempt: 2, reason: "EXECUTOR_LOST" });
  last.say("CONTENT_DELTA", "Hello.");
  last.say("STOP", { runId: last.id, status: "COMPLETED", followups: ["And?"] });
  await until(() => chat.is("idle"));
  expect(chat.shown).toEqual(["user: Hi", "assistant: Hello."]);
  expect(chat.now.messages[1]).toMatchObject({ tools: [], followups: ["And?"] });

  await sent(chat, "And?");
  expect(runs.last.body).toEqual({ message: "And?", sessionId: "session-1" });
  runs.last.say("STOP", {});
  await until(() => chat.is("idle"));
  expect(chat.shown).toEqual(["user: Hi", "assistant: Hello.", "user: And?", "assistant: "]);
  // In strict mode, too, each message has been sent once.
  expect([server.askedFor("/runs/stream").length, server.keys.size]).toEqual([2, 2]);
});

test("many events are one render", async () => {
  const chat = await shown({}, false);
  await sent(chat, "Hi");
  const before = chat.renders;
  for (let number = 0; number < 2_000; number += 1) runs.last.say("CONTENT_DELTA", "x");
  await until(() => chat.shown[1]?.length === "assistant: ".length + 2_000);
  expect(chat.renders - before).toBeLessThan(200);
});

test("a run is stopped, and says so", async () => {
  const chat = await shown();
  await sent(chat, "Hi");
  runs.last.say("CONTENT_DELTA", "Wel");
  chat.now.stop();
  await until(() => chat.is("stopped"));
  expect(runs.last.status).toBe("CANCELLED");
  expect(chat.now.messages[1]).toMatchObject({ text: "Wel", status: "CANCELLED" });
  expect(chat.now.error).toBeUndefined();
});

test("a run that is stopped before it is known is cancelled once it is", async () => {
  const { answering } = server;
  let isLetThrough = false;
  server.answering = async (asked, response, number) => {
    await until(() => isLetThrough);
    return answering?.(asked, response, number);
  };
  const chat = await shown();
  chat.now.send("Hi");
  await until(() => server.asked.length === 1);
  chat.now.stop();
  isLetThrough = true;
  await until(() => chat.is("stopped"));
  expect(runs.last.status).toBe("CANCELLED");
});

test("calls are approved and rejected, all at once", async () => {
  const chat = await shown();
  await sent(chat, "Order");
  runs.last.say("PAUSED", PAUSE);
  await until(() => chat.is("paused"));
  expect([chat.now.pause, chat.now.approvals]).toEqual(["TOOL_APPROVAL", PAUSE.approvals]);
  chat.now.approve("c1", { arguments: { shares: 5 } });
  await until(() => chat.now.approvals[0]?.decision?.action === "APPROVE");
  expect(server.askedFor("/continue")).toEqual([]);
  chat.now.reject("c2", "Not now.");
  await until(() => chat.is("streaming"));
  expect(chat.now.approvals).toEqual([]);
  expect(runs.last.body["decided"]).toEqual({
    decisions: [
      { id: "c1", action: "APPROVE", arguments: { shares: 5 } },
      { id: "c2", action: "REJECT", reason: "Not now." },
    ],
  });
  runs.last.say("TOOL_ERROR", { id: "c2", name: "order", error: "Not now." });
  runs.last.say("PAUSED", { type: "BUDGET", approvalId: "b", approvals: [] });
  await until(() => chat.now.pause === "BUDGET");
  chat.now.approveAll({ budget: { maxCostUsd: 2 } });
  await until(() => chat.is("streaming"));
  expect(runs.last.body["decided"]).toEqual({ action: "APPROVE", budget: { maxCostUsd: 2 } });
  runs.last.say("PAUSED", { ...PAUSE, type: "TOOL_IN_DOUBT" });
  await until(() => chat.now.pause === "TOOL_IN_DOUBT");
  chat.now.rejectAll("Leave it.");
  await until(() => chat.is("streaming"));
  runs.last.say("STOP", {});
  await until(() => chat.is("idle"));
  expect(chat.now.messages.length).toBe(2);
  expect(chat.now.messages[1]).toMatchObject({
    tools: [{ callId: "c2", state: "failed", arguments: { shares: 10 } }],
  });
});

test("a message has options of its own", async () => {
  const chat = await shown();
  const options = { temperature: 0.5, systemPrompt: "Be short." };
  chat.now.send("Hi", { options });
  await until(() => chat.is("streaming"));
  expect(runs.last.body).toEqual({ message: "Hi", options });
  runs.last.say("STOP", {});
  await until(() => chat.is("idle"));
  await sent(chat, "And?");
  expect(runs.last.body).not.toHaveProperty("options");
});

test("a decision that is refused leaves the run paused, unless somebody else decided", async () => {
  const chat = await shown();
  await sent(chat, "Order");
  runs.last.say("PAUSED", PAUSE);
  await until(() => chat.is("paused"));
  runs.refusesNext = true;
  chat.now.approveAll();
  await until(() => chat.now.error !== undefined && chat.is("paused"));
  expect(chat.now.approvals.length).toBe(2);
  runs.last.start();
  chat.now.approveAll();
  await until(() => chat.is("streaming"));
  runs.last.say("STOP", {});
  await until(() => chat.is("idle"));
  expect(chat.now.error).toBeUndefined();
});

test("a run that waits can be stopped", async () => {
  const chat = await shown();
  await sent(chat, "Order");
  runs.last.say("PAUSED", PAUSE);
  await until(() => chat.is("paused"));
  chat.now.stop();
  await until(() => chat.is("stopped"));
  expect([chat.now.pause, chat.now.approvals]).toEqual([undefined, []]);
});

test("a reload goes on with the run that was under way", async () => {
  const chat = await shown();
  await sent(chat, "Hi");
  runs.last.say("STOP", {});
  await until(() => chat.is("idle"));
  await sent(chat, "More");
  runs.last.say("CONTENT_DELTA", "Well");
  await until(() => chat.shown[3] === "assistant: Well");
  chat.root.unmount();
  await until(() => runs.last.readers.size === 0);
  expect(runs.last.status).toBe("RUNNING");
  runs.last.say("CONTENT_DELTA", ", yes");

  const again = await shown();
  await until(() => again.shown[3] === "assistant: Well, yes");
  expect(again.shown.slice(0, 3)).toEqual(["user: Hi", "assistant: ", "user: More"]);
  runs.last.say("PAUSED", PAUSE);
  await until(() => again.is("paused"));
  again.root.unmount();

  const paused = await shown();
  await until(() => paused.is("paused") && paused.now.approvals.length === 2);
  paused.now.approveAll();
  await until(() => paused.is("streaming"));
  runs.last.say("STOP", {});
  await until(() => paused.is("idle"));
  paused.root.unmount();

  const over = await shown();
  await until(() => over.shown.length === 4);
  expect([over.now.status, over.shown[3]]).toEqual(["idle", "assistant: Well, yes"]);
  expect([runs.all.length, server.keys.size]).toEqual([2, 2]);
});

test("a reload before the run is known leads to the same run", async () => {
  const { answering } = server;
  server.answering = async (asked, response, number) => {
    // The run begins, but this page never hears of it.
    if (number > 1) return answering?.(asked, response, number);
    response.on("close", () => undefined);
    const unheard = Object.assign(Object.create(response) as typeof response, {
      writeHead: () => unheard,
      flushHeaders: () => undefined,
      write: () => true,
      end: () => unheard,
    });
    await answering?.(asked, unheard, number);
    return true;
  };
  const chat = await shown();
  chat.now.send("Hi");
  await until(() => runs.all.length === 1);
  chat.root.unmount();
  const again = await shown();
  await until(() => again.is("streaming"));
  expect([runs.all.length, again.shown[0]]).toEqual([1, "user: Hi"]);
});

test("two conversations of a page do not mix", async () => {
  const warned = vi.spyOn(console, "warn").mockImplementation(() => undefined);
  const [one, other] = [await shown({ storageKey: "one" }), await shown({ storageKey: "other" })];
  await sent(one, "First");
  await sent(other, "Second");
  runs.all[0]?.say("CONTENT_DELTA", "1");
  runs.all[1]?.say("CONTENT_DELTA", "2");
  await until(() => one.shown[1] === "assistant: 1" && other.shown[1] === "assistant: 2");
  one.root.unmount();
  other.root.unmount();
  const again = await shown({ storageKey: "other" });
  await until(() => again.shown[1] === "assistant: 2");
  expect(warned).not.toHaveBeenCalled();
  // Of two with the same place, the second is not kept.
  await shown({ storageKey: "other" });
  expect(warned).toHaveBeenCalled();
  warned.mockRestore();
});

test("another agent or session is another conversation", async () => {
  const options = { agent: "analyst" };
  const chat = await shown(options);
  await sent(chat, "Hi");
  options.agent = "echo";
  chat.now.stop();
  await until(() => chat.now.messages.length === 0);
  expect(chat.now.status).toBe("idle");
});

test("a run that fails says why, one that cannot be read is read on when asked to", async () => {
  const chat = await shown();
  await sent(chat, "Hi");
  runs.last.say("ERROR", "The model has failed.");
  await until(() => chat.is("failed"));
  expect(chat.now.error?.message).toBe("The model has failed.");
  await sent(chat, "Again");
  expect(chat.now.error).toBeUndefined();

  const { answering } = server;
  server.answering = (_, response) => {
    response.destroy();
    return true;
  };
  for (const reader of runs.last.readers) reader.destroy();
  await until(() => chat.is("reconnecting"));
  await until(() => chat.is("failed"));
  expect(chat.now.error?.name).toBe("StreamLostError");
  server.answering = answering;
  chat.now.reconnect();
  await until(() => chat.is("streaming") || runs.last.readers.size === 1);
  runs.last.say("CONTENT_DELTA", "Back.");
  runs.last.say("STOP", {});
  await until(() => chat.is("idle"));
  expect(chat.shown.at(-1)).toBe("assistant: Back.");
});

test("it renders on a server, where there is no storage", () => {
  const Component = (): string => useAgentRun({ client, agent: "analyst" }).status;
  expect(renderToString(<Component />)).toBe("idle");
});

test("a run that was begun elsewhere is read from its start, once", async () => {
  const first = await shown({ storageKey: null });
  await sent(first, "Hi");
  const { last } = runs;
  last.say("CONTENT_DELTA", "Hel");
  const options = { sessionId: "session-1", run: { runId: last.id, message: "Hi" } };
  const second = await shown(options);
  await until(() => second.shown[1] === "assistant: Hel");
  last.say("CONTENT_DELTA", "lo.");
  last.say("STOP", {});
  await until(() => second.is("idle"));
  expect(second.shown).toEqual(["user: Hi", "assistant: Hello."]);
  expect(runs.all.length).toBe(1);
  second.root.unmount();
  // What is kept of it already is not read again.
  const third = await shown(options);
  await until(() => third.now.messages.length > 0);
  expect([third.shown, third.now.status]).toEqual([second.shown, "idle"]);
});

test("follow-ups are asked for, and a tool's call says how long it took", async () => {
  const chat = await shown({ generateFollowups: true });
  await sent(chat, "Hi");
  expect(runs.last.body["generateFollowups"]).toBe(true);
  runs.last.say("TOOL_START", { id: "c1", name: "look", arguments: {} });
  runs.last.say("TOOL_END", { id: "c1", name: "look", result: 1 });
  runs.last.say("STOP", {});
  await until(() => chat.is("idle"));
  const { tools } = chat.now.messages[1] as AssistantMessage;
  expect(tools[0]?.durationMs).toBeGreaterThanOrEqual(0);
});
