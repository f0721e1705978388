import { ConflictError, ConnectionFailedError } from "./errors.js";
import type { AgentRun, Approval } from "./models.js";
import { type CallOptions, pages } from "./pages.js";
import type { Transport } from "./transport.js";

/** What waits for a decision, whatever its run: `client.approvals`. */
export class Approvals {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** List what waits for a decision, the oldest first, over all pages. */
  pending(options: CallOptions = {}): AsyncGenerator<Approval, void> {
    return pages(this.#transport, "/api/v1/approvals/pending", {}, options.signal);
  }

  /** Read an approval, decided or not. */
  get(approvalId: string, options: CallOptions = {}): Promise<Approval> {
    return this.#transport.json({ method: "GET", path: pathOf(approvalId) }, options.signal);
  }

  /**
   * Decide all pending calls of an approval; its run goes on in the background.
   *
   * If the answer is lost, the approval is looked at, and the decision is sent again only if it
   * still waits.
   *
   * @returns The run, which goes on.
   * @throws ConflictError Somebody else has decided it.
   */
  async resolve(
    approvalId: string,
    decision: "APPROVED" | "REJECTED",
    options: CallOptions & { reason?: string | undefined } = {},
  ): Promise<AgentRun> {
    const { signal, reason } = options;
    const path = `${pathOf(approvalId)}/resolve`;
    const request = { method: "POST", path, body: { decision, reason } } as const;
    let isInDoubt = false;
    for (let failures = 0; ; failures += 1) {
      try {
        return await this.#transport.json<AgentRun>(request, signal);
      } catch (error) {
        const isLost = error instanceof ConnectionFailedError;
        const isOwn = isInDoubt && error instanceof ConflictError;
        if (!(isLost || isOwn) || failures >= this.#transport.settings.maxRetries) throw error;
        isInDoubt = true;
        const { status, runId } = await this.get(approvalId, options);
        if (status === decision) return this.#runOf(runId, signal);
        if (status !== "PENDING") throw error;
      }
    }
  }

  #runOf(runId: string, signal: AbortSignal | undefined): Promise<AgentRun> {
    const path = `/api/v1/runs/${encodeURIComponent(runId)}`;
    return this.#transport.json({ method: "GET", path }, signal);
  }
}

function pathOf(approvalId: string): string {
  return `/api/v1/approvals/${encodeURIComponent(approvalId)}`;
}
