/** A server on a real socket that plays a recorded run, and misbehaves as it is told. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type RecordedEvent, framesAfter, RECORDED, RUN_ID, SESSION_ID } from "./recording.js";

export interface Asked {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingMessage["headers"];
  body: string;
}

/** Answers a request; `undefined` leaves it to what the server does otherwise. */
export type Answering = (
  asked: Asked,
  response: ServerResponse,
  number: number,
) => Promise<boolean | undefined> | boolean | undefined;

export class RunServer {
  /** All requests, in order. */
  readonly asked: Asked[] = [];
  /** The keys of the runs that were started. */
  readonly keys = new Set<string>();
  events: RecordedEvent[] = RECORDED;
  answering: Answering | undefined;
  /** Requests whose answers have not ended yet. */
  open = 0;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      void this.#answer(request, response);
    });
  }

  static async start(): Promise<RunServer> {
    const server = new RunServer();
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  /** What was asked with a path that ends so. */
  askedFor(end: string): Asked[] {
    return this.asked.filter(({ path }) => path.endsWith(end));
  }

  reset(): void {
    this.asked.length = 0;
    this.keys.clear();
    this.events = RECORDED;
    this.answering = undefined;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.open += 1;
    response.on("close", () => (this.open -= 1));
    let body = "";
    for await (const chunk of request.setEncoding("utf8")) body += String(chunk);
    const url = new URL(request.url ?? "", "http://here");
    const { method = "", headers } = request;
    const asked = { method, path: url.pathname, query: url.searchParams, headers, body };
    this.asked.push(asked);
    const isStart = method === "POST" && url.pathname.endsWith("/runs/stream");
    if (isStart) this.keys.add(String(headers["idempotency-key"]));
    if ((await this.answering?.(asked, response, this.asked.length)) ?? false) return;
    if (url.pathname.endsWith("/stream")) this.#stream(asked, response);
    else problem(response, 404, "resource-not-found");
  }

  #stream(asked: Asked, response: ServerResponse): void {
    const frames = framesAfter(this.events, cursorOf(asked));
    if (frames.length === 0) {
      response.writeHead(204).end();
      return;
    }
    streamHead(response);
    response.end(Buffer.concat(frames));
  }
}

export function cursorOf({ headers, query }: Asked): number {
  return Number(headers["last-event-id"] ?? query.get("lastEventId") ?? 0);
}

/** Send the head of a stream. */
export function streamHead(response: ServerResponse, headers: Record<string, string> = {}): void {
  response.writeHead(200, {
    "Content-Type": "text/event-stream; charset=utf-8",
    "X-Run-Id": RUN_ID,
    "X-Session-Id": SESSION_ID,
    ...headers,
  });
  response.flushHeaders();
}

/** Send bytes, and wait until they have left. */
export function write(response: ServerResponse, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    if (bytes.length === 0) resolve();
    else
      response.write(bytes, () => {
        resolve();
      });
  });
}

export function json(response: ServerResponse, value: unknown, status = 200): true {
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(value));
  return true;
}

export function problem(
  response: ServerResponse,
  status: number,
  name: string,
  more: Record<string, unknown> = {},
  headers: Record<string, string> = {},
): true {
  const type = `urn:problem-type:${name}`;
  response
    .writeHead(status, { "Content-Type": "application/problem+json", ...headers })
    .end(JSON.stringify({ type, title: name, status, detail: "As told.", instance: "/", ...more }));
  return true;
}
