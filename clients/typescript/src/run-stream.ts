import type { ToolActivity } from "./answer.js";
import { AgentrunError, RunCancelledError, RunFailedError, RunPausedError } from "./errors.js";
import type { RunEvent } from "./events.js";
import { follow, type Reattachment } from "./wire/follow.js";
import type { RunResult } from "./models.js";
import { type Beginning, RunState } from "./run-state.js";
import { attachTo, type Source } from "./wire/source.js";
import { pathTo, type Transport } from "./wire/transport.js";
import { linkedTo } from "./wire/waiting.js";

export interface StreamOptions {
  /** Ends everything at once, also a wait between two tries; the run goes on. */
  signal?: AbortSignal | undefined;
  /** Whether an abort also cancels the run; it then waits until that is answered. */
  cancelOnAbort?: boolean | undefined;
  /** Told whenever a connection broke and another one will be made. */
  onReattach?: ((next: Reattachment) => void) | undefined;
}

/**
 * The events of a run, over as many connections as it takes.
 *
 * Nothing is sent until it is read: by `for await`, `text()` or `result()`. Leaving a loop early
 * closes the connection, and the run goes on; another loop reads on after the last event.
 */
export class RunStream implements AsyncIterable<RunEvent> {
  readonly #transport: Transport;
  readonly #source: Source;
  readonly #options: StreamOptions;
  readonly #state: RunState;
  #hasEnded = false;
  /** While somebody reads: settled once the run's id is known, or nobody reads any more. */
  #reading: Promise<void> | undefined;

  /** Streams are made by `client.runs`. */
  constructor(
    transport: Transport,
    source: Source,
    beginning: Beginning,
    options: StreamOptions,
  ) {
    this.#transport = transport;
    this.#source = source;
    this.#options = options;
    this.#state = new RunState(beginning);
  }

  /** The run's id, once it is known: at the first event, at the latest. */
  get runId(): string | undefined {
    return this.#state.runId;
  }

  /** The id of the run's conversation, likewise. */
  get sessionId(): string | undefined {
    return this.#state.sessionId;
  }

  /** The id of the last event that was read; attach after it to read on elsewhere. */
  get lastEventId(): number {
    return this.#state.lastEventId;
  }

  /** What this stream has read of the answer, without what a STEP_RESET took back. */
  get textSoFar(): string {
    return this.#state.answer.text;
  }

  /** What this stream has read of the model's reasoning, likewise. */
  get reasoningSoFar(): string {
    return this.#state.answer.reasoning;
  }

  /** The tools that this stream has seen, likewise. */
  get toolsSoFar(): ToolActivity[] {
    return this.#state.answer.tools;
  }

  /**
   * Read the events, each once and in order.
   *
   * @throws StreamLostError The stream broke, and every attempt to re-attach failed.
   * @throws AgentrunError The API refused, or another loop is reading.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<RunEvent, void> {
    if (this.#hasEnded) return;
    if (this.#reading) throw new AgentrunError("Another loop is reading this stream.");
    const { signal, cancelOnAbort, onReattach } = this.#options;
    signal?.throwIfAborted();
    const state = this.#state;
    const reader = linkedTo(signal);
    this.#reading = new Promise((resolve) => (state.onIdentified = resolve));
    let cancelled: Promise<void> | undefined;
    const cancel = (): void => {
      cancelled = this.cancel();
      // Awaited below, unless nobody reads on.
      cancelled.catch(() => undefined);
    };
    if (cancelOnAbort) signal?.addEventListener("abort", cancel);
    try {
      yield* follow(state, this.#source, this.#transport, reader.signal, onReattach);
      this.#hasEnded = true;
    } catch (error) {
      state.onIdentified();
      await cancelled;
      throw error;
    } finally {
      signal?.removeEventListener("abort", cancel);
      reader.abort();
      state.onIdentified();
      this.#reading = undefined;
    }
  }

  /**
   * Read to the end.
   *
   * @returns The whole answer.
   * @throws RunFailedError, RunCancelledError, RunPausedError The run has not completed.
   */
  async text(): Promise<string> {
    const { runId, status, text, error, requiredAction } = await this.result();
    if (status === "FAILED") throw new RunFailedError(error ?? "The run failed.", runId);
    if (status === "CANCELLED") throw new RunCancelledError(error ?? "Cancelled.", runId);
    if (requiredAction) throw new RunPausedError(runId, requiredAction);
    return text;
  }

  /**
   * Read to the end, however the run ends.
   *
   * @returns What it has come to, from its start: if this stream began in the middle, the run is
   *   replayed for that.
   */
  async result(): Promise<RunResult> {
    await this.#drain();
    const { agentId, runId, status, isPart } = this.#state;
    if (runId === undefined) throw new AgentrunError("There is no run.");
    // Without a last event: nothing followed the one after which this stream began.
    if (!isPart && status !== "RUNNING") return this.#state.result(runId);
    const source = attachTo(this.#transport, agentId);
    const whole = new RunStream(this.#transport, source, { agentId, runId }, this.#options);
    await whole.#drain();
    return whole.#state.result(runId);
  }

  /**
   * Cancel the run; the stream then ends with CANCELLED, or as the run ended in the meantime.
   *
   * Before the run's id is known this waits for it. A stream that nobody has begun to read has no
   * run to cancel.
   */
  async cancel(): Promise<void> {
    if (this.#state.runId === undefined) await this.#reading;
    const { runId } = this.#state;
    if (runId !== undefined) await this.#transport.post(pathTo`/api/v1/runs/${runId}/cancel`);
  }

  async #drain(): Promise<void> {
    const events = this[Symbol.asyncIterator]();
    while (!(await events.next()).done);
  }
}
