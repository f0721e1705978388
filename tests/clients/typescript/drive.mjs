// Uses the installed package, in a process of its own, and prints a line of JSON for each event and
// one for what came of it. Usage: node drive.mjs SCENARIO AGENT MESSAGE [SESSION_ID]
import { Agentrun, approve, reject } from "agentrun-client";

const { AGENTRUN_URL, AGENTRUN_STREAM_URL, AGENTRUN_TOKEN, EVENT_SOURCE } = process.env;
const client = new Agentrun({
  baseUrl: AGENTRUN_URL,
  streamUrl: AGENTRUN_STREAM_URL,
  token: () => AGENTRUN_TOKEN,
});
const [scenario, agent, message, sessionId] = process.argv.slice(2);
const print = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

async function show(stream) {
  for await (const event of stream) print(event);
  return { ...(await stream.result()), textSoFar: stream.textSoFar };
}

const scenarios = {
  chat: () => show(client.runs.stream(agent, message, { sessionId })),
  async decide() {
    const first = await show(client.runs.stream(agent, message));
    const second = await show(client.runs.resume(agent, first.runId, reject("Not now.")));
    const other = await client.runs.create(agent, message);
    const options = { approvalId: other.requiredAction.approvalId };
    const third = await show(client.runs.resume(agent, other.runId, approve(), options));
    return { statuses: [first.status, second.status, other.status, third.status], third };
  },
  async abort() {
    const abort = new AbortController();
    const options = { signal: abort.signal, cancelOnAbort: true };
    const stream = client.runs.stream(agent, message, options);
    const error = await (async () => {
      for await (const event of stream) if (event.event === "TOOL_START") abort.abort();
    })().catch((caught) => caught.name);
    return { error, ...(await client.runs.wait(agent, stream.runId, { pollEveryMs: 100 })) };
  },
  async records() {
    const { runId, sessionId: session } = await client.runs.background(agent, message);
    const run = await client.runs.wait(agent, runId, { pollEveryMs: 100 });
    const listed = [];
    for await (const { id } of client.runs.list({ sessionId: session })) listed.push(id);
    const messages = await client.sessions.messages(session);
    const many = await client.runs.getMany(agent, [runId, "unknown"]);
    await client.sessions.delete(session);
    const gone = await client.runs.get(runId).catch((error) => error.name);
    const agents = (await client.agents.list()).map(({ id }) => id);
    const health = await client.health();
    return { run, listed, messages, many: [...many.keys()], gone, agents, health };
  },
  async tickets() {
    const { EventSource } = await import(EVENT_SOURCE);
    const { runId } = await client.runs.background(agent, message);
    return show(client.runs.eventSource(agent, runId, { EventSource }));
  },
};
print({ outcome: await scenarios[scenario]() });
