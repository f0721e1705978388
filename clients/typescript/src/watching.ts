import type { AgentRun } from "./models.js";
import type { CallOptions } from "./wire/transport.js";
import { pause } from "./wire/waiting.js";

export interface WatchOptions extends CallOptions {
  /** Default 3 000. */
  pollEveryMs?: number | undefined;
  /** `summary` leaves the runs' texts out. */
  fields?: "summary" | undefined;
  /** Told of a run when it is first seen, and when its status has changed. */
  onUpdate?: ((run: AgentRun) => void) | undefined;
}

const POLL_EVERY_MS = 3_000;
/** A run that has just begun may be absent for a moment. */
const MOST_ABSENCES = 3;

/** Whether a run goes on without anybody. */
export function isUnderWay({ status }: AgentRun): boolean {
  return status === "QUEUED" || status === "RUNNING";
}

/** Poll runs, all with one request, until none is under way. */
export async function watchRuns(
  getMany: (ids: string[]) => Promise<Map<string, AgentRun>>,
  runIds: Iterable<string>,
  options: WatchOptions,
): Promise<Map<string, AgentRun>> {
  const { pollEveryMs = POLL_EVERY_MS, onUpdate, signal } = options;
  const seen = new Map<string, AgentRun>();
  const absences = new Map<string, number>();
  const waiting = new Set(runIds);
  while (waiting.size > 0) {
    const found = await getMany([...waiting]);
    for (const id of waiting) {
      const run = found.get(id);
      const absent = run ? 0 : (absences.get(id) ?? 0) + 1;
      absences.set(id, absent);
      if (run && run.status !== seen.get(id)?.status) onUpdate?.(run);
      if (run) seen.set(id, run);
      if (run ? !isUnderWay(run) : absent >= MOST_ABSENCES) waiting.delete(id);
    }
    if (waiting.size > 0) await pause(pollEveryMs, signal);
  }
  return seen;
}
