import type { Json, RunEvent } from "agentrun-client";

/** One thing that happened in a run; fragments of the same kind in a row are one. */
export interface Moment {
  readonly id: number;
  readonly atMs: number;
  readonly kind: string;
  readonly title: string;
  readonly detail?: string;
  readonly value?: Json;
  /** How long it took, once it is over. */
  readonly tookMs?: number;
  /** Whether a later STEP_RESET took it back. */
  readonly isVoid: boolean;
}

export interface Timeline {
  readonly moments: readonly Moment[];
  readonly startedAt: number | undefined;
  /** From the first START to the first fragment. */
  readonly firstDeltaMs: number | undefined;
  readonly attempts: number;
}

/** Make of a run's events what a person wants to see of them. */
export function timelineOf(events: readonly RunEvent[]): Timeline {
  const moments: Moment[] = [];
  const startedAt = events[0]?.timestamp;
  let firstDeltaMs: number | undefined;
  let attempts = 1;
  for (const event of events) {
    const atMs = event.timestamp - (startedAt ?? event.timestamp);
    if (event.event === "CONTENT_DELTA" || event.event === "REASONING_DELTA") firstDeltaMs ??= atMs;
    if (event.event === "STEP_RESET") {
      attempts = Math.max(attempts, event.attempt);
      takeBack(moments, event.toEventId);
    }
    add(moments, event, atMs);
  }
  return { moments, startedAt, firstDeltaMs, attempts };
}

function takeBack(moments: Moment[], toEventId: number): void {
  moments.forEach((moment, index) => {
    const isOver = moment.kind === "tool" && moment.tookMs !== undefined;
    if (moment.id > toEventId && moment.kind !== "start" && !isOver) moments[index] = { ...moment, isVoid: true };
  });
}

function add(moments: Moment[], event: RunEvent, atMs: number): void {
  const moment = (kind: string, title: string, more: Partial<Moment> = {}): void => {
    moments.push({ id: event.id, atMs, kind, title, isVoid: false, ...more });
  };
  switch (event.event) {
    case "START":
      moment("start", moments.length === 0 ? "Started" : "Went on");
      break;
    case "REASONING_DELTA":
      grow(moments, "thinking", "Thinking", event, atMs);
      break;
    case "CONTENT_DELTA":
      grow(moments, "text", "Answer", event, atMs);
      break;
    case "TOOL_START":
      moment("tool", event.name, { detail: `call ${event.callId}`, value: { arguments: event.arguments } });
      break;
    case "TOOL_END":
      endTool(moments, event, atMs, { result: event.result });
      break;
    case "TOOL_ERROR":
      endTool(moments, event, atMs, { error: event.error });
      break;
    case "STEP_RESET":
      moment("reset", `Attempt ${String(event.attempt)}`, {
        detail: `${event.reason}: what came after event ${String(event.toEventId)} is void, and made again`,
      });
      break;
    case "PAUSED":
      moment("paused", `Paused: ${event.requiredAction.type}`, {
        value: event.requiredAction.approvals as unknown as Json,
      });
      break;
    case "METRICS":
      moment("metrics", "Metrics", { value: event.metrics as Json });
      break;
    case "STOP":
      moment("end", "Completed");
      break;
    case "ERROR":
      moment("failed", "Failed", { detail: event.message });
      break;
    case "CANCELLED":
      moment("failed", "Cancelled", { detail: event.reason });
      break;
    case "UNKNOWN":
      moment("unknown", event.name, { detail: event.data });
      break;
  }
}

function grow(
  moments: Moment[],
  kind: string,
  title: string,
  event: { id: number; text: string },
  atMs: number,
): void {
  const last = moments.at(-1);
  if (last?.kind !== kind || last.isVoid) {
    moments.push({ id: event.id, atMs, kind, title, detail: event.text, isVoid: false });
    return;
  }
  moments[moments.length - 1] = { ...last, detail: (last.detail ?? "") + event.text, tookMs: atMs - last.atMs };
}

function endTool(
  moments: Moment[],
  event: { id: number; callId: string; name: string },
  atMs: number,
  end: Record<string, Json>,
): void {
  const index = moments.findLastIndex(
    (moment) => moment.kind === "tool" && moment.detail === `call ${event.callId}` && !moment.isVoid,
  );
  const begun = moments[index];
  if (begun) {
    const value = { ...(begun.value as Record<string, Json>), ...end };
    moments[index] = { ...begun, value, tookMs: atMs - begun.atMs };
  } else {
    const detail = `call ${event.callId}`;
    moments.push({ id: event.id, atMs, kind: "tool", title: event.name, detail, value: end, tookMs: 0, isVoid: false });
  }
}
