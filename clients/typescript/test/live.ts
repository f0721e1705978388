/** Runs that say what a test tells them to say, to whoever has attached. */

import type { ServerResponse } from "node:http";
import { frameOf, framesAfter, type RecordedEvent } from "./recording.js";
import { type Asked, cursorOf, json, problem, type RunServer, streamHead } from "./server.js";

const ENDS = new Map([
  ["STOP", "COMPLETED"],
  ["ERROR", "FAILED"],
  ["PAUSED", "PAUSED"],
  ["CANCELLED", "CANCELLED"],
]);

export class LiveRun {
  readonly events: RecordedEvent[] = [];
  readonly readers = new Set<ServerResponse>();
  status = "RUNNING";
  readonly #start: string;

  constructor(
    readonly id: string,
    readonly sessionId: string,
    readonly body: Record<string, unknown>,
  ) {
    this.#start = JSON.stringify({ runId: id, sessionId, agentId: "analyst" });
    this.start();
  }

  start(): void {
    this.status = "RUNNING";
    this.say("START", this.#start);
  }

  /** Add an event, and send it to those who read. */
  say(event: string, data: unknown): void {
    const text = typeof data === "string" ? data : JSON.stringify(data);
    const said = { id: this.events.length + 1, event, data: text };
    this.events.push(said);
    for (const reader of this.readers) reader.write(frameOf(said));
    const status = ENDS.get(event);
    if (status === undefined) return;
    this.status = status;
    for (const reader of this.readers) reader.end();
    this.readers.clear();
  }

  /** Send what comes after the reader's last event, then what follows. */
  follow(asked: Asked, response: ServerResponse, isReplay: boolean): true {
    const frames = framesAfter(this.events, cursorOf(asked));
    if (this.status !== "RUNNING" && frames.length === 0) {
      response.writeHead(204).end();
      return true;
    }
    const replayed = isReplay ? { "Idempotent-Replayed": "true" } : undefined;
    streamHead(response, { "X-Run-Id": this.id, "X-Session-Id": this.sessionId, ...replayed });
    for (const frame of frames) response.write(frame);
    if (this.status !== "RUNNING") response.end();
    else this.readers.add(response);
    response.on("close", () => this.readers.delete(response));
    return true;
  }
}

/** The runs of a server, in the order in which they were started. */
export class LiveRuns {
  readonly all: LiveRun[] = [];
  readonly #byKey = new Map<string, LiveRun>();
  /** Whether the next decision is refused. */
  refusesNext = false;

  constructor(server: RunServer) {
    server.answering = (asked, response) => this.#answer(asked, response);
  }

  /** The run that was started last. */
  get last(): LiveRun {
    const run = this.all.at(-1);
    if (!run) throw new Error("no run");
    return run;
  }

  #answer(asked: Asked, response: ServerResponse): boolean {
    const { method, path, body } = asked;
    if (method === "POST" && path.endsWith("/runs/stream")) return this.#start(asked, response);
    const run = this.all.find(({ id }) => path.split("/").includes(id));
    if (!run) return problem(response, 404, "resource-not-found");
    if (path.endsWith("/stream")) return run.follow(asked, response, true);
    if (path.endsWith("/cancel")) {
      if (run.status === "RUNNING" || run.status === "PAUSED") run.say("CANCELLED", "On request.");
      response.writeHead(204).end();
      return true;
    }
    if (path.endsWith("/continue")) {
      if (this.refusesNext || run.status !== "PAUSED") {
        this.refusesNext = false;
        return problem(response, 409, "conflict");
      }
      Object.assign(run.body, { decided: JSON.parse(body) as unknown });
      const headers = { ...asked.headers, "last-event-id": String(run.events.length) };
      run.start();
      return run.follow({ ...asked, headers }, response, false);
    }
    return json(response, { id: run.id, sessionId: run.sessionId, status: run.status });
  }

  #start(asked: Asked, response: ServerResponse): boolean {
    const key = String(asked.headers["idempotency-key"]);
    const known = this.#byKey.get(key);
    if (known) return known.follow(asked, response, true);
    const number = String(this.all.length + 1);
    const body = JSON.parse(asked.body) as Record<string, unknown>;
    const sessionId = (body["sessionId"] as string | undefined) ?? `session-${number}`;
    const run = new LiveRun(`run-${number}`, sessionId, body);
    this.#byKey.set(key, run);
    this.all.push(run);
    return run.follow(asked, response, false);
  }
}
