import type { Agentrun, AgentRun, RunEvent } from "agentrun-client";
import { useCallback, useEffect, useMemo, useState } from "react";
import { Notice } from "../app/Notice";
import { hrefOf } from "../app/route";
import type { Settings } from "../app/settings";
import { useLoaded } from "../app/use-loaded";
import { cost, duration } from "../chat/figures";
import { RawFrames } from "./RawFrames";
import { Status } from "./RunList";
import { timelineOf } from "./timeline";
import { TimelineView } from "./TimelineView";

/** One run: its figures, what happened in it, and the frames as they were sent. */
export function RunInspector(props: { client: Agentrun; runId: string; settings: Settings }) {
  const { client, runId, settings } = props;
  const load = useCallback((signal: AbortSignal) => client.runs.get(runId, { signal }), [client, runId]);
  const { value: run, error, reload } = useLoaded<AgentRun>(load);
  const { events, failure, isOver } = useEvents(client, run);
  const timeline = useMemo(() => timelineOf(events), [events]);
  const [isRaw, showRaw] = useState(false);
  // The record of a run that was under way is read again at its end.
  useEffect(() => {
    if (isOver && run && !run.completedAt && run.status === "RUNNING") reload();
  }, [isOver, run, reload]);
  if (error)
    return (
      <main tabIndex={-1}>
        <Notice kind="error">The run cannot be read: {error.message}</Notice>
      </main>
    );
  if (!run) return <main tabIndex={-1} className="centred">Loading …</main>;
  return (
    <main tabIndex={-1}>
      <p>
        <a href="#/runs">Runs</a> › <code>{run.id}</code>
      </p>
      <h1>{run.input?.slice(0, 200) ?? "Run"}</h1>
      <div className="row">
        <Status status={run.status} />
        <a href={hrefOf("chat", run.agentId, run.sessionId)}>Open its conversation</a>
      </div>
      <Figures run={run} firstDeltaMs={timeline.firstDeltaMs} />
      {run.errorMessage && (
        <p className="failure">
          {run.errorType}: {run.errorMessage}
        </p>
      )}
      <div className="row tabs" role="group" aria-label="View">
        <button type="button" aria-pressed={!isRaw} onClick={() => { showRaw(false); }}>
          Timeline
        </button>
        <button type="button" aria-pressed={isRaw} onClick={() => { showRaw(true); }}>
          Raw frames
        </button>
      </div>
      {failure && <Notice kind="warning">The events cannot be read: {failure.message}</Notice>}
      {isRaw ? <RawFrames settings={settings} run={run} /> : <TimelineView moments={timeline.moments} />}
    </main>
  );
}

function Figures({ run, firstDeltaMs }: { run: AgentRun; firstDeltaMs: number | undefined }) {
  const count = (tokens: number | undefined): string | undefined => tokens?.toLocaleString("en");
  const figures = [
    ["Agent", run.agentId],
    ["Model", run.model],
    ["Attempt", String(run.attempt)],
    ["First delta after", firstDeltaMs === undefined ? undefined : duration(firstDeltaMs)],
    ["Took", run.durationMs === undefined ? undefined : duration(run.durationMs)],
    ["Tokens in", count(run.inputTokens)],
    ["Tokens out", count(run.outputTokens)],
    ["Reasoning", count(run.reasoningTokens)],
    ["Cost", run.costUsd === undefined ? undefined : cost(run.costUsd)],
  ].filter(([, value]) => value !== undefined);
  return (
    <dl className="figures">
      {figures.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** The run's events from its first one on, followed while it goes on. */
function useEvents(
  client: Agentrun,
  run: AgentRun | undefined,
): { events: readonly RunEvent[]; failure: Error | undefined; isOver: boolean } {
  const [state, setState] = useState<{ events: RunEvent[]; failure?: Error; isOver: boolean }>(NONE);
  const agentId = run?.agentId;
  const runId = run?.id;
  useEffect(() => {
    if (agentId === undefined || runId === undefined) return;
    const reading = new AbortController();
    const events: RunEvent[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    const show = (isOver: boolean, failure?: Error): void => {
      clearTimeout(timer);
      timer = undefined;
      if (!reading.signal.aborted) setState({ events: [...events], isOver, ...(failure && { failure }) });
    };
    const read = async (): Promise<void> => {
      try {
        for await (const event of client.runs.attach(agentId, runId, { after: 0, signal: reading.signal })) {
          events.push(event);
          timer ??= setTimeout(() => { show(false); }, SHOW_EVERY_MS);
        }
        show(true);
      } catch (error) {
        show(true, error as Error);
      }
    };
    void read();
    return () => {
      clearTimeout(timer);
      reading.abort();
    };
  }, [client, agentId, runId]);
  return { events: state.events, failure: state.failure, isOver: state.isOver };
}

const NONE = { events: [], isOver: false };
const SHOW_EVERY_MS = 100;
