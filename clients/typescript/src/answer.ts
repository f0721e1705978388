import type { RunEvent, ToolEndEvent, ToolErrorEvent } from "./events.js";
import type { Json } from "./models.js";

/** A call of a tool, as far as it has come. */
export interface ToolActivity {
  readonly callId: string;
  readonly name: string;
  readonly arguments: Json;
  readonly state: "running" | "done" | "failed";
  /** What a tool that is done returned. */
  readonly result?: Json;
  /** Why a tool failed, or its call was rejected. */
  readonly error?: string;
  /** How long a call took that has ended, by the server's clock. */
  readonly durationMs?: number;
}

/** Text that is added to, and cut back to what was there at an earlier event. */
class Growing {
  text = "";
  /** The ids of the fragments' events, each followed by the length of the text before it. */
  readonly #marks: number[] = [];

  add(id: number, text: string): void {
    this.#marks.push(id, this.text.length);
    this.text += text;
  }

  cutBackTo(id: number): void {
    for (let last = this.#marks.length - 2; last >= 0; last -= 2) {
      if ((this.#marks[last] ?? 0) <= id) return;
      this.text = this.text.slice(0, this.#marks[last + 1]);
      this.#marks.length = last;
    }
  }
}

interface Call {
  readonly startId: number;
  /** Absent if it was rejected, and so never began. */
  readonly startedAt?: number;
  readonly tool: ToolActivity;
}

/** What a run has said and done so far, with what a STEP_RESET voids taken back. */
export class Answer {
  readonly #text = new Growing();
  readonly #reasoning = new Growing();
  readonly #tools = new Map<string, Call>();

  /** The arguments of calls that have waited for a decision: one that is rejected never begins. */
  readonly #asked = new Map<string, Json>();

  get text(): string {
    return this.#text.text;
  }

  get reasoning(): string {
    return this.#reasoning.text;
  }

  /** The calls in the order in which they began. */
  get tools(): ToolActivity[] {
    return [...this.#tools.values()].map(({ tool }) => tool);
  }

  /** Take the next event into account. */
  apply(event: RunEvent): void {
    switch (event.event) {
      case "CONTENT_DELTA":
        this.#text.add(event.id, event.text);
        break;
      case "REASONING_DELTA":
        this.#reasoning.add(event.id, event.text);
        break;
      case "TOOL_START":
        this.#tools.set(event.callId, {
          startId: event.id,
          startedAt: event.timestamp,
          tool: {
            callId: event.callId,
            name: event.name,
            arguments: event.arguments,
            state: "running",
          },
        });
        break;
      case "TOOL_END":
        this.#end(event, { state: "done", result: event.result });
        break;
      case "TOOL_ERROR":
        this.#end(event, { state: "failed", error: event.error });
        break;
      case "PAUSED":
        for (const call of event.requiredAction.approvals) this.#asked.set(call.id, call.arguments);
        break;
      case "STEP_RESET":
        this.#text.cutBackTo(event.toEventId);
        this.#reasoning.cutBackTo(event.toEventId);
        for (const [callId, { startId, tool }] of this.#tools)
          if (startId > event.toEventId && tool.state === "running") this.#tools.delete(callId);
        break;
    }
  }

  #end(
    { id, callId, name, timestamp }: ToolEndEvent | ToolErrorEvent,
    end: Pick<ToolActivity, "state" | "result" | "error">,
  ): void {
    const call: Call = this.#tools.get(callId) ?? {
      startId: id,
      tool: { callId, name, arguments: this.#asked.get(callId) ?? null, state: "running" },
    };
    const { startedAt } = call;
    const took = startedAt !== undefined && { durationMs: timestamp - startedAt };
    this.#tools.set(callId, { ...call, tool: { ...call.tool, ...end, ...took } });
  }
}
