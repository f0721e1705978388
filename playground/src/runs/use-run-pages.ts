import type { Agentrun, AgentRun, RunStatus } from "agentrun-client";
import { useCallback, useEffect, useRef, useState } from "react";

const PAGE = 25;

interface Pages {
  /** Undefined until the first have come. */
  readonly runs: readonly AgentRun[] | undefined;
  readonly hasMore: boolean;
  readonly isLoading: boolean;
  readonly error: Error | undefined;
}

const NOTHING: Pages = { runs: undefined, hasMore: false, isLoading: true, error: undefined };

/** The newest runs, 25 more whenever they are asked for; those that are there stay in place. */
export function useRunPages(
  client: Agentrun,
  status: RunStatus | undefined,
  agentId: string | undefined,
): Pages & { more: () => void; reload: () => void } {
  const [state, setState] = useState(NOTHING);
  const [begun, begin] = useState(0);
  const next = useRef<(() => Promise<void>) | undefined>(undefined);
  useEffect(() => {
    const reading = new AbortController();
    const { signal } = reading;
    const listed = client.runs.list({ status, agentId, signal });
    const runs: AgentRun[] = [];
    // One more than is shown says whether there are more.
    let ahead: AgentRun | undefined;
    let isReading = false;
    const read = async (): Promise<void> => {
      if (isReading) return;
      isReading = true;
      setState((before) => ({ ...before, isLoading: true, error: undefined }));
      try {
        const wanted = runs.length + PAGE;
        if (ahead) runs.push(ahead);
        ahead = undefined;
        while (!ahead) {
          const { value, done } = await listed.next();
          if (done) break;
          if (runs.length < wanted) runs.push(value);
          else ahead = value;
        }
        if (!signal.aborted) setState({ runs: [...runs], hasMore: ahead !== undefined, isLoading: false, error: undefined });
      } catch (error) {
        if (!signal.aborted) setState((before) => ({ ...before, hasMore: false, isLoading: false, error: error as Error }));
      } finally {
        isReading = false;
      }
    };
    next.current = read;
    void read();
    return () => {
      reading.abort();
    };
  }, [client, status, agentId, begun]);
  const more = useCallback(() => {
    void next.current?.();
  }, []);
  const reload = useCallback(() => {
    begin((before) => before + 1);
  }, []);
  return { ...state, more, reload };
}
