/** What the compiler says of the public API; run by `tsc`, which fails where this is not so. */

import { expect, expectTypeOf, test } from "vitest";
import {
  Agentrun,
  type AgentRun,
  type Json,
  type Metrics,
  type RequiredAction,
  type RunEvent,
  type RunResult,
  type RunStream,
  StreamLostError,
} from "../src/index.js";
import { useAgentRun, type ChatMessage } from "../src/react/index.js";

function neverRun(): void {
  const client = new Agentrun({ baseUrl: "", token: () => Promise.resolve("t") });
  // @ts-expect-error A token is required.
  new Agentrun({ baseUrl: "" });
  // @ts-expect-error Not an option.
  client.runs.stream("analyst", "Hi", { session_id: "s" });
  // @ts-expect-error Not a policy.
  client.runs.stream("analyst", "Hi", { sessionPolicy: "wait" });
  // @ts-expect-error Not a decision.
  client.runs.resume("analyst", "r", [{ id: "c1", action: "MAYBE" }]);
  // @ts-expect-error Nothing to decide.
  client.runs.resume("analyst", "r");
  // An option that is undefined is as if it were not there.
  client.runs.stream("analyst", "Hi", { sessionId: undefined, signal: undefined });
  expectTypeOf(client.runs.stream("a", "m")).toEqualTypeOf<RunStream>();
  expectTypeOf(client.runs.stream("a", "m").result()).resolves.toEqualTypeOf<RunResult>();
  expectTypeOf(client.runs.list()).toExtend<AsyncIterable<AgentRun>>();
  expectTypeOf(client.runs.getMany("a", ["r"])).resolves.toEqualTypeOf<Map<string, AgentRun>>();
  expectTypeOf(useAgentRun({ client, agent: "a" }).messages).toEqualTypeOf<readonly ChatMessage[]>();
}

/** Each kind of event has its own fields; a switch over all of them is complete. */
function fieldOf(event: RunEvent): unknown {
  expectTypeOf(event.id).toEqualTypeOf<number>();
  switch (event.event) {
    case "START":
      return event.runId + event.sessionId + event.agentId;
    case "CONTENT_DELTA":
    case "REASONING_DELTA":
      return event.text;
    case "TOOL_START":
      expectTypeOf(event.arguments).toEqualTypeOf<Json>();
      return event.callId;
    case "TOOL_END":
      return event.result;
    case "TOOL_ERROR":
      return event.error;
    case "STEP_RESET":
      return event.toEventId;
    case "METRICS":
      expectTypeOf(event.metrics).toEqualTypeOf<Metrics>();
      return event.metrics;
    case "STOP":
      return event.followups;
    case "ERROR":
      // @ts-expect-error An error has no text.
      expect(event.text).toBeUndefined();
      return event.message;
    case "PAUSED":
      expectTypeOf(event.requiredAction).toEqualTypeOf<RequiredAction>();
      return event.requiredAction;
    case "CANCELLED":
      return event.reason;
    case "UNKNOWN":
      return event.name;
  }
  // Nothing is left.
  return event satisfies never;
}

test("the types hold", () => {
  expect(neverRun).toBeTypeOf("function");
  expect(fieldOf({ event: "UNKNOWN", id: 1, timestamp: 0, name: "N", data: "" })).toBe("N");
  expectTypeOf(new StreamLostError("r", 1, undefined).lastEventId).toEqualTypeOf<number>();
});
