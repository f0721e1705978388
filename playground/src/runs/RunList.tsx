import type { Agent, Agentrun, AgentRun, RunStatus } from "agentrun-client";
import { useState } from "react";
import { focusIfLost, useTitle } from "../app/focus";
import { Notice } from "../app/Notice";
import { hrefOf } from "../app/route";
import { cost, duration } from "../chat/answers/figures";
import { useRunPages } from "./use-run-pages";
import { useWatched } from "./use-watched";

const STATUSES: readonly RunStatus[] = ["QUEUED", "RUNNING", "PAUSED", "COMPLETED", "FAILED", "CANCELLED"];

/** The newest runs; those that have not ended are kept up to date. */
export function RunList({ client, agents }: { client: Agentrun; agents: readonly Agent[] }) {
  const [status, setStatus] = useState<RunStatus>();
  const [agentId, setAgent] = useState<string>();
  const { runs: listed, hasMore, isLoading, error, more, reload } = useRunPages(client, status, agentId);
  const runs = useWatched(client, listed);
  useTitle("Runs");
  return (
    <main ref={focusIfLost} tabIndex={-1}>
      <h1>Runs</h1>
      <div className="row filters">
        <label htmlFor="status">Status</label>
        <select
          id="status"
          value={status ?? ""}
          onChange={(event) => {
            setStatus((event.target.value || undefined) as RunStatus | undefined);
          }}
        >
          <option value="">Any</option>
          {STATUSES.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
        <label htmlFor="agent">Agent</label>
        <select
          id="agent"
          value={agentId ?? ""}
          onChange={(event) => {
            setAgent(event.target.value || undefined);
          }}
        >
          <option value="">Any</option>
          {agents.map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </select>
        <button type="button" onClick={reload}>
          Refresh
        </button>
      </div>
      {error && <Notice kind="error">{error.message}</Notice>}
      {runs?.length === 0 && <p className="muted">No runs.</p>}
      {runs && runs.length > 0 && <Table runs={runs} />}
      {isLoading && !runs && <p className="muted">Loading …</p>}
      <div className="row">
        {hasMore && (
          <button type="button" aria-disabled={isLoading} onClick={more}>
            More
          </button>
        )}
        <span className="muted" role="status">
          {runs && runs.length > 0 && !error && (hasMore ? `The newest ${String(runs.length)} runs` : "No more runs")}
        </span>
      </div>
    </main>
  );
}

function Table({ runs }: { runs: readonly AgentRun[] }) {
  return (
    <div className="scrolls" tabIndex={0} role="region" aria-label="Runs">
      <table className="runs">
        <thead>
          <tr>
            <th scope="col">Message</th>
            <th scope="col">Status</th>
            <th scope="col">Agent</th>
            <th scope="col">Begun</th>
            <th scope="col">Took</th>
            <th scope="col">Tokens</th>
            <th scope="col">Cost</th>
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <tr key={run.id} data-run-id={run.id}>
              <td className="message">
                <a href={hrefOf("runs", run.id)} dir="auto">{run.input?.slice(0, 120) ?? run.id}</a>
              </td>
              <td>
                <Status status={run.status} />
              </td>
              <td>{run.agentId}</td>
              <td>
                <time dateTime={run.createdAt}>{new Date(run.createdAt).toLocaleString()}</time>
              </td>
              <td>{run.durationMs === undefined ? "" : duration(run.durationMs)}</td>
              <td>{run.totalTokens?.toLocaleString("en")}</td>
              <td>{run.costUsd === undefined ? "" : cost(run.costUsd)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function Status({ status }: { status: RunStatus }) {
  return <span className={`status ${status.toLowerCase()}`}>{status}</span>;
}
