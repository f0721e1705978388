import type { Agentrun, AgentRun } from "agentrun-client";
import { useEffect, useState } from "react";

/** Keep runs up to date: all that have not ended are asked for together, every 3 s. */
export function useWatched(client: Agentrun, listed: readonly AgentRun[] | undefined): readonly AgentRun[] | undefined {
  const [updates, setUpdates] = useState<ReadonlyMap<string, AgentRun>>(new Map());
  // The status as listed: a paused run may go on, and is asked for as well.
  const open = listed?.filter(({ status }) => status === "QUEUED" || status === "RUNNING" || status === "PAUSED");
  const ids = open?.map(({ id, agentId }) => `${agentId} ${id}`).join("\n") ?? "";
  useEffect(() => {
    if (ids === "") return;
    const watching = new AbortController();
    const byAgent = new Map<string, string[]>();
    for (const [agent = "", id = ""] of ids.split("\n").map((line) => line.split(" ")))
      byAgent.set(agent, [...(byAgent.get(agent) ?? []), id]);
    for (const [agent, runIds] of byAgent) {
      client.runs
        .waitAll(agent, runIds, {
          signal: watching.signal,
          onUpdate: (run) => {
            setUpdates((before) => new Map(before).set(run.id, run));
          },
        })
        .catch(() => undefined);
    }
    return () => {
      watching.abort();
    };
  }, [client, ids]);
  return listed?.map((run) => updates.get(run.id) ?? run);
}
