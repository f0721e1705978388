import { AgentrunError, ApiError, ConnectionFailedError, errorOf, type Problem } from "../errors.js";
import { inTime, throwLost } from "./connection.js";
import { linkedTo, pause } from "./waiting.js";

/** A bearer token, or what returns one: called for every request, and once more after a 401. */
export type Token = string | (() => string | Promise<string>);

export interface AgentrunOptions {
  /** The base URL of the REST API, with its stage if it has one; a path is on the page's own host. */
  baseUrl: string;
  token: Token;
  /** The Function URL, for what it serves: streams, `create`, `resume`. Default: `baseUrl`. */
  streamUrl?: string;
  /** Used instead of the global `fetch`. */
  fetch?: typeof fetch;
  /** How often a stream is attached to again in a row without a new event; default 10. */
  maxReattaches?: number;
  /** How often any other request is sent again; default 3. */
  maxRetries?: number;
  /** How long one request may take, but for streams and `create`; default 60 000. */
  timeoutMs?: number;
  /** How long a stream may be silent; default 30 000. The server sends a ping every 10 s. */
  silenceMs?: number;
  /** What to wait before the first retry; default: what the stream's `retry` says, else 1 000. */
  retryDelayMs?: number;
  /** What to wait at most between retries, unless the server asks for more; default 10 000. */
  maxRetryDelayMs?: number;
}

/** What every call takes. */
export interface CallOptions {
  signal?: AbortSignal | undefined;
}

/** Names and values; a value that is undefined is left out. */
type Fields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Request {
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  readonly query?: Fields;
  readonly headers?: Fields;
  readonly body?: unknown;
  /** Whether no token is needed, and none is sent. */
  readonly isOpen?: boolean;
  /** Whether to ask the Function URL. */
  readonly direct?: boolean;
  /** Whether a second request has no second effect; so it is for all but two kinds of POST. */
  readonly repeatable?: boolean;
  /** Default: the client's. */
  readonly timeoutMs?: number;
}

