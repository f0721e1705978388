/** A recorded run: every kind of event, text of several bytes a character, a loss in the middle. */

export interface RecordedEvent {
  id: number;
  event: string;
  data: string;
}

export const RUN_ID = "run-1";
export const SESSION_ID = "session-1";
const START = JSON.stringify({ runId: RUN_ID, sessionId: SESSION_ID, agentId: "analyst" });
const LOST = 1_000_000;

/** A run that completed. */
export const RECORDED: RecordedEvent[] = [
  { id: 1, event: "START", data: START },
  { id: 2, event: "REASONING_DELTA", data: "Überlegen: " },
  { id: 3, event: "REASONING_DELTA", data: "17 × 23?" },
  { id: 4, event: "TOOL_START", data: '{"id":"c1","name":"calculate","arguments":{"x":"17*23"}}' },
  { id: 5, event: "TOOL_END", data: '{"id":"c1","name":"calculate","result":391}' },
  { id: 6, event: "CONTENT_DELTA", data: "Das 🙂 ist\n" },
  { id: 7, event: "CONTENT_DELTA", data: "verloren" },
  { id: 8, event: "TOOL_START", data: '{"id":"c2","name":"look","arguments":{}}' },
  { id: 9, event: "TOOL_START", data: '{"id":"c4","name":"order","arguments":{}}' },
  { id: 10, event: "TOOL_END", data: '{"id":"c4","name":"order","result":"kept"}' },
  { id: LOST + 8, event: "START", data: START },
  {
    id: LOST + 9,
    event: "STEP_RESET",
    data: '{"toEventId":6,"attempt":2,"reason":"EXECUTOR_LOST"}',
  },
  { id: LOST + 10, event: "TOOL_START", data: '{"id":"c3","name":"look","arguments":{}}' },
  { id: LOST + 11, event: "TOOL_ERROR", data: '{"id":"c3","name":"look","error":"dark"}' },
  { id: LOST + 12, event: "SOMETHING_NEW", data: "?" },
  { id: LOST + 13, event: "CONTENT_DELTA", data: "日本語 " },
  { id: LOST + 14, event: "CONTENT_DELTA", data: "391.👩‍🚀" },
  { id: LOST + 15, event: "METRICS", data: '{"inputTokens":50,"outputTokens":6,"model":"demo"}' },
  { id: LOST + 16, event: "STOP", data: `{"runId":"${RUN_ID}","status":"COMPLETED"}` },
];
export const TEXT = "Das 🙂 ist\n日本語 391.👩‍🚀";
export const REASONING = "Überlegen: 17 × 23?";

const CALL = { id: "c1", tool: "order", toolName: "order", arguments: { shares: 10 } };
export const PAUSE = {
  type: "TOOL_APPROVAL",
  approvalId: `${RUN_ID}.4`,
  approvals: [CALL, { ...CALL, id: "c2" }],
  tool: "order",
  toolName: "order",
  arguments: { shares: 10 },
};

/** A run that paused, was continued, and completed. */
export const CONTINUED: RecordedEvent[] = [
  { id: 1, event: "START", data: START },
  { id: 2, event: "CONTENT_DELTA", data: "I will order. " },
  { id: 3, event: "METRICS", data: '{"inputTokens":5}' },
  { id: 4, event: "PAUSED", data: JSON.stringify(PAUSE) },
  { id: 5, event: "START", data: START },
  { id: 6, event: "TOOL_START", data: '{"id":"c1","name":"order","arguments":{"shares":5}}' },
  { id: 7, event: "TOOL_END", data: '{"id":"c1","name":"order","result":"done"}' },
  { id: 8, event: "TOOL_ERROR", data: '{"id":"c2","name":"order","error":"Not now."}' },
  { id: 9, event: "CONTENT_DELTA", data: "Ordered." },
  { id: 10, event: "METRICS", data: '{"inputTokens":9}' },
  { id: 11, event: "STOP", data: `{"runId":"${RUN_ID}","status":"COMPLETED","followups":["?"]}` },
];
/** The id of its PAUSED. */
export const PAUSED_AT = 4;

const encoder = new TextEncoder();

/** The bytes of an event as the server sends them. */
export function frameOf(event: RecordedEvent, isFirst = false): Uint8Array {
  const json = JSON.stringify({ event: event.event, data: event.data, timestamp: 1795378233367 });
  const ping = event.id % 4 === 2 ? ": ping\n" : "";
  return encoder.encode(`${isFirst ? "retry: 15\n" : ping}id: ${String(event.id)}\ndata: ${json}\n\n`);
}

/** The bytes of all events after one. */
export function framesAfter(events: RecordedEvent[], after: number): Uint8Array[] {
  return events.filter(({ id }) => id > after).map((event, at) => frameOf(event, at === 0));
}
