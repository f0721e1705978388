import type { RunOptions } from "agentrun-client";
import { useState } from "react";

/** An agent's options, which this tab keeps until it is closed. */
export function useRunOptions(agentId: string): [RunOptions, (options: RunOptions) => void] {
  const key = `agentrun:playground:options:${agentId}`;
  const [options, setOptions] = useState(() => JSON.parse(sessionStorage.getItem(key) ?? "{}") as RunOptions);
  const keep = (given: RunOptions): void => {
    sessionStorage.setItem(key, JSON.stringify(given));
    setOptions(given);
  };
  return [options, keep];
}