const DEFAULTS = {
  maxReattaches: 10,
  maxRetries: 3,
  timeoutMs: 60_000,
  silenceMs: 30_000,
  maxRetryDelayMs: 10_000,
};
/** No user, which would be sent in place of the token; no query, no fragment. */
const BASE_URL = /^(https?:\/\/[^\s/?#@]+)?(\/[^\s?#]*)?$/i;
const LEAST_DELAY_MS = 10;
const VISIBLE = /^[!-~]+$/;
const FIRST_DELAY_MS = 1_000;

/** Whether the same request may succeed if it is sent again. */
export function isTransient(error: unknown): boolean {
  return (
    error instanceof ConnectionFailedError ||
    (error instanceof ApiError && [429, 500, 502, 503, 504].includes(error.status))
  );
}

/** Sends requests with a token, and turns refusals into errors. */
export class Transport {
  readonly settings: AgentrunOptions & typeof DEFAULTS;

  /** @throws TypeError A base URL is none. */
  constructor(options: AgentrunOptions) {
    const { baseUrl, streamUrl = baseUrl } = options;
    for (const url of [baseUrl, streamUrl]) {
      if (!BASE_URL.test(url)) throw new TypeError(`"${url}" is no base URL.`);
      // It throws one for a host or a port that is none.
      new URL(url, "http://page");
    }
    this.settings = { ...DEFAULTS, ...given(options) };
  }

  /**
   * Send one request; ask for the token again after a 401.
   *
   * @returns The answer, with a status of success; its body is not read yet.
   * @throws AgentrunError The request was refused, or not answered.
   */
  async send(request: Request, signal: AbortSignal): Promise<Response> {
    // Called as a method of something else, a browser's fetch refuses.
    const { token, fetch: ask = fetch } = this.settings;
    const { method, headers, body, isOpen } = request;
    const url = this.url(request);
    for (let isFresh = typeof token === "string"; ; isFresh = true) {
      const held = isOpen ? "-" : typeof token === "string" ? token : await token();
      // The libraries below would show it in their own errors.
      if (!VISIBLE.test(held)) throw new AgentrunError("The token is empty, or no header can carry it.");
      const response = await ask(url, {
        method,
        headers: {
          ...(!isOpen && { Authorization: `Bearer ${held}` }),
          ...(body !== undefined && { "Content-Type": "application/json" }),
          ...(given(headers) as Record<string, string>),
        },
        body: JSON.stringify(body),
        signal,
      }).catch((cause: unknown) => {
        throw new ConnectionFailedError(`No answer from ${url}`, { cause });
      });
      if (response.ok) return response;
      const problem = await problemOf(response);
      if (response.status !== 401 || isFresh) throw errorOf(problem);
    }
  }

  /**
   * Send a request, again if that may help, and read its answer as JSON.
   *
   * @throws AgentrunError What the last try led to.
   */
  async json<T>(request: Request, { signal }: CallOptions = {}): Promise<T> {
    for (let failures = 0; ; ) {
      try {
        return await this.#once<T>(request, signal);
      } catch (error) {
        // A run that is still being waited for has not failed.
        if (!(error instanceof ApiError && error.status === 503 && error.runId)) failures += 1;
        const isOver = failures > this.settings.maxRetries || !mayRepeat(request, error);
        if (isOver || !isTransient(error)) throw error;
        await pause(this.delayMs(Math.max(failures, 1), error), signal);
      }
    }
  }

  /** Read something. */
  get<T>(path: string, options?: CallOptions, query: Fields = {}): Promise<T> {
    return this.json({ method: "GET", path, query }, options);
  }

  /** Ask for what has no second effect if it is asked for twice. */
  post<T>(path: string, options?: CallOptions): Promise<T> {
    return this.json({ method: "POST", path, repeatable: true }, options);
  }

  /**
   * How long to wait before the next try: doubled each time, and up to half of it off by chance,
   * so that readers that lost their connections together do not come back together.
   *
   * @param failures How many tries have failed in a row, from 1.
   */
  delayMs(failures: number, error: unknown, askedMs = FIRST_DELAY_MS): number {
    // From a wait of 0 none would grow, and all tries would be over at once.
    const { retryDelayMs = Math.max(askedMs, LEAST_DELAY_MS), maxRetryDelayMs } = this.settings;
    const least = (error instanceof ApiError ? error.retryAfterMs : undefined) ?? 0;
    const whole = Math.min(maxRetryDelayMs, retryDelayMs * 2 ** (failures - 1));
    return Math.max(least, whole * (1 - Math.random() / 2));
  }

  /** The whole URL of a request. */
  url({ path, query, direct = false }: Request): string {
    const { baseUrl, streamUrl = baseUrl } = this.settings;
    const base = direct ? streamUrl : baseUrl;
    const search = String(new URLSearchParams(given(query) as Record<string, string>));
    return base.replace(/\/+$/, "") + path + (search && `?${search}`);
  }

  async #once<T>(request: Request, signal: AbortSignal | undefined): Promise<T> {
    const { timeoutMs = this.settings.timeoutMs } = request;
    const own = linkedTo(signal);
    const answer = this.send(request, own.signal).then(jsonOf) as Promise<T>;
    try {
      return await inTime(answer, own, timeoutMs, "No answer in");
    } finally {
      own.abort();
    }
  }
}

/** Leave out what is undefined. */
function given<T extends object>(fields: T = {} as T): T {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as T;
}

/**
 * Write a path; what is filled in is encoded, so that no id can name another path.
 *
 * @throws TypeError An id is empty, or is `.` or `..`.
 */
export function pathTo(parts: TemplateStringsArray, ...ids: string[]): string {
  for (const id of ids) if (/^\.{0,2}$/.test(id)) throw new TypeError(`"${id}" cannot be an id.`);
  return String.raw({ raw: parts }, ...ids.map(encodeURIComponent));
}

/** Whether a request may be sent again although the last may have had its effect. */
function mayRepeat({ method, repeatable = method !== "POST" }: Request, error: unknown): boolean {
  const isRefusal = error instanceof ApiError && [429, 503].includes(error.status);
  return repeatable || isRefusal;
}

async function jsonOf(response: Response): Promise<unknown> {
  if (response.status === 204) return undefined;
  const text = await response.text().catch(throwLost);
  try {
    return JSON.parse(text);
  } catch {
    throw unreadable(response, "JSON", text);
  }
}

/** Make the error of an answer that says it is a success and cannot be read, such as a proxy's. */
export function unreadable({ status }: Response, what: string, text: string): ApiError {
  return new ApiError({ status, detail: `The answer is no ${what}: ${text.slice(0, 200)}` });
}

/** Read a refusal, whatever answered: a function, API Gateway, or a proxy in between. */
async function problemOf(response: Response): Promise<Problem> {
  const { status, statusText } = response;
  const text = await response.text().catch(() => "");
  const seconds = Number(response.headers.get("Retry-After") ?? NaN);
  const retryAfterMs = seconds >= 0 ? seconds * 1000 : undefined;
  let said: Partial<Problem> = {};
  try {
    said = JSON.parse(text) as Partial<Problem>;
  } catch {
    // Not JSON: the words of a proxy.
  }
  return { title: statusText || text.slice(0, 200), ...said, status, retryAfterMs };
}
