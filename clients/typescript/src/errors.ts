import type { InvalidParam, RequiredAction } from "./models.js";

/**
 * All errors of this package.
 *
 * ```text
 * AgentrunError
 * ├─ ApiError                    the API refused the request
 * │  ├─ InvalidRequestError      400
 * │  ├─ AuthenticationError      401
 * │  ├─ PermissionDeniedError    403
 * │  ├─ NotFoundError            404
 * │  ├─ ConflictError            409
 * │  ├─ PayloadTooLargeError     413
 * │  ├─ UnsupportedMediaTypeError 415
 * │  ├─ TooManyRunsError         429
 * │  └─ InternalServerError      500 and other 5xx
 * │     └─ UnavailableError      503
 * ├─ ConnectionFailedError       no answer, or none in time
 * ├─ StreamLostError             a stream broke, and every attempt to re-attach failed
 * ├─ RunFailedError              the run ended FAILED
 * ├─ RunCancelledError           the run ended CANCELLED
 * └─ RunPausedError              the run waits for a decision
 * ```
 *
 * An abort by an `AbortSignal` is not among them: it throws the signal's `reason`.
 */
export class AgentrunError extends Error {
  override name = "AgentrunError";
}

/** What a problem document says, as far as the answer was one. */
export interface Problem {
  readonly status: number;
  /** `urn:problem-type:` and a name; absent if the answer was no problem document. */
  readonly type?: string | undefined;
  readonly title?: string | undefined;
  /** A sentence for people. */
  readonly detail?: string | undefined;
  readonly invalidParams?: readonly InvalidParam[] | undefined;
  /** The run in question, of `run-failed` and of `unavailable` if that run goes on. */
  readonly runId?: string | undefined;
  /** What `Retry-After` asked for. */
  readonly retryAfterMs?: number | undefined;
}

/** The API refused a request. Decide by the class, `status` or `type`; `detail` is for people. */
export class ApiError extends AgentrunError implements Problem {
  override name = "ApiError";
  declare readonly status: number;
  declare readonly type: string | undefined;
  declare readonly title: string | undefined;
  declare readonly detail: string | undefined;
  /** The fields at fault. */
  readonly invalidParams: readonly InvalidParam[];
  declare readonly runId: string | undefined;
  declare readonly retryAfterMs: number | undefined;

  constructor(problem: Problem) {
    const { status, type, title, detail, invalidParams = [], runId, retryAfterMs } = problem;
    super(`${status}: ${detail ?? title ?? "no problem document"}`);
    // Not whatever else an answer may have: a gateway's has a message.
    Object.assign(this, { status, type, title, detail, runId, retryAfterMs });
    this.invalidParams = invalidParams;
  }
}

/** 400: a rule of the API is broken; `invalidParams` names the fields. */
export class InvalidRequestError extends ApiError {
  override name = "InvalidRequestError";
}

/** 401: no token, or one that does not hold, also after it was asked for again. */
export class AuthenticationError extends ApiError {
  override name = "AuthenticationError";
}

/** 403: the token lacks a scope, or is for another organisation or user. */
export class PermissionDeniedError extends ApiError {
  override name = "PermissionDeniedError";
}

/** 404: it does not exist, or the caller may not see it. */
export class NotFoundError extends ApiError {
  override name = "NotFoundError";
}

/** 409: the session is busy, the run is not paused, or the key belongs to another request. */
export class ConflictError extends ApiError {
  override name = "ConflictError";
}

/** 413: the body or the media are too large. */
export class PayloadTooLargeError extends ApiError {
  override name = "PayloadTooLargeError";
}

/** 415: the content type is not one that the API reads. */
export class UnsupportedMediaTypeError extends ApiError {
  override name = "UnsupportedMediaTypeError";
}

/** 429: a limit is reached, and still was after the retries. */
export class TooManyRunsError extends ApiError {
  override name = "TooManyRunsError";
}

/** 5xx: a defect on the server's side. */
export class InternalServerError extends ApiError {
  override name = "InternalServerError";
}

/** 503: the API cannot answer at the moment, and still could not after the retries. */
export class UnavailableError extends InternalServerError {
  override name = "UnavailableError";
}

/** No answer, or none in time; `cause` says why. */
export class ConnectionFailedError extends AgentrunError {
  override name = "ConnectionFailedError";
}

/** A stream broke, and every attempt to re-attach failed. The run itself goes on. */
export class StreamLostError extends AgentrunError {
  override name = "StreamLostError";
  readonly runId: string | undefined;
  /** Attach after this id to read on. */
  readonly lastEventId: number;

  constructor(runId: string | undefined, lastEventId: number, cause: unknown) {
    const run = runId === undefined ? "The run's stream" : `The stream of run ${runId}`;
    super(`${run} was lost after event ${lastEventId}.`, { cause });
    this.runId = runId;
    this.lastEventId = lastEventId;
  }
}

/** The run ended FAILED; `message` is safe to show. */
export class RunFailedError extends AgentrunError {
  override name = "RunFailedError";
  readonly runId: string | undefined;

  constructor(message: string, runId: string | undefined, options?: ErrorOptions) {
    super(message, options);
    this.runId = runId;
  }
}

/** The run ended CANCELLED; `message` is the reason. */
export class RunCancelledError extends AgentrunError {
  override name = "RunCancelledError";
  readonly runId: string;

  constructor(message: string, runId: string) {
    super(message);
    this.runId = runId;
  }
}

/** The run waits for a decision: `client.runs.resume()`. */
export class RunPausedError extends AgentrunError {
  override name = "RunPausedError";
  readonly runId: string;
  readonly requiredAction: RequiredAction;

  constructor(runId: string, requiredAction: RequiredAction) {
    super(`The run waits for a decision: ${requiredAction.type}.`);
    this.runId = runId;
    this.requiredAction = requiredAction;
  }
}

const BY_STATUS: Readonly<Record<number, typeof ApiError>> = {
  400: InvalidRequestError,
  401: AuthenticationError,
  403: PermissionDeniedError,
  404: NotFoundError,
  409: ConflictError,
  413: PayloadTooLargeError,
  415: UnsupportedMediaTypeError,
  429: TooManyRunsError,
  503: UnavailableError,
};

/** Make the error that stands for a problem. */
export function errorOf(problem: Problem): AgentrunError {
  const { status, type, detail, runId } = problem;
  const failure = status >= 500 ? InternalServerError : ApiError;
  const error = new (BY_STATUS[status] ?? failure)(problem);
  return type?.endsWith(":run-failed")
    ? new RunFailedError(detail ?? "The run failed.", runId, { cause: error })
    : error;
}
