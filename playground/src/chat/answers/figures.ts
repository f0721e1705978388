import type { Metrics } from "agentrun-client";

/** What a run used, in a line. */
export function figures({ totalTokens, costUsd, durationMs, model }: Metrics): string {
  return [
    model,
    totalTokens !== undefined && `${totalTokens.toLocaleString("en")} tokens`,
    costUsd !== undefined && cost(costUsd),
    durationMs !== undefined && duration(durationMs),
  ]
    .filter(Boolean)
    .join(" · ");
}

export function cost(usd: number): string {
  return `$${usd.toFixed(usd !== 0 && usd < 0.01 ? 5 : 2)}`;
}

export function duration(ms: number): string {
  if (ms < 1000) return `${String(Math.round(ms))} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${String(Math.floor(ms / 60_000))} min ${String(Math.round((ms % 60_000) / 1000))} s`;
}
