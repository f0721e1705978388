import { type Agentrun, type AgentRun, NotFoundError, type RunEvent } from "agentrun-client";
import { useCallback, useEffect, useMemo, useState } from "react";
import { focusIfLost, useTitle } from "../app/focus";
import { Notice } from "../app/Notice";
import { hrefOf } from "../app/route";
import type { Settings } from "../app/settings";
import { useLoaded } from "../app/use-loaded";
import { CopyButton } from "../chat/answers/CopyButton";
import { cost, duration } from "../chat/answers/figures";
import { curlOf } from "./curl";
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
  useTitle("Run");
  const timeline = useMemo(() => timelineOf(events), [events]);
  const [isRaw, showRaw] = useState(false);
  useFresh(run, isOver, reload);
  if (error)
    return (
      <main ref={focusIfLost} tabIndex={-1}>
        <p>
          <a href="#/runs">Runs</a>
        </p>
        <Notice kind="error" action="Try again" onAction={reload}>
          {error instanceof NotFoundError
            ? "There is no such run, or not any more: runs are deleted with their conversation, and when their time is up."
            : `The run cannot be read: ${error.message}`}
        </Notice>
      </main>
    );
  if (!run) return <main tabIndex={-1} className="centred">Loading …</main>;
  return (
    <main ref={focusIfLost} tabIndex={-1}>
      <p className="row">
        <a href="#/runs">Runs</a> › <code>{run.id}</code>
        <CopyButton name="Copy run id" text={run.id} />
      </p>
      <h1 dir="auto">{run.input?.slice(0, 200) ?? "Run"}</h1>
      <div className="row">
        <Status status={run.status} />
        <a href={hrefOf("chat", run.agentId, run.sessionId)}>Open its conversation</a>
        <CopyButton label="Copy as curl" text={() => curlOf(settings.baseUrl, run)} />
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
      {failure && (
        <Notice kind="warning">
          {failure instanceof NotFoundError
            ? "This run’s events are kept no longer; its answer is."
            : `The events cannot be read: ${failure.message}`}
        </Notice>
      )}
      {failure && run.output && (
        <div className="said" dir="auto">
          {run.output}
        </div>
      )}
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
  // A run that was continued has more.
  const isPaused = run?.status === "PAUSED";
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
  }, [client, agentId, runId, isPaused]);
  return { events: state.events, failure: state.failure, isOver: state.isOver };
}

/** Read the record again: at the run's end, and while somebody else may continue it. */
function useFresh(run: AgentRun | undefined, isOver: boolean, reload: () => void): void {
  useEffect(() => {
    if (!run || !isOver || run.completedAt) return;
    const timer = setTimeout(reload, run.status === "PAUSED" ? LOOK_EVERY_MS : 0);
    return () => {
      clearTimeout(timer);
    };
  }, [run, isOver, reload]);
}

const LOOK_EVERY_MS = 3_000;
const NONE = { events: [], isOver: false };
const SHOW_EVERY_MS = 100;
