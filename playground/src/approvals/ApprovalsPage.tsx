import type { Agentrun, Approval } from "agentrun-client";
import { useCallback, useEffect, useRef } from "react";
import { focusIfLost, useTitle } from "../app/focus";
import { Notice } from "../app/Notice";
import { useLoaded } from "../app/use-loaded";
import { PendingView } from "./PendingView";

const LOOK_EVERY_MS = 5_000;

/** All that waits for a decision, the oldest first. */
export default function ApprovalsPage({ client }: { client: Agentrun }) {
  const load = useCallback(
    async (signal: AbortSignal) => {
      const pending: Approval[] = [];
      for await (const approval of client.approvals.pending({ signal })) pending.push(approval);
      return pending;
    },
    [client],
  );
  const { value: pending, error, reload } = useLoaded(load);
  const main = useRef<HTMLElement>(null);
  useTitle("Approvals");
  useEffect(() => {
    focusIfLost(main.current);
  }, []);
  useEffect(() => {
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") reload();
    }, LOOK_EVERY_MS);
    return () => {
      clearInterval(timer);
    };
  }, [reload]);
  return (
    <main ref={main} tabIndex={-1}>
      <h1>Approvals</h1>
      {error && <Notice kind="error">{error.message}</Notice>}
      {!pending && !error && <p className="muted">Loading …</p>}
      {pending?.length === 0 && <p className="muted">Nothing waits for you.</p>}
      <ul className="inbox">
        {pending?.map((approval) => (
          <li key={approval.approvalId}>
            <PendingView client={client} approval={approval} onDecided={() => {
              main.current?.focus({ preventScroll: true });
              reload();
            }} />
          </li>
        ))}
      </ul>
    </main>
  );
}
