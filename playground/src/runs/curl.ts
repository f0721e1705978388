import type { AgentRun } from "agentrun-client";

/** Write the request that would start the same run again, for a shell; the token is `$TOKEN`. */
export function curlOf(baseUrl: string, run: AgentRun): string {
  const body = JSON.stringify({ message: run.input ?? "" });
  return [
    `curl -sN ${quoted(`${baseUrl}/api/agents/${encodeURIComponent(run.agentId)}/runs/stream`)}`,
    `-H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json"`,
    `-d ${quoted(body)}`,
  ].join(" \\\n  ");
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
