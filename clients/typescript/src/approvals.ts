import { ConflictError, ConnectionFailedError } from "./errors.js";
import type { AgentRun, Approval } from "./models.js";
import { pages } from "./pages.js";
import { type CallOptions, pathTo, type Transport } from "./wire/transport.js";

/** What waits for a decision, whatever its run: `client.approvals`. */
export class Approvals {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** List what waits for a decision, the oldest first, over all pages. */
  pending(options?: CallOptions): AsyncGenerator<Approval, void> {
    return pages(this.#transport, "/api/v1/approvals/pending", options);
  }

  /** Read an approval, decided or not. */
  async get(approvalId: string, options?: CallOptions): Promise<Approval> {
    return this.#transport.get(pathTo`/api/v1/approvals/${approvalId}`, options);
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
    const path = pathTo`/api/v1/approvals/${approvalId}/resolve`;
    const body = { decision, reason: options.reason };
    let isInDoubt = false;
    for (let failures = 0; ; failures += 1) {
      try {
        return await this.#transport.json<AgentRun>({ method: "POST", path, body }, options);
      } catch (error) {
        const isLost = error instanceof ConnectionFailedError;
        const isOwn = isInDoubt && error instanceof ConflictError;
        if (!(isLost || isOwn) || failures >= this.#transport.settings.maxRetries) throw error;
        isInDoubt = true;
        const { status, runId } = await this.get(approvalId, options);
        if (status === decision) return this.#transport.get(pathTo`/api/v1/runs/${runId}`, options);
        if (status !== "PENDING") throw error;
      }
    }
  }
}
