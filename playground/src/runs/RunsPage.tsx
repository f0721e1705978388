import type { Agent, Agentrun } from "agentrun-client";
import type { Route } from "../app/route";
import type { Settings } from "../app/settings";
import { RunInspector } from "./RunInspector";
import { RunList } from "./RunList";

/** All runs, or one of them. */
export default function RunsPage(props: {
  client: Agentrun;
  agents: readonly Agent[];
  route: Extract<Route, { page: "runs" }>;
  settings: Settings;
}) {
  const { client, agents, route, settings } = props;
  return route.runId ? (
    <RunInspector key={route.runId} client={client} runId={route.runId} settings={settings} />
  ) : (
    <RunList client={client} agents={agents} />
  );
}
